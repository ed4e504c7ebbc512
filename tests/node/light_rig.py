"""A chain whose blocks are sealed by their members' keys, and a node's answers about it."""

import asyncio
import inspect
import json

from consensus.certificates import Kind, Seal, SigningDomain, Slot
from consensus.keyring import Ed25519Keyring
from consensus.light import Attestation, attestation_payload
from consensus.membership import Height, MemberIndex, View
from consensus.messages import SealedBlock
from crypto.keys import NodeKey
from node.chain import Chain
from node.hand_over import membership_of
from node.light_client import LightClient, TrustedBlock
from node.rpc.client import RpcError
from node.rpc.errors import RpcFault
from node.rpc.handlers_light import LightMethods
from node.rpc.values import Args
from node.rpc.views import header_json, seal_json
from node.storage.block_store import ChainStore
from tests.node.cluster import account_key, make_genesis, node_key
from tests.vm.chain import TOY, Toy, call_data
from vm import gas
from vm.machine import Machine
from vm.members import first_members, read_members
from vm.native import U64, Bytes, CallContext, NativeContract, external
from vm.protocol import Step
from vm.transaction import sign_transaction

GOVERNOR = bytes.fromhex("0000000000000000000000000000000000000997")
KEYS = {node_key(i).public: node_key(i) for i in range(12)}


class Governor(NativeContract):
    """Anybody sets the members, and the rules: so a test changes epochs and versions."""

    ADDRESS = GOVERNOR
    NAME = "Governor"
    GOVERNS_MEMBERS = True

    @external(gas=gas.METHOD)
    def set_members(self, ctx: CallContext, keys: Bytes) -> None:
        ctx.change_members([keys[at : at + 32] for at in range(0, len(keys), 32)])

    @external(gas=gas.METHOD)
    def set_protocol(self, ctx: CallContext, version: U64, height: U64) -> None:
        ctx.schedule_protocol(Step(version, height))


def keys_of(*members):
    """Node keys of these numbers, ascending."""
    return tuple(sorted(node_key(i).public for i in members))


class SealedChain:
    """A chain of its own; `seal` makes the next block and has q members sign it."""

    def __init__(self, folder, *, history_blocks=256, genesis=None, protocols=(1,)):
        self.genesis = genesis or make_genesis(contracts={"Toy": {"supply": 1_000_000}})
        self.now_ms = self.genesis.time_ms + 1_000
        self.machine = Machine(self.genesis, (Toy(), Governor()), protocols=protocols)
        self.store = ChainStore(folder, self.genesis.hash, history_blocks=history_blocks)
        self.chain = Chain(self.machine, self.store, now_ms=lambda: self.now_ms)

    def close(self):
        self.store.close()

    def submit(self, sender, to, signature, *values):
        key = account_key(sender)
        raw = sign_transaction(
            key,
            chain_id=self.genesis.chain_id,
            nonce=self.chain.pending_nonce(key.address),
            to=to,
            data=call_data(signature, *values),
            gas_limit=300_000,
        )
        return self.chain.submit(raw)

    def transfer(self, sender=0, to=1, value=1):
        """Submit a transfer and seal it; returns its hash."""
        digest = self.submit(
            sender, TOY, "transfer(address,uint256)", account_key(to).address, value
        )
        self.seal()
        return digest

    def change_members(self, *members):
        self.submit(0, GOVERNOR, "setMembers(bytes)", b"".join(keys_of(*members)))
        return self.seal()

    def seal(self, view=0):
        self.now_ms += 1_000
        executed = self.chain.build()
        assert executed is not None, "nothing to seal"
        height = Height(self.chain.height + 1)
        seal = make_seal(self.chain, height, executed.digest, view)
        return self.chain.apply(
            SealedBlock(height=height, digest=executed.digest, body=executed.body, seal=seal)
        )

    def trusted(self):
        header = self.machine.genesis_execution().header
        return TrustedBlock(
            header.hash, header, first_members([m.node_key for m in self.genesis.members])
        )

    def client(self):
        return LightClient(self.trusted())


def make_seal(chain, height, digest, view=0, *, members=None, count=None, kind=Kind.COMMIT):
    """Signatures of q of the members above the head (or of `members`)."""
    membership = members or membership_of(read_members(chain.store))
    slot = Slot(
        epoch=membership.epoch,
        term=membership.term(height),
        view=View(view),
        height=Height(height),
    )
    domain = SigningDomain(chain.store.digest(0), membership.hash())
    payload = domain.payload(kind, slot, digest)
    count = membership.quorum.certificate if count is None else count
    return Seal(
        view=View(view),
        signatures=tuple(
            (MemberIndex(i), KEYS[public].sign(payload))
            for i, public in enumerate(membership.members[:count])
        ),
    )


def make_attester(chain, key: NodeKey, *, is_willing=lambda: True):
    """What a node with this key answers where it may attest."""

    def attest(nonce):
        membership = membership_of(read_members(chain.store))
        me = membership.index_of(key.public)
        if me is None or not is_willing():
            return None
        head = chain.head
        payload = attestation_payload(
            SigningDomain(chain.store.digest(0), membership.hash()),
            height=head.number,
            digest=head.hash,
            state_root=head.state_root,
            nonce=nonce,
        )
        return Attestation(
            height=Height(head.number),
            digest=head.hash,
            state_root=head.state_root,
            nonce=nonce,
            member=me,
            signature=Ed25519Keyring(key).sign(payload),
        )

    return attest


class Server:
    """Answers as a node does, through JSON; `lies` change an answer by its method's name."""

    def __init__(self, chain, key=None):
        self.chain = chain
        self.attester = None if key is None else make_attester(chain, key)
        self.lies = {}
        light = LightMethods(chain).table()
        self.table = {
            **light,
            "hearth_getHeader": self._header,
            "hearth_getSeal": lambda args: seal_json(chain.seal(args.get(0))),
            "hearth_getProof": self._proof,
        }

    async def call(self, method, *params):
        self.chain.attester = self.attester
        try:
            answer = self.table[method](Args(list(params)))
            if inspect.isawaitable(answer):
                answer = await answer
        except RpcFault as fault:
            raise RpcError(fault.code, fault.message) from None
        answer = json.loads(json.dumps(answer))
        lie = self.lies.get(method)
        return answer if lie is None else lie(answer)

    def _header(self, args):
        height = args.get(0)
        header = self.chain.header(self.chain.height if height == "latest" else height)
        return None if header is None else header_json(header)

    def _proof(self, args):
        key = bytes.fromhex(args.get(0)[2:])
        value = self.chain.store.get(key)
        return {
            "key": args.get(0),
            "value": None if value is None else "0x" + value.hex(),
            "proof": "0x" + self.chain.prove(key).hex(),
            "header": header_json(self.chain.head),
            "seal": seal_json(self.chain.seal(self.chain.height)),
        }


def run(work):
    return asyncio.run(work)
