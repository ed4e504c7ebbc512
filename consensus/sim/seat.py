"""The place of one process among the members: its keys, its index, and whom it keeps links with."""

from typing import final

from consensus.membership import MemberIndex, Membership
from consensus.sim.app import App
from consensus.sim.community import CHANGE_NONCES_FIRST, Charter, Community, Standing
from consensus.sim.epochs import Epochs
from consensus.sim.faults import ChangeKind, FaultPlan


@final
class Seat:
    """Follows the epoch of a replica, and changes the key when it has rotated."""

    __slots__ = (
        "_charter",
        "_epochs",
        "_held",
        "_may_rotate",
        "index",
        "indices",
        "key",
        "links",
        "members",
        "membership",
    )

    def __init__(self, charter: Charter, epochs: Epochs, key: int, *, may_rotate: bool) -> None:
        """`may_rotate`: whether the next key is in the hands of this process."""
        self._charter = charter
        self._epochs = epochs
        self._may_rotate = may_rotate
        self._held = [key]
        self.key = key
        self.membership: Membership | None = None
        """Of the replica's epoch."""
        self.index: MemberIndex | None = None
        """Own index in it."""
        self.indices: list[MemberIndex | None] = []
        """Index in it by number of key."""
        self.members: tuple[int, ...] = ()
        """Number of key by index in it."""
        self.links: frozenset[int] | None = None
        """Keys with whose holders links are kept; None: with everybody."""

    def enter(self, membership: Membership) -> None:
        """The replica is in another epoch, or has just started."""
        self.membership = membership
        self.indices = [membership.index_of(key) for key in self._charter.public]
        self.members = tuple(self._charter.number(key) for key in membership.members)
        self.index = self.indices[self.key]

    def index_in(self, epoch: int) -> int:
        """Own index in an epoch, under whatever key; -1 if it was no member."""
        membership = self._epochs.of(epoch)
        for key in self._held:
            public = self._charter.public[key]
            index = None if membership is None else membership.index_of(public)
            if index is not None:
                return index
        return -1

    def next_key(self, app: App) -> int | None:
        """The key that takes the place of the present one, if a change says so by now."""
        if not self._may_rotate:
            return None
        for number, change in enumerate(self._charter.changes):
            is_own = change.kind is ChangeKind.ROTATE and change.key == self.key
            if is_own and CHANGE_NONCES_FIRST + number in app.executed:
                return change.new_key
        return None

    def next_keys(self, app: App) -> list[int]:
        """The same as a list."""
        key = self.next_key(app)
        return [] if key is None else [key]

    def take_next_key(self, app: App) -> bool:
        """Hold the next key where it has become the member's; whether it has."""
        members, following = app.community.membership.members, self.next_key(app)
        if following is None or self._charter.public[self.key] in members:
            return False
        if self._charter.public[following] not in members:
            return False
        self.key = following
        self._held.append(following)
        return True

    def keep_links(self, community: Community) -> None:
        """Keep links with members and with who waits to be one, as the state says."""
        if self._charter.changes:
            keys = range(len(self._charter.public))
            wanted = (k for k in keys if community.standing(k) is not Standing.STRANGER)
            self.links = frozenset(wanted)


def keys_in(plan: FaultPlan) -> int:
    """Number of keys in a run."""
    named = (max(change.key, change.new_key) for change in plan.changes)
    return 1 + max((*plan.identities, *named))


def holders(plan: FaultPlan) -> list[list[int]]:
    """The instances that hold each key at the start, or that will, by the key's number."""
    found = [[j for j, m in enumerate(plan.identities) if m == key] for key in range(keys_in(plan))]
    for change in plan.changes:
        if change.kind is ChangeKind.ROTATE:
            found[change.new_key] = found[change.key][:1]
    return found
