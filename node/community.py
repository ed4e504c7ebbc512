"""The members and the changes under way, as the state has them: names, addresses, certificates.

A chain without the contract that governs its members keeps the founders of the genesis file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import structlog

from crypto import abi
from node.chain import Chain
from node.config import Address, parse_address
from node.errors import ConfigError
from node.key_keeper import KeyState
from node.p2p.errors import CertificateError
from node.p2p.frames import NAME_LENGTH_MAX
from node.p2p.member import MemberEndpoint
from vm.members import keys_hash

CONTRACT = "membership"
_VIEW_GAS = 2**40
"""No bound: what the contract keeps is bounded by its own rules. Were this a transaction's gas, a
large community with many changes under way would stop every node at one block."""
_NO_KEY = bytes(32)
_NOBODY = bytes(20)

_log = structlog.get_logger("members")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A member's node."""

    account: bytes
    node_key: bytes
    endpoint: str
    name: str
    certificate: bytes
    incarnation: int = 0
    meter: bytes = bytes(20)
    """Account of its meter."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An accepted change of the member set, which waits for READYs of the new one."""

    id: int
    kind: int
    account: bytes
    """Of the member that comes, goes or has a new key."""
    newcomer: NodeRecord | None
    """The node whose READY must be there; None where somebody only goes."""
    keys: tuple[bytes, ...]
    """Node keys of the new set, ascending."""
    keys_hash: bytes


@final
@dataclass(frozen=True, slots=True)
class Community:
    """All of it at one head."""

    nodes: tuple[NodeRecord, ...]
    changes: tuple[Change, ...]

    def node_of(self, account: bytes) -> NodeRecord | None:
        """Return the node of the member with this account, or None."""
        return next((node for node in self.nodes if node.account == account), None)

    def names(self) -> dict[bytes, str]:
        """Return the members' and newcomers' names by node key."""
        newcomers = (change.newcomer for change in self.changes)
        known = [node for node in newcomers if node is not None]
        return {node.node_key: node.name for node in (*known, *self.nodes)}


def read_community(chain: Chain) -> Community:
    """Return the community at the head of `chain`."""
    if CONTRACT not in _contracts(chain):
        members = chain.genesis.members
        founders = tuple(
            NodeRecord(
                account=each.account,
                node_key=each.node_key,
                endpoint=each.endpoint,
                name=each.name,
                certificate=each.certificate,
                meter=each.meter.account,
            )
            for each in members
        )
        return Community(founders, ())
    meters = {account: meter for account, _, _, meter in view(chain, "members")[0]}
    nodes = tuple(
        NodeRecord(
            account=account,
            node_key=node_key,
            endpoint=endpoint,
            name=name,
            certificate=certificate,
            incarnation=incarnation,
            meter=meters[account],
        )
        for account, node_key, endpoint, name, certificate, incarnation in view(chain, "nodes")[0]
    )
    return Community(nodes, tuple(_changes(chain)))


def _changes(chain: Chain) -> Iterable[Change]:
    for id_, kind, account, newcomer, endpoint, name, certificate, digest, _ in view(
        chain, "waiting"
    )[0]:
        keys = tuple(view(chain, "nextKeys", id_)[0])
        assert keys_hash(keys) == digest, "the contract's two views agree"
        node = NodeRecord(
            account=account,
            node_key=newcomer,
            endpoint=endpoint,
            name=name,
            certificate=certificate,
        )
        yield Change(
            id=id_,
            kind=kind,
            account=account,
            newcomer=None if newcomer == _NO_KEY else node,
            keys=keys,
            keys_hash=digest,
        )


def read_key_state(chain: Chain, account: bytes) -> KeyState:
    """Return what the chain says of the shared key, to the household with this account."""
    membership = chain.membership()
    _, is_due, key_epoch, _, digest, boxes = view(chain, "communityKey")
    return KeyState(
        epoch=membership.epoch,
        members=membership.members,
        is_due=is_due,
        is_barred=view(chain, "isBarred", membership.epoch, account)[0],
        key_epoch=key_epoch,
        key_hash=digest if boxes else b"",
        boxes=boxes,
    )


def view(chain: Chain, name: str, *args: object) -> list[Any]:
    """Return the results of a view of the contract that governs the members."""
    contract = _contracts(chain)[CONTRACT]
    method = next(each for each in contract.abi.values() if each.name == name)
    data = method.selector + abi.encode(method.input_types, list(args))
    result = chain.call(contract.ADDRESS, data, sender=_NOBODY, gas=_VIEW_GAS)
    assert result.status == 1, f"view {name} fails: {result.output.hex()}"
    return abi.decode(method.output_types, result.output)


def call_data(chain: Chain, name: str, *args: object) -> tuple[bytes, bytes]:
    """Return address and calldata of a function of that contract."""
    contract = _contracts(chain)[CONTRACT]
    method = next(each for each in contract.abi.values() if each.name == name)
    return contract.ADDRESS, method.selector + abi.encode(method.input_types, list(args))


def would_pass(chain: Chain, sender: bytes, name: str, *args: object) -> bool:
    """Whether a call of that contract, sent now, would not be refused at the head's state."""
    to, data = call_data(chain, name, *args)
    return chain.call(to, data, sender=sender, gas=_VIEW_GAS).status == 1


def is_governed(chain: Chain) -> bool:
    """Whether the member set of this chain can change."""
    return CONTRACT in _contracts(chain)


def contract_address(chain: Chain) -> bytes | None:
    """Return where the contract is, whose logs tell that something has changed."""
    contract = _contracts(chain).get(CONTRACT)
    return None if contract is None else contract.ADDRESS


def _contracts(chain: Chain) -> dict[str, Any]:
    return {each.NAME: each for each in chain.machine.contracts.values()}


def peers_of(
    members: Sequence[NodeRecord],
    invited_by: Sequence[NodeRecord],
    *,
    own_key: bytes,
    height: int,
    is_lost: bool,
) -> list[NodeRecord]:
    """Return whom a node links with: the members, and who invited it while it knows no better.

    That is while it is none of them; at block 0, where a founder that has lost its disk stands
    as well, whom the other founders may have left behind under other keys; and while it is lost.

    Args:
        members: of the state that the node has.
        invited_by: members of its invite, if it has one.
        own_key: its node key.
        height: of that state.
        is_lost: none of the members that it knows has a link with it.
    """
    known = {node.node_key for node in members}
    if own_key in known and height > 0 and not is_lost:
        return list(members)
    return [*members, *(node for node in invited_by if node.node_key not in known)]


def endpoints(
    nodes: Iterable[NodeRecord], elsewhere: Mapping[str, Address]
) -> tuple[MemberEndpoint, ...]:
    """Return where nodes are reached, in the order of their keys.

    What a stranger wrote into its proposal may be unusable; then it has no link, and everybody
    sees why in the log.

    Args:
        nodes: members or newcomers.
        elsewhere: addresses by name that this node uses in place of the published ones.
    """
    found = []
    for index, node in enumerate(sorted(nodes, key=lambda node: node.node_key)):
        try:
            address = elsewhere.get(node.name) or parse_address(node.endpoint, "endpoint")
            found.append(
                MemberEndpoint(
                    index=index,
                    name=node.name[:NAME_LENGTH_MAX] or node.node_key.hex()[:8],
                    node_key=node.node_key,
                    certificate=node.certificate,
                    host=address.host,
                    port=address.port,
                )
            )
        except (ConfigError, CertificateError, ValueError) as error:
            _log.warning("unusable endpoint", name=node.name, reason=str(error))
    return tuple(found)
