"""How often a member may change by itself: each such change begins an epoch for everybody.

An epoch costs every node a hand-over for ever, and every newcomer a seal to verify, so what is
bounded is the epochs that begin, not the attempts. They are counted by a leaky bucket of a day:
OWN_EPOCHS_BURST at once, for a key that is lost or stolen more than once, or a bad disk; after that
one in OWN_EPOCH_WINDOWS. A change that never takes effect costs none, so one that was wrong is made
anew at once; how many are proposed is bounded for each window.
"""

from dataclasses import dataclass, replace
from typing import final

from market.abi import (
    OWN_CHANGES_PER_WINDOW_MAX,
    OWN_EPOCH_WINDOWS,
    OWN_EPOCHS_BURST,
    RevertCode,
)
from market.contracts.storage import Records
from vm.errors import Revert
from vm.native import CallContext


@final
@dataclass(frozen=True, slots=True)
class _Rate:
    window: int
    """In which the member last proposed a change of its own."""
    proposed: int
    """How many in that window."""
    epochs: int
    """That it has begun and that count still."""
    since_window: int
    """From which on the next of them ceases to count OWN_EPOCH_WINDOWS later."""


_rates = Records(b"k", _Rate, "QQQQ")


def count_proposal(ctx: CallContext, member: bytes) -> None:
    """Count a change of the member's own that it proposes.

    Reverts:
        TOO_MANY: OWN_CHANGES_PER_WINDOW_MAX in this window, or as many epochs as it may begin.
    """
    rate = _load(ctx, member)
    if rate.proposed >= OWN_CHANGES_PER_WINDOW_MAX:
        detail = f"{rate.proposed} changes of this member in this window"
        raise Revert(RevertCode.TOO_MANY, detail)
    if rate.epochs >= OWN_EPOCHS_BURST:
        next_window = rate.since_window + OWN_EPOCH_WINDOWS
        detail = f"{rate.epochs} epochs by this member; the next from window {next_window} on"
        raise Revert(RevertCode.TOO_MANY, detail)
    _rates.put(ctx, replace(rate, proposed=rate.proposed + 1), member)


def count_epoch(ctx: CallContext, member: bytes) -> None:
    """Count an epoch that begins by a change of the member's own."""
    rate = _load(ctx, member)
    _rates.put(ctx, replace(rate, epochs=rate.epochs + 1), member)


def forget_rate(ctx: CallContext, member: bytes) -> None:
    """Forget who is no member any more: to come back it needs votes."""
    _rates.delete(ctx, member)


def _load(ctx: CallContext, member: bytes) -> _Rate:
    """Return the rate as of this window."""
    window = ctx.window
    held = _rates.get(ctx, member)
    if held is None:
        return _Rate(window, 0, 0, window)
    passed = (window - held.since_window) // OWN_EPOCH_WINDOWS
    epochs = max(0, held.epochs - passed)
    since = held.since_window + passed * OWN_EPOCH_WINDOWS if epochs else window
    return _Rate(window, held.proposed if held.window == window else 0, epochs, since)
