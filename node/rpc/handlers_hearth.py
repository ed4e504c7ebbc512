"""`hearth_`: what Ethereum has not: seals, proofs, members, relay, waiting for a seal."""

from collections.abc import Sequence
from typing import final

from crypto import abi
from crypto.keys import checksum_address
from node.chain import Chain
from node.community import NodeRecord
from node.directory import Directory
from node.p2p.member import PeerStats
from node.p2p.network import PeerNetwork
from node.protocols import protocol_status
from node.relay import PAYLOAD_BYTES_MAX, WINDOW_MAX, Envelope
from node.relay_service import RelayRefused, RelayService
from node.rpc.abi_json import arguments_from_json, results_to_json
from node.rpc.chain_reads import find_record
from node.rpc.dispatch import Handler
from node.rpc.errors import Code, RpcFault, reverted
from node.rpc.handlers_eth import EthMethods
from node.rpc.submissions import SUBMIT_TIMEOUT_MAX_MS, SUBMIT_TIMEOUT_MS
from node.rpc.values import (
    U64_MAX,
    Args,
    BadValue,
    Json,
    Out,
    read_address,
    read_block,
    read_data,
    read_int,
    read_list,
    read_object,
    read_text,
    to_data,
)
from node.rpc.views import header_json, seal_json
from vm.gas import tx_gas_limit
from vm.native import Method as NativeMethod
from vm.native import NativeContract
from vm.transaction import TX_BYTES_MAX
from vm.versions import STORAGE_VERSION, WIRE_VERSION

STATE_KEY_BYTES_MAX = 128
_NAME_MAX = 64
_TIME_MAX_MS = 2**53 - 1


@final
class HearthMethods:
    """Handlers over one node."""

    def __init__(
        self,
        *,
        chain: Chain,
        network: PeerNetwork,
        relay: RelayService,
        directory: Directory,
        is_testnet: bool,
        eth: EthMethods,
    ) -> None:
        self._chain = chain
        self._network = network
        self._relay = relay
        self._directory = directory
        self._is_testnet = is_testnet
        self._eth = eth
        self._contracts = {each.NAME: each for each in chain.machine.contracts.values()}

    def table(self) -> dict[str, Handler]:
        """Return the handlers by name; the admin calls are there on testnets only."""
        handlers: dict[str, Handler] = {
            "hearth_status": self.status,
            "hearth_peers": lambda _: [_peer(stats) for stats in self._network.stats()],
            "hearth_members": self.members,
            "hearth_why": lambda _: self._chain.why(),
            "hearth_getHeader": self.header,
            "hearth_getSeal": self.seal,
            "hearth_getProof": self.proof,
            "hearth_contracts": self.contracts,
            "hearth_abi": self.abi,
            "hearth_call": self.call,
            "hearth_pending": self.pending,
            "hearth_submit": self.submit,
            "hearth_relaySend": self.relay_send,
        }
        if self._is_testnet:
            handlers["hearth_adminPartition"] = self.partition
            handlers["hearth_adminHeal"] = self.heal
        return handlers

    def status(self, _: Args) -> Out:
        """The node at a glance."""
        status, genesis = self._chain.status(), self._chain.genesis
        protocols = protocol_status(self._chain)
        coming = protocols.coming
        names = self._directory.names
        return {
            "height": status.height,
            "hash": to_data(status.hash),
            "stateRoot": to_data(status.state_root),
            "timeMs": status.time_ms,
            "epoch": status.epoch,
            "term": status.term,
            "view": status.view,
            "primary": names[status.primary],
            "isLearner": status.is_learner,
            "peersUp": status.peers_up,
            "members": len(names),
            "pending": status.pending,
            "version": status.version,
            "protocol": protocols.in_force.version,
            "protocolsSupported": list(protocols.supported),
            "nextProtocol": None
            if coming is None
            else {"version": coming.version, "height": coming.first_height},
            "wireVersion": WIRE_VERSION,
            "storageVersion": STORAGE_VERSION,
            "name": self._directory.name,
            "index": self._directory.me,
            "network": genesis.name,
            "chainId": self._chain.chain_id,
            "genesisHash": to_data(genesis.hash),
            "genesisTimeMs": genesis.time_ms,
            "windowMs": genesis.window_ms,
            "recordMs": genesis.record_ms,
            "window": genesis.window_at(self._chain.now_ms()),
            "isTestnet": self._is_testnet,
        }

    def members(self, _: Args) -> Out:
        """The members at the head, by index in the member set."""
        nodes = sorted(self._directory.community.nodes, key=lambda node: node.node_key)
        own = self._directory.node_key
        return [
            {
                "index": index,
                "name": node.name,
                "nodeKey": to_data(node.node_key),
                "account": checksum_address(node.account),
                "meter": checksum_address(node.meter),
                "endpoint": node.endpoint,
                "incarnation": node.incarnation,
                "isMe": node.node_key == own,
                "isUp": node.node_key == own or self._network.is_up(node.node_key),
            }
            for index, node in enumerate(nodes)
        ]

    # For light clients.

    def header(self, args: Args) -> Out:
        record = find_record(self._chain, read_block(_height_or_tag(args.get(0))))
        return None if record is None else header_json(record.header)

    def seal(self, args: Args) -> Out:
        record = find_record(self._chain, read_block(_height_or_tag(args.get(0))))
        return None if record is None else seal_json(record.seal)

    def proof(self, args: Args) -> Out:
        """Value and Merkle proof of a state key at the head, with the header that seals it."""
        key = read_data(args.get(0), "key", max_length=STATE_KEY_BYTES_MAX)
        chain = self._chain
        value = chain.state().get(key)
        return {
            "key": to_data(key),
            "value": None if value is None else to_data(value),
            "proof": to_data(chain.prove(key)),
            "header": header_json(chain.head),
            "seal": seal_json(chain.seal(chain.height)),
        }

    # Contracts.

    def contracts(self, _: Args) -> Out:
        return [
            {"name": name, "address": checksum_address(each.ADDRESS)}
            for name, each in sorted(self._contracts.items())
        ]

    def abi(self, args: Args) -> Out:
        return self._contract(args.get(0)).json_abi()

    def call(self, args: Args) -> Out:
        """Call a view, or try a function without effect: {contract, method, args, from}."""
        given = read_object(args.get(0), "call", ("contract", "method", "args", "from"))
        contract = self._contract(given.get("contract"))
        method = _method(contract, given.get("method"))
        values = arguments_from_json(method.inputs, given.get("args"))
        sender = given.get("from")
        result = self._chain.call(
            contract.ADDRESS,
            method.selector + abi.encode(method.input_types, values),
            sender=bytes(20) if sender is None else read_address(sender, "call.from"),
            gas=tx_gas_limit(self._chain.genesis.block_gas_limit),
        )
        if result.status == 0:
            raise reverted(result.output)
        outputs = abi.decode(method.output_types, result.output) if method.outputs else []
        return results_to_json(method.outputs, outputs)

    def _contract(self, value: Json) -> NativeContract:
        """Return a contract by name, or by address."""
        text = read_text(value, "contract", _NAME_MAX)
        contract = self._contracts.get(text)
        if contract is None and text.startswith("0x"):
            contract = self._chain.machine.contracts.get(read_address(text, "contract"))
        if contract is None:
            names = ", ".join(sorted(self._contracts))
            raise BadValue(f"contract: must be one of {names}, got {text!r}")
        return contract

    # Transactions.

    def pending(self, args: Args) -> Out:
        """How much waits; with an address, its next nonce as well."""
        answer: dict[str, Out] = {"count": self._chain.status().pending}
        if args.get(0) is not None:
            address = read_address(args.get(0), "address")
            answer["nonce"] = self._chain.pending_nonce(address)
        return answer

    async def submit(self, args: Args) -> Out:
        """Submit a raw transaction, wait for its seal, and return its receipt."""
        raw = read_data(args.get(0), "transaction", max_length=TX_BYTES_MAX)
        timeout = args.get(1)
        timeout_ms = (
            SUBMIT_TIMEOUT_MS
            if timeout is None
            else read_int(timeout, "timeoutMs", 1, SUBMIT_TIMEOUT_MAX_MS)
        )
        digest = await self._eth.submissions.submit(raw, timeout_ms, args.client)
        return self._eth.receipt_of(digest)

    # Relay.

    def relay_send(self, args: Args) -> Out:
        """Send a sealed envelope; it is held until the end of its window unless told otherwise."""
        given = read_object(args.get(0), "envelope", ("to", "window", "payload", "expiresMs"))
        window = read_int(given.get("window"), "envelope.window", 0, WINDOW_MAX)
        genesis = self._chain.genesis
        expires = given.get("expiresMs")
        envelope = Envelope(
            to_key=read_data(given.get("to"), "envelope.to", length=32),
            window=window,
            expires_ms=(
                genesis.time_ms + (window + 1) * genesis.window_ms
                if expires is None
                else read_int(expires, "envelope.expiresMs", 1, _TIME_MAX_MS)
            ),
            payload=read_data(
                given.get("payload"), "envelope.payload", max_length=PAYLOAD_BYTES_MAX
            ),
        )
        try:
            self._relay.send(envelope)
        except RelayRefused as error:
            raise RpcFault(Code.RELAY_REFUSED, str(error), {"reason": int(error.reason)}) from None
        return True

    # Testnets.

    def partition(self, args: Args) -> Out:
        """Cut this node off from the named members: frames are dropped both ways."""
        nodes = sorted(self._directory.community.nodes, key=lambda node: node.node_key)
        named = read_list(args.get(0), "members", len(nodes))
        cut = [_member(nodes, value) for value in named]
        numbers = {self._network.number_of(node.node_key) for node in cut}
        self._network.set_partition(frozenset(n for n in numbers if n is not None))
        return [node.name for node in sorted(cut, key=lambda node: node.node_key)]

    def heal(self, _: Args) -> Out:
        self._network.set_partition(frozenset())
        return True


def _member(nodes: Sequence[NodeRecord], value: Json) -> NodeRecord:
    for index, node in enumerate(nodes):
        if value in (node.name, index) and not isinstance(value, bool):
            return node
    raise BadValue("members: must be names or indices of members")


def _height_or_tag(value: Json) -> Json:
    """Allow plain numbers where Ethereum wants quantities."""
    if type(value) is int:
        return hex(read_int(value, "height", 0, U64_MAX))
    return value


def _method(contract: NativeContract, value: Json) -> NativeMethod:
    name = read_text(value, "method", _NAME_MAX)
    found = [each for each in contract.abi.values() if name in (each.name, each.signature)]
    if len(found) != 1:
        problem = "is ambiguous, give its signature" if found else "is not there"
        raise BadValue(f"method: {name!r} {problem} in {contract.NAME}")
    return found[0]


def _peer(stats: PeerStats) -> dict[str, Out]:
    return {
        "index": stats.member,
        "name": stats.name,
        "nodeKey": to_data(stats.node_key),
        "isObserver": stats.is_observer,
        "isUp": stats.is_up,
        "isPartitioned": stats.is_partitioned,
        "bytesIn": stats.bytes_in,
        "bytesOut": stats.bytes_out,
        "queuedBytes": stats.queued_bytes,
        "droppedFrames": stats.dropped_frames,
        "links": stats.links,
        "score": stats.score,
        "bannedMs": stats.banned_ms,
        "lastError": stats.last_error,
        "protocol": stats.protocol or None,
    }
