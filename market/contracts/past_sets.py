"""The member sets of past epochs: seals and evidence are judged by the set of their time.

Kept in Membership's own storage, the newest few; `activate` puts the old set aside.
"""

from typing import Final

from market.contracts.storage import u64
from vm.members import MemberSet, decode_members, encode_members
from vm.native import CallContext

EPOCHS_KEPT: Final = 64
_SET: Final = b"E"


def keep_set(ctx: CallContext, members: MemberSet) -> None:
    """Put a set aside that is about to be followed by another; the scope is Membership's."""
    ctx.put(_SET + u64(members.epoch % EPOCHS_KEPT), encode_members(members))


def set_of(ctx: CallContext, epoch: int) -> MemberSet | None:
    """Return the set of an epoch, present or past; None where it is not known any more."""
    now = ctx.member_set()
    if epoch == now.epoch:
        return now
    stored = ctx.get(_SET + u64(epoch % EPOCHS_KEPT))
    if epoch > now.epoch or not stored:
        return None
    members = decode_members(stored)
    return members if members.epoch == epoch else None
