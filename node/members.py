"""The shell around membership: links by the state's members, READYs, and coming back by oneself.

What it does on a household's behalf, without being asked: it says READY to accepted changes, puts
the activation into the next block, takes up its own new node key, asks for a new incarnation when
its vote log was lost, and keeps the community's shared key in being.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import structlog

from consensus.messages import SealedBlock
from consensus.replica import Replica
from crypto.errors import DecodeError
from crypto.keys import AccountKey, NodeKey
from node.chain import Chain
from node.community import (
    Change,
    NodeRecord,
    call_data,
    endpoints,
    is_governed,
    peers_of,
    read_key_state,
    would_pass,
)
from node.config import Address
from node.directory import Directory
from node.errors import MempoolFull
from node.key_keeper import KeyKeeper, KeyState
from node.p2p.frames import Channel
from node.p2p.identity import NodeIdentity
from node.p2p.network import PeerNetwork
from node.readiness import Readiness, Taken, Told, decode_told, encode_told
from node.relay_service import RelayService
from vm.activation import ActivationTransaction, decode_activation, is_activation
from vm.block import decode_block
from vm.errors import InvalidTransaction
from vm.transaction import sign_transaction

TICK_S: Final = 0.5
"""How often it looks whether there is something to say; blocks and READYs bring it up sooner."""
REINCARNATE_AFTER_TICKS: Final = 6
"""So long a quarantine must have lasted: q honest answers may end it without a new epoch."""
REINCARNATE_AGAIN_TICKS: Final = 60
UNLINKED_TICKS_MAX: Final = 10
"""So long a node whose key is about to change waits for a link, before it shows the next one."""
LOST_TICKS: Final = 10
"""So long no member must have had a link with a node before it asks those of its invite."""
UNMOVED_TICKS_MAX: Final = 20
"""So long it shows the next one without a new block, before it shows its own again."""
_CALL_GAS: Final = 1_000_000
_FORGED_POINTS: Final = 20
_UNKNOWN_MAX: Final = 8
"""READYs of one frame whose signatures are checked in vain."""

_log = structlog.get_logger("members")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeys:
    """What this household signs with. SECRET."""

    node: NodeKey
    """Votes with it now."""
    account: AccountKey
    load_next: Callable[[], NodeKey | None]
    """Returns the node key that a rotation is to bring, if its file is there."""


@final
class Members:
    """Of one node. Lives on one event loop."""

    def __init__(
        self,
        *,
        chain: Chain,
        directory: Directory,
        network: PeerNetwork,
        relay: RelayService,
        replica: Callable[[], Replica],
        keys: OwnKeys,
        elsewhere: Mapping[str, Address],
        invited_by: Sequence[NodeRecord] = (),
        on_rotated: Callable[[], None],
        on_work: Callable[[], None],
    ) -> None:
        """Nothing is sent before a link is up.

        Args:
            chain: at whose head the member set is read.
            directory: of the same chain.
            network: gets its peers from here.
            relay: learns of members, too.
            replica: returns the present one.
            keys: this household's.
            elsewhere: addresses by name that are used in place of the published ones.
            invited_by: members of the invite, whom this node may ask while the state that it has
                is too old to name whoever is one today.
            on_rotated: called when another key of this node has become the member's.
            on_work: called when an activation may be possible.
        """
        self._chain = chain
        self._directory = directory
        self._network = network
        self._relay = relay
        self._replica = replica
        self._keys = keys
        self._next: NodeKey | None = None
        self._elsewhere = elsewhere
        self._invited_by = tuple(invited_by)
        self._on_rotated = on_rotated
        self._on_work = on_work
        self._doubt_ticks = 0
        self._is_next_shown = False
        self._alone_ticks, self._is_lost = 0, False
        self._waited: tuple[int, int] = (0, -1)  # Ticks, and the height that has lasted for them.
        self._readiness = Readiness(chain.genesis.hash)
        self._keeper = KeyKeeper(keys.node, keys.account.address, chain.genesis.hash)
        self._key_state: tuple[int, KeyState] | None = None  # Of which height.
        chain.activations = self._activations
        directory.on_change(self._refresh)
        chain.on_block(lambda record: self._readiness.set_height(record.height))
        self._readiness.set_height(chain.height)
        self._refresh()

    # What the state says.

    def _refresh(self) -> None:
        community, membership = self._directory.community, self._chain.membership()
        members = [node for node in community.nodes if node.node_key in membership.members]
        own_key, height = self._keys.node.public, self._chain.height
        peers = peers_of(
            members,
            self._invited_by,
            own_key=own_key,
            height=height,
            is_lost=self._is_lost,
        )
        observers = [
            change.newcomer
            for change in community.changes
            if change.newcomer is not None and change.newcomer.node_key not in membership.members
        ]
        self._network.set_members(
            endpoints(peers, self._elsewhere), endpoints(observers, self._elsewhere)
        )
        numbers = (self._network.number_of(node.node_key) for node in members)
        self._relay.set_members(number for number in numbers if number is not None)
        self._readiness.set_changes(community.changes)
        self._take_next_key()
        is_rotated = self._next is not None and self._next.public in membership.members
        if is_rotated and self._keys.node.public not in membership.members:
            self._on_rotated()

    def _take_next_key(self) -> None:
        own = self._keys.account.address
        for change in self._directory.community.changes:
            newcomer = change.newcomer
            if change.account != own or newcomer is None or self._next is not None:
                continue
            if newcomer.node_key != self._keys.node.public:
                found = self._keys.load_next()
                if found is not None and found.public == newcomer.node_key:
                    self._next = found

    def _activations(self) -> tuple[ActivationTransaction, ...]:
        return self._readiness.activations()

    def has_awaited(self, block: SealedBlock) -> bool:
        """Whether this process said READY to the change of members that `block` carries."""
        for raw in decode_block(block.body).transactions:
            if is_activation(raw):
                try:
                    return self._readiness.has_said(decode_activation(raw))
                except DecodeError as error:
                    raise AssertionError("a sealed block holds what executes") from error
        return False

    # READYs.

    def tick(self) -> None:
        """Say what can be said now; call it each TICK_S."""
        self._say()
        self._show_key()
        self._seek()
        self._reincarnate()
        self._keep_key()

    def on_up(self, peer: int) -> None:
        """Tell a peer all READYs that are held; it may have been away."""
        for frame in self._readiness.frames():
            self._network.send(peer, Channel.READY, frame)

    def on_frame(self, peer: int, payload: bytes) -> None:
        """Take READYs; what is new is passed on once."""
        try:
            items = decode_told(payload)
        except DecodeError as error:
            self._network.suspect(peer, str(error))
            return
        new, unknown = [], 0
        for told in items:
            taken = self._readiness.receive(told)
            if taken is Taken.NEW:
                new.append(told)
            elif taken is Taken.UNKNOWN:
                unknown += 1
                if unknown == _UNKNOWN_MAX:
                    break
            elif taken is Taken.FORGED:
                self._network.suspect(peer, "READY: not the key's own", _FORGED_POINTS)
                return
        if unknown:
            self._network.suspect(peer, "READY: for a set that is not known here", points=1)
        if new:
            self._tell(new, except_=peer)
            self._say()
            self._look_for_work()

    def _say(self) -> None:
        if not self._directory.community.changes:
            return
        replica = self._replica()
        keys = {key.public: key for key in (self._keys.node, self._next) if key is not None}
        is_voting = replica.me is not None and not replica.is_learner
        told = self._readiness.say(keys, is_voting=is_voting, is_level=replica.is_level)
        if told:
            self._tell(told)
            self._look_for_work()

    def _tell(self, told: list[Told], except_: int | None = None) -> None:
        self._network.broadcast(Channel.READY, encode_told(told), except_=except_)

    def _look_for_work(self) -> None:
        if self._readiness.activations():
            self._on_work()

    # A lost vote log.

    def _show_key(self) -> None:
        """Show the next key where nobody links with the present one.

        A node that stopped between its READY and the block that changes its key comes back with
        the old one, which its peers refuse by then, so that it would never see that block. By the
        next key they know it, as a member or as one to be; its votes are not concerned. If no
        block comes by it either, the change has not happened yet and the old key is wanted.
        """
        if self._next is None:
            return
        ticks, height = self._waited
        is_moving = self._chain.height != height if self._is_next_shown else self._network.up
        ticks = 0 if is_moving else ticks + 1
        if ticks > (UNMOVED_TICKS_MAX if self._is_next_shown else UNLINKED_TICKS_MAX):
            self._is_next_shown = not self._is_next_shown
            key = self._next if self._is_next_shown else self._keys.node
            _log.info("shows the next key" if self._is_next_shown else "shows its own key again")
            self._network.show(NodeIdentity.from_key(key))
            self._refresh()
            ticks = 0
        self._waited = (ticks, self._chain.height)

    def _seek(self) -> None:
        """Ask who invited it where no member that it knows has a link with it.

        All may have changed their keys while it was away. Those of the invite are believed
        nothing: their blocks are taken by their seals, from set to set, as everybody's are. Once
        it is level it knows the members of today and needs the invite no more.
        """
        members = self._chain.membership().members
        if not any(map(self._network.is_up, members)):
            self._alone_ticks += 1
            if self._alone_ticks == LOST_TICKS and self._invited_by and not self._is_lost:
                _log.info("no member that is known has a link: asks those of the invite")
                self._is_lost = True
                self._refresh()
            return
        self._alone_ticks = 0
        if self._is_lost and self._replica().is_level:
            self._is_lost = False
            self._refresh()

    def _reincarnate(self) -> None:
        """Ask, in the household's name, for an epoch in which no vote can be forgotten."""
        replica = self._replica()
        is_quarantined = replica.me is not None and replica.is_doubtful and replica.is_learner
        if not is_quarantined or not replica.is_level or not is_governed(self._chain):
            self._doubt_ticks = 0
            return
        self._doubt_ticks += 1
        is_time = self._doubt_ticks % REINCARNATE_AGAIN_TICKS == REINCARNATE_AFTER_TICKS
        if not is_time or any(map(self._is_own, self._directory.community.changes)):
            return
        if would_pass(self._chain, self._keys.account.address, "proposeReincarnation"):
            self._send("proposeReincarnation")
        else:  # It has begun as many epochs as it may for now; to ask all the same costs quota.
            _log.warning("no new incarnation yet: this member has begun too many epochs")

    def _is_own(self, change: Change) -> bool:
        return change.account == self._keys.account.address

    # The shared key.

    def _keep_key(self) -> None:
        """Deal the community's key when it is this household's turn, and dispute a failing box."""
        chain, replica = self._chain, self._replica()
        if replica.me is None or not replica.is_level or not is_governed(chain):
            return
        if self._key_state is None or self._key_state[0] != chain.height:
            self._key_state = (chain.height, read_key_state(chain, self._keys.account.address))
        call = self._keeper.step(self._key_state[1], chain.now_ms())
        if call is not None:
            self._send(call.function, *call.args)

    def _send(self, function: str, *args: object) -> None:
        account, chain = self._keys.account, self._chain
        to, data = call_data(chain, function, *args)
        raw = sign_transaction(
            account,
            chain_id=chain.chain_id,
            nonce=chain.pending_nonce(account.address),
            to=to,
            gas_limit=_CALL_GAS,
            data=data,
        )
        try:
            chain.submit(raw)
        except (InvalidTransaction, MempoolFull) as error:
            _log.warning("not sent", function=function, reason=str(error))
        else:
            _log.info("sent", function=function)

    # In words.

    def why(self) -> list[str]:
        """Return what has to be said about membership; nothing where all is as always."""
        lines = self._own_standing() or self._solitude()
        names = self._directory.community.names()
        counts = self._readiness.counts()
        for change in self._directory.community.changes:
            if change.id in counts:
                have, need = counts[change.id]
                who = change.newcomer.node_key if change.newcomer is not None else b""
                lines.append(
                    f"Change {change.id} of the members ({names.get(who, 'an eviction')}) is "
                    f"accepted and waits for READYs of the new members: {have} of {need}."
                )
        return lines

    def _solitude(self) -> list[str]:
        if self._alone_ticks < LOST_TICKS:
            return []
        return [
            "No member that this node knows has a link with it. If the others are up, all of them "
            "may have changed their node keys while it was away: have one of them run `hearth "
            "members invite`, then run `hearth node join INVITE` with this node's --home here, and "
            "start the node anew."
        ]

    def _own_standing(self) -> list[str]:
        key = self._keys.node.public
        if key in self._chain.membership().members:
            return []
        left = [step for step in self._chain.epochs() if key in step.membership.members]
        if not left:
            return [
                "This node's key is not a member's: it follows the chain where members let it, "
                "and does not vote. They vote with `hearth members vote`."
            ]
        last = left[-1].membership
        return [
            f"This node is not a member any more: its key was last one in epoch {last.epoch}, "
            "and the members have evicted it or know another key of the household. It keeps "
            "what it has and gets no new blocks, because members keep no link with it.",
            "If that was not meant, ask a member to propose this household anew.",
        ]
