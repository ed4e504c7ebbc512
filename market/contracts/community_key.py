"""The key that the members of an epoch share: dealt by one of them, first valid wins.

`crypto.community_box` makes the boxes and shows that one fails. A dealer whose box fails is
barred for the epoch, and the next one deals a fresh key. Until a key of the present epoch stands,
the one before serves, except after an eviction: the evicted member knows it.
"""

from dataclasses import dataclass
from typing import Final, final

from crypto.community_box import (
    BOX_BYTES,
    DEALER_PROOF_BYTES,
    POINT_BYTES,
    deal_context,
    key_hash,
    open_shared,
    verify_dealer,
    verify_shared,
)
from crypto.errors import DecodeError, InvalidPoint, InvalidScalar, LinearProofError
from market.abi import CommunityKeyDealt, CommunityKeyDisputed, RevertCode
from market.contracts.membership_store import Member
from market.contracts.storage import Records, split_addresses, u64
from vm import gas
from vm.errors import Revert
from vm.members import NODE_KEY_BYTES
from vm.native import CallContext

_SERVING: Final = b"s"
_BEFORE: Final = b"b"
"""The key that serves again if the one of the present epoch is disputed."""
_BOXES: Final = b"B"
"""Epoch -> E | node key | box | node key | box | … of the members of then."""
_BARRED: Final = b"d"
"""An epoch, 8 bytes, and the dealers whose boxes failed in it; of older ones nobody asks."""
_WANTED: Final = b"u"
"""Set by the first deal: from then on the community wants a key in every epoch."""
_ROW_BYTES: Final = NODE_KEY_BYTES + BOX_BYTES
_DEAL_GAS: Final = 2 * gas.ED25519_VERIFY
"""A point checked, and a proof of one equation."""
_DISPUTE_GAS: Final = 6 * gas.ED25519_VERIFY
"""Three points checked, one proof of two equations, one box opened."""


@final
@dataclass(frozen=True, slots=True)
class DealtKey:
    """A key that stands."""

    epoch: int
    dealer: bytes
    key_hash: bytes


_keys = Records(b"K", DealtKey, "Q20s32s")


def deal_key(ctx: CallContext, epoch: int, hash_: bytes, boxes: bytes) -> None:
    """Let the caller's key serve from now on.

    Args:
        ctx: the caller is a member.
        epoch: the present one.
        hash_: `key_hash` of the key.
        boxes: E, one box for each member, ascending by node key, and the proof that the caller
            knows what is behind E: else it could spoil boxes under an E of somebody else, and
            what their holders then show would open that one's.

    Reverts:
        WRONG_EPOCH, ALREADY_DEALT, DEALER_BARRED.
        BAD_ARGUMENT: the boxes' length, or E is not of prime order.
        BAD_PROOF: the caller does not show that it made E.

    Emits: CommunityKeyDealt.
    """
    members = ctx.member_set()
    if epoch != members.epoch:
        raise Revert(RevertCode.WRONG_EPOCH, f"must be {members.epoch}, got {epoch}")
    serving = _keys.get(ctx, _SERVING)
    if serving is not None and serving.epoch == epoch:
        raise Revert(RevertCode.ALREADY_DEALT, f"by 0x{serving.dealer.hex()}")
    if is_barred(ctx, epoch, ctx.caller):
        raise Revert(RevertCode.DEALER_BARRED, f"a box of 0x{ctx.caller.hex()} failed")
    end = POINT_BYTES + BOX_BYTES * len(members.keys)
    if len(boxes) != end + DEALER_PROOF_BYTES:
        detail = f"boxes must be {end + DEALER_PROOF_BYTES} bytes, got {len(boxes)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    ctx.charge(_DEAL_GAS)
    ephemeral, context = boxes[:POINT_BYTES], deal_context(ctx.genesis_hash, epoch)
    try:
        verify_dealer(context, ctx.caller, ephemeral, boxes[end:])
    except InvalidPoint as error:
        if error.field == "ephemeral":
            raise Revert(RevertCode.BAD_ARGUMENT, "the ephemeral point is not one") from None
        raise Revert(RevertCode.BAD_PROOF, "the proof is not one") from None
    except (DecodeError, InvalidScalar, LinearProofError):
        raise Revert(RevertCode.BAD_PROOF, "the caller does not show that it made E") from None
    ctx.put(_WANTED, b"\1")
    if serving is not None:
        _forget(ctx, _BEFORE)
        _keys.put(ctx, serving, _BEFORE)
    _keys.put(ctx, DealtKey(epoch, ctx.caller, hash_), _SERVING)
    rows = [
        key + boxes[at : at + BOX_BYTES]
        for key, at in zip(members.keys, range(POINT_BYTES, end, BOX_BYTES), strict=True)
    ]
    ctx.put(_BOXES + u64(epoch), ephemeral + b"".join(rows))
    ctx.emit(CommunityKeyDealt(epoch, ctx.caller, hash_))


def dispute_box(ctx: CallContext, member: Member, epoch: int, shared: bytes, proof: bytes) -> None:
    """Void the serving key of `epoch`, because the member's box does not hold it.

    Reverts:
        NOT_DEALT: no key of that epoch serves, or it has no box for the member's node key.
        BAD_PROOF: `shared` is not shown to be the member's.
        BOX_OPENS: the box holds the key.

    Emits: CommunityKeyDisputed.
    """
    serving = _keys.get(ctx, _SERVING)
    if serving is None or serving.epoch != epoch:
        raise Revert(RevertCode.NOT_DEALT, f"no key of epoch {epoch} serves")
    stored = ctx.get(_BOXES + u64(epoch))
    box = _box_of(stored, member.node_key)
    if box is None:
        raise Revert(RevertCode.NOT_DEALT, "there is no box for this node key")
    ctx.charge(_DISPUTE_GAS)
    context, ephemeral = deal_context(ctx.genesis_hash, epoch), stored[:POINT_BYTES]
    try:
        verify_shared(context, member.node_key, ephemeral, shared, proof)
    except (DecodeError, InvalidPoint, InvalidScalar, LinearProofError):
        # Not the error's text: receipts are hashed, and its words are not protocol.
        raise Revert(RevertCode.BAD_PROOF, "shared is not shown to be the member's") from None
    opened = open_shared(context, member.node_key, ephemeral, box, shared)
    if key_hash(context, opened) == serving.key_hash:
        raise Revert(RevertCode.BOX_OPENS, "the box holds the key")
    _bar(ctx, epoch, serving.dealer)
    _forget(ctx, _SERVING)
    before = _keys.get(ctx, _BEFORE)
    if before is not None:
        _keys.put(ctx, before, _SERVING)
        _keys.delete(ctx, _BEFORE)
    ctx.emit(CommunityKeyDisputed(epoch, serving.dealer, ctx.caller))


def forget_key(ctx: CallContext) -> None:
    """Have no key serve: one who knows them was evicted."""
    _forget(ctx, _SERVING)
    _forget(ctx, _BEFORE)


def serving_key(ctx: CallContext) -> tuple[DealtKey, bytes] | None:
    """Return the key that serves and its boxes (E | node key | box | …), or None."""
    serving = _keys.get(ctx, _SERVING)
    return None if serving is None else (serving, ctx.get(_BOXES + u64(serving.epoch)))


def is_due(ctx: CallContext) -> bool:
    """Return whether the community has had a key, and none of the present epoch stands."""
    serving = _keys.get(ctx, _SERVING)
    is_standing = serving is not None and serving.epoch == ctx.member_set().epoch
    return bool(ctx.get(_WANTED)) and not is_standing


def is_barred(ctx: CallContext, epoch: int, dealer: bytes) -> bool:
    """Return whether a box of this dealer has failed in `epoch`."""
    stored = ctx.get(_BARRED)
    return stored[:8] == u64(epoch) and dealer in split_addresses(stored[8:])


def _bar(ctx: CallContext, epoch: int, dealer: bytes) -> None:
    """Bar a dealer; one of an epoch before the newest that has any deals no more by itself."""
    stored, prefix = ctx.get(_BARRED), u64(epoch)
    if stored[:8] <= prefix:
        ctx.put(_BARRED, (stored if stored[:8] == prefix else prefix) + dealer)


def _forget(ctx: CallContext, place: bytes) -> None:
    key = _keys.get(ctx, place)
    if key is not None:
        _keys.delete(ctx, place)
        ctx.put(_BOXES + u64(key.epoch), b"")


def _box_of(stored: bytes, node_key: bytes) -> bytes | None:
    for at in range(POINT_BYTES, len(stored), _ROW_BYTES):
        if stored[at : at + NODE_KEY_BYTES] == node_key:
            return stored[at + NODE_KEY_BYTES : at + _ROW_BYTES]
    return None
