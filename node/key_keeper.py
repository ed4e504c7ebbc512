"""Keeps the community's shared key in being, in a household's name: deals, opens, disputes.

A core that is stepped: what the chain says goes in, at most one call comes out. The first key is
dealt by hand (`hearth members rekey`); from then on a key that is due is dealt by the members in
turn, so that one transaction is made and not one by each: the first in the order that begins with
member (epoch mod n), and if none comes, the next after TURN_MS.
"""

from dataclasses import dataclass
from typing import Final, final

from crypto.community_box import (
    BOX_BYTES,
    KEY_BYTES,
    POINT_BYTES,
    deal,
    deal_context,
    key_hash,
    open_box,
    prove_shared,
)
from crypto.errors import InvalidPoint
from crypto.keys import NodeKey
from crypto.transcript import SYSTEM_RNG, Rng

TURN_MS: Final = 5_000
AGAIN_MS: Final = 30_000
"""After so long a call that has changed nothing is made anew."""
_ROW_BYTES: Final = POINT_BYTES + BOX_BYTES


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """What the chain says of the shared key, at the head."""

    epoch: int
    """The present one."""
    members: tuple[bytes, ...]
    """Node keys of the present epoch, ascending."""
    is_due: bool
    is_barred: bool
    """Whether a box of this household's has failed in the present epoch."""
    key_epoch: int = 0
    key_hash: bytes = b""
    """Of the key that serves; empty if none does."""
    boxes: bytes = b""
    """E, then node key and box of each member of `key_epoch`."""


@final
@dataclass(frozen=True, slots=True)
class Call:
    """A function of Membership that the household's account should call."""

    function: str
    args: tuple[int | bytes, ...]


@final
class KeyKeeper:
    """Of one node."""

    def __init__(
        self, node: NodeKey, account: bytes, genesis_hash: bytes, *, rng: Rng = SYSTEM_RNG
    ) -> None:
        """Begin without a key; `node` is this node's (SECRET), `account` its household's."""
        self._node = node
        self._account = account
        self._genesis_hash = genesis_hash
        self._rng = rng
        self._epoch = -1
        self._due_ms: int | None = None
        self._called: tuple[str, int, int] | None = None  # Function, epoch, when.
        self._opened: tuple[bytes, bytes | None] = (b"", None)  # Hash of the key, and the key.

    def key(self, state: KeyState) -> bytes | None:
        """Return the key that serves, 32 bytes, or None: there is none, or no box, or it fails."""
        if self._opened[0] != state.key_hash:
            self._opened = (state.key_hash, self._open(state))
        return self._opened[1]

    def step(self, state: KeyState, now_ms: int) -> Call | None:
        """Return what should be called now, if anything."""
        if state.key_hash and self._has_box(state) and self.key(state) is None:
            return self._once("disputeBox", state.key_epoch, now_ms, state)
        if not state.is_due or state.is_barred or self._node.public not in state.members:
            self._due_ms = None
            return None
        if self._due_ms is None or self._epoch != state.epoch:
            self._epoch, self._due_ms = state.epoch, now_ms
        count = len(state.members)
        turn = (state.members.index(self._node.public) - state.epoch) % count
        if now_ms - self._due_ms < turn * TURN_MS:
            return None
        return self._once("rekey", state.epoch, now_ms, state)

    def _once(self, function: str, epoch: int, now_ms: int, state: KeyState) -> Call | None:
        """Return the call unless it was made lately."""
        if self._called is not None:
            before, of_epoch, when_ms = self._called
            if (before, of_epoch) == (function, epoch) and now_ms - when_ms < AGAIN_MS:
                return None
        self._called = (function, epoch, now_ms)
        if function == "rekey":
            args = deal_args(self._genesis_hash, epoch, self._account, state.members, rng=self._rng)
            return Call(function, args)
        context = deal_context(self._genesis_hash, epoch)
        shared, proof = prove_shared(context, self._node, state.boxes[:POINT_BYTES], rng=self._rng)
        return Call(function, (epoch, shared, proof))

    def _has_box(self, state: KeyState) -> bool:
        return self._box(state) is not None

    def _box(self, state: KeyState) -> bytes | None:
        for at in range(POINT_BYTES, len(state.boxes), _ROW_BYTES):
            if state.boxes[at : at + POINT_BYTES] == self._node.public:
                return state.boxes[at + POINT_BYTES : at + _ROW_BYTES]
        return None

    def _open(self, state: KeyState) -> bytes | None:
        box = self._box(state)
        if box is None:
            return None
        context = deal_context(self._genesis_hash, state.key_epoch)
        try:
            key = open_box(context, self._node, state.boxes[:POINT_BYTES], box)
        except InvalidPoint as error:
            raise AssertionError("the contract has checked the point") from error
        return key if key_hash(context, key) == state.key_hash else None


def deal_args(
    genesis_hash: bytes,
    epoch: int,
    dealer: bytes,
    members: tuple[bytes, ...],
    *,
    rng: Rng = SYSTEM_RNG,
) -> tuple[int, bytes, bytes]:
    """Return the arguments of `rekey`, called by the account `dealer`, with a fresh key.

    `members`: their node keys, ascending.
    """
    context, key = deal_context(genesis_hash, epoch), rng(KEY_BYTES)
    return epoch, key_hash(context, key), deal(context, dealer, key, members, rng=rng)
