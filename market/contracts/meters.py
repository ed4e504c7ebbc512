"""Meters: certificates that expire, the registers that were attested, and anchored batches.

Registers are cumulative Wh and start at 0 when a meter is certified. What counts is their
difference, so a meter that was silent is caught up by its next word.
"""

from dataclasses import dataclass, replace
from typing import final

from market.abi import (
    EVENTS,
    MEMBERSHIP,
    METER_ID_CHARS_MAX,
    METERS,
    OPERATOR,
    ZERO_ADDRESS,
    BatchAnchored,
    MeterCertified,
    MeterRevoked,
    RevertCode,
)
from market.contracts.erc20 import check_recipient
from market.contracts.membership import member_of
from market.contracts.storage import U64_MAX, Records, u64
from vm.errors import Revert
from vm.gas import METHOD
from vm.native import (
    U64,
    Address,
    Bytes32,
    CallContext,
    NativeContract,
    Params,
    Str,
    external,
    view,
)

REGISTER_MAX = 2**53
"""Wh. No household's meter gets there; differences and their sums stay far inside 64 bits."""

_METER_ID = b"i"
_METER_OF = b"h"
_BATCH = b"b"

MeterRow = tuple[Address, Bytes32, Str, U64, U64, U64, U64, U64, U64, U64, U64, U64]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """Cumulative Wh at the end of a window."""

    exp: int
    """Exported at the household's connection (OBIS 1-0:2.8.0)."""
    imp: int
    """Imported (OBIS 1-0:1.8.0)."""
    charged: int
    """Into the battery."""
    discharged: int
    """Out of the battery."""
    loss: int
    """Lost in the battery."""


@final
@dataclass(frozen=True, slots=True)
class Certificate:
    """A meter that the operator vouches for, and its last registers."""

    household: bytes
    ring_key: bytes
    valid_until_window: int
    """Last window for which it may attest."""
    pagination: int
    """Of the last record; every record has a greater one."""
    exp: int
    imp: int
    charged: int
    discharged: int
    loss: int
    exp_accounted: int
    """Part of `exp` that windows have accounted for: at most Q for each."""
    imp_accounted: int


_certificates = Records(b"m", Certificate, "20s32sQQQQQQQQQ")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one attestation adds, in Wh."""

    household: bytes
    exp: int
    imp: int
    charged: int
    discharged: int
    loss: int


def record_reading(
    ctx: CallContext,
    meter: bytes,
    registers: Registers,
    *,
    window: int,
    pagination: int,
    quantity_max: int,
) -> Reading:
    """Accept the registers of a certified meter; for the Market, with `ctx.at(METERS)`.

    Energy in and out is accounted up to `quantity_max` each; the rest carries over to the
    meter's next reading.

    Reverts:
        NOT_METER: no certificate, or a revoked one.
        CERTIFICATE_EXPIRED: not valid for `window`.
        PAGINATION_REPEATED: not greater than the last.
        REGISTER_DECREASED, BAD_ARGUMENT: a register below the last one or above REGISTER_MAX.
    """
    held = _certificates.get(ctx, meter)
    if held is None:
        raise Revert(RevertCode.NOT_METER, f"0x{meter.hex()} is no certified meter")
    if ctx.get(_METER_OF + held.household) != meter:
        raise Revert(RevertCode.NOT_METER, f"0x{meter.hex()} is revoked")
    check_validity(held, window)
    if pagination <= held.pagination:
        detail = f"pagination must be above {held.pagination}, got {pagination}"
        raise Revert(RevertCode.PAGINATION_REPEATED, detail)
    for name in ("exp", "imp", "charged", "discharged", "loss"):
        before, now = getattr(held, name), getattr(registers, name)
        if now < before:
            detail = f"{name} must be at least {before}, got {now}"
            raise Revert(RevertCode.REGISTER_DECREASED, detail)
        if now > REGISTER_MAX:
            raise Revert(RevertCode.BAD_ARGUMENT, f"{name} must be at most {REGISTER_MAX}")
    exp = min(registers.exp - held.exp_accounted, quantity_max)
    imp = min(registers.imp - held.imp_accounted, quantity_max)
    after = Certificate(
        held.household,
        held.ring_key,
        held.valid_until_window,
        pagination,
        registers.exp,
        registers.imp,
        registers.charged,
        registers.discharged,
        registers.loss,
        held.exp_accounted + exp,
        held.imp_accounted + imp,
    )
    _certificates.put(ctx, after, meter)
    return Reading(
        household=held.household,
        exp=exp,
        imp=imp,
        charged=registers.charged - held.charged,
        discharged=registers.discharged - held.discharged,
        loss=registers.loss - held.loss,
    )


def check_validity(certificate: Certificate, window: int) -> None:
    """Revert with CERTIFICATE_EXPIRED if the certificate does not cover `window`."""
    if window > certificate.valid_until_window:
        detail = f"valid until window {certificate.valid_until_window}, needed for {window}"
        raise Revert(RevertCode.CERTIFICATE_EXPIRED, detail)


@final
class Meters(NativeContract):
    """Certificates by the operator; batches by households."""

    ADDRESS = METERS
    NAME = "meters"
    PRIVILEGED = True
    EVENTS = EVENTS["Meters"]

    def genesis(self, ctx: CallContext, params: Params) -> None:
        """Write the founders' certificates."""
        super().genesis(ctx, params)
        for member in ctx.genesis.members:
            meter = member.meter
            _certify(
                ctx,
                meter.account,
                _certificate(member.account, meter.ring_key, meter.valid_until_window),
                meter.meter_id,
            )

    @external(gas=METHOD)
    def certify(  # noqa: PLR0917 (a transaction has no keywords)
        self,
        ctx: CallContext,
        meter: Address,
        household: Address,
        ring_key: Bytes32,
        meter_id: Str,
        valid_until_window: U64,
    ) -> None:
        """Vouch for a meter; it may attest for `household` and send transactions.

        Reverts:
            NOT_OPERATOR.
            NOT_MEMBER: `household` is no member.
            BAD_RECIPIENT: the meter's account is zero or a native contract.
            ALREADY_CERTIFIED: this meter was certified before, or the household has another one.
            ALREADY_REGISTERED: the account is registered for something else.
            CERTIFICATE_EXPIRED: already at once.
            BAD_ARGUMENT: the id's length.

        Emits: MeterCertified.
        """
        _require_operator(ctx)
        if member_of(ctx.at(MEMBERSHIP), household) is None:
            raise Revert(RevertCode.NOT_MEMBER, f"0x{household.hex()} is no member")
        check_recipient(meter)
        if not 0 < len(meter_id) <= METER_ID_CHARS_MAX:
            detail = f"meterId must have 1 to {METER_ID_CHARS_MAX} characters"
            raise Revert(RevertCode.BAD_ARGUMENT, f"{detail}, got {len(meter_id)}")
        if _certificates.get(ctx, meter) is not None:
            # A revoked meter must not come back with its registers at 0.
            raise Revert(RevertCode.ALREADY_CERTIFIED, f"0x{meter.hex()} was certified before")
        if ctx.get(_METER_OF + household):
            raise Revert(RevertCode.ALREADY_CERTIFIED, "revoke the household's meter first")
        if ctx.sponsor_of(meter):
            raise Revert(RevertCode.ALREADY_REGISTERED, f"0x{meter.hex()} is another account")
        certificate = _certificate(household, ring_key, valid_until_window)
        check_validity(certificate, ctx.window)
        ctx.register_account(meter, household)
        _certify(ctx, meter, certificate, meter_id)

    @external(gas=METHOD)
    def audit(self, ctx: CallContext, meter: Address, valid_until_window: U64) -> None:
        """Renew a certificate after an audit: also one that has expired, never one revoked.

        Reverts:
            NOT_OPERATOR, UNKNOWN_METER.
            BAD_ARGUMENT: not later than before.

        Emits: MeterCertified.
        """
        _require_operator(ctx)
        held = _load(ctx, meter)
        if ctx.get(_METER_OF + held.household) != meter:
            raise Revert(RevertCode.UNKNOWN_METER, f"0x{meter.hex()} is revoked")
        if valid_until_window <= held.valid_until_window:
            detail = f"validUntilWindow must be above {held.valid_until_window}"
            raise Revert(RevertCode.BAD_ARGUMENT, f"{detail}, got {valid_until_window}")
        _certificates.put(ctx, replace(held, valid_until_window=valid_until_window), meter)
        ctx.emit(MeterCertified(meter, held.household, valid_until_window))

    @external(gas=METHOD)
    def revoke(self, ctx: CallContext, meter: Address) -> None:
        """End a certificate now; the account may send no more. The registers stay as they were.

        Reverts:
            NOT_OPERATOR, UNKNOWN_METER.

        Emits: MeterRevoked.
        """
        _require_operator(ctx)
        held = _load(ctx, meter)
        if ctx.get(_METER_OF + held.household) != meter:
            raise Revert(RevertCode.UNKNOWN_METER, f"0x{meter.hex()} is revoked already")
        ctx.put(_METER_OF + held.household, b"")
        _certificates.put(ctx, replace(held, valid_until_window=0), meter)
        ctx.unregister_account(meter)
        ctx.emit(MeterRevoked(meter, held.household))

    @external(gas=METHOD)
    def anchor(self, ctx: CallContext, window: U64, batch_hash: Bytes32) -> None:
        """Bind a household's data of a window; by any of its accounts, its meter included.

        Reverts:
            NOT_MEMBER: the caller's household.
            WRONG_PHASE: the window has not begun.
            CERTIFICATE_EXPIRED: the caller is a meter whose certificate does not cover the window.
            BAD_ARGUMENT: a hash of zeros.
            ALREADY_ANCHORED.

        Emits: BatchAnchored.
        """
        household = ctx.sponsor
        if member_of(ctx.at(MEMBERSHIP), household) is None:
            raise Revert(RevertCode.NOT_MEMBER, f"0x{household.hex()} is no member")
        if window > ctx.window:
            raise Revert(RevertCode.WRONG_PHASE, f"window {window} has not begun")
        if not any(batch_hash):
            raise Revert(RevertCode.BAD_ARGUMENT, "batchHash is zero")
        held = _certificates.get(ctx, ctx.caller)
        if held is not None:
            check_validity(held, window)
        key = _BATCH + household + u64(window)
        if ctx.get(key):
            raise Revert(RevertCode.ALREADY_ANCHORED, f"window {window}")
        ctx.put(key, batch_hash)
        ctx.emit(BatchAnchored(household, window, batch_hash))

    @view(gas=METHOD)
    def meter(self, ctx: CallContext, account: Address) -> MeterRow:
        """Return the certificate, the last registers and what was accounted.

        Reverts:
            UNKNOWN_METER.
        """
        held = _load(ctx, account)
        return (
            held.household,
            held.ring_key,
            ctx.get(_METER_ID + account).decode(),
            held.valid_until_window,
            held.exp,
            held.imp,
            held.charged,
            held.discharged,
            held.loss,
            held.pagination,
            held.exp_accounted,
            held.imp_accounted,
        )

    @view(gas=METHOD)
    def meter_of(self, ctx: CallContext, household: Address) -> Address:
        """Return the household's meter; zero if it has none."""
        return ctx.get(_METER_OF + household) or ZERO_ADDRESS

    @view(gas=METHOD)
    def batch_of(self, ctx: CallContext, household: Address, window: U64) -> Bytes32:
        """Return the anchored hash; zero if there is none."""
        return ctx.get(_BATCH + household + u64(window)) or bytes(32)


def _certificate(household: bytes, ring_key: bytes, valid_until_window: int) -> Certificate:
    assert 0 <= valid_until_window <= U64_MAX, "the ABI and genesis bound it"
    return Certificate(household, ring_key, valid_until_window, 0, 0, 0, 0, 0, 0, 0, 0)


def _certify(ctx: CallContext, meter: bytes, certificate: Certificate, meter_id: str) -> None:
    _certificates.put(ctx, certificate, meter)
    ctx.put(_METER_ID + meter, meter_id.encode())
    ctx.put(_METER_OF + certificate.household, meter)
    ctx.emit(MeterCertified(meter, certificate.household, certificate.valid_until_window))


def _load(ctx: CallContext, meter: bytes) -> Certificate:
    held = _certificates.get(ctx, meter)
    if held is None:
        raise Revert(RevertCode.UNKNOWN_METER, f"0x{meter.hex()} was never certified")
    return held


def _require_operator(ctx: CallContext) -> None:
    if ctx.sponsor != service_account(ctx, OPERATOR):
        raise Revert(RevertCode.NOT_OPERATOR, "only the operator may do this")


def service_account(ctx: CallContext, name: str) -> bytes:
    """Return the account (20 bytes) of the service `name` in genesis; zero if there is none."""
    return dict(ctx.genesis.services).get(name, ZERO_ADDRESS)
