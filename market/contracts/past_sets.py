"""The member sets of past epochs: seals and evidence are judged by the set of their time.

Kept in Membership's own storage, the newest few; `activate` puts the old set aside, with the key
that went with it: a household that changes its key after an offence is found all the same.
"""

from typing import Final

from market.contracts.membership_store import all_members
from market.contracts.storage import u64
from vm.members import MemberSet, decode_members, encode_members
from vm.native import CallContext

EPOCHS_KEPT: Final = 64
_SET: Final = b"E"
_GONE: Final = b"G"
"""Beside it: the key of the set that the next one has not, and the account whose it was."""


def keep_set(ctx: CallContext, members: MemberSet, gone: bytes) -> None:
    """Put a set aside that is about to be followed by another; the scope is Membership's.

    Args:
        members: the set.
        gone: node key and account of the member that is not in the next set, or not under this
            key; empty where all keys stay.
    """
    place = u64(members.epoch % EPOCHS_KEPT)
    ctx.put(_SET + place, encode_members(members))
    ctx.put(_GONE + place, gone)


def owner_of(ctx: CallContext, node_key: bytes, epoch: int) -> bytes:
    """Return the account of the household whose node had this key in `epoch`, whose set is known.

    Not that of who has it now: a key may have gone from hand to hand. Empty for one that was left
    out when the community began anew: what it signs in the name of an old set blames itself alone.
    """
    for past in range(epoch, ctx.member_set().epoch):
        gone = ctx.get(_GONE + u64(past % EPOCHS_KEPT))
        if gone[: len(node_key)] == node_key:
            return gone[len(node_key) :]
    holders = (account for account, each in all_members(ctx) if each.node_key == node_key)
    return next(holders, b"")


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
