"""What an activation does to the state: the member set of the next block changes.

The rules about proposals are the contract's (`GOVERNS_MEMBERS`); this module holds those about
READYs and about the place in a block. An activation that breaks one is invalid there, it never
has a receipt with status 0.
"""

from collections.abc import Iterable
from typing import Final

from crypto.errors import DecodeError
from vm import gas
from vm.activation import (
    READY_SPAN,
    ActivationTransaction,
    Ready,
    decode_activation,
    is_activation,
)
from vm.context import BlockInfo, CallContext, Contract, Host, Run
from vm.draft import Draft
from vm.errors import BlockReason, InvalidBlock, InvalidTransaction, Revert, TxReason
from vm.members import keys_hash, quorum
from vm.receipt import Receipt
from vm.state import Journal

_CONTRACT_GAS: Final = 2**62  # What the contract does is bounded by the member count.


def fill_activation(
    host: Host, draft: Draft, activations: Iterable[ActivationTransaction]
) -> tuple[ActivationTransaction, ...]:
    """Append the first valid activation to a block in the making; return the others."""
    void, is_changed = list[ActivationTransaction](), False
    for tx in activations:
        if not is_changed:
            try:
                _append(host, draft, tx)
                is_changed = True
                continue
            except InvalidTransaction:
                pass  # Returned with those that come too late: whoever collects READYs drops it.
        void.append(tx)
    return tuple(void)


def execute_activation(host: Host, draft: Draft, raws: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Run the activation of a stranger's block if one comes first; return what follows.

    Anywhere else, a second one for instance, it is no transaction that the chain knows.

    Raises:
        InvalidBlock: INVALID_TRANSACTION.
    """
    if not raws or not is_activation(raws[0]):
        return raws
    try:
        _append(host, draft, decode_activation(raws[0]))
    except (InvalidTransaction, DecodeError) as error:
        name = error.field.removeprefix("tx.").removeprefix("activation.")
        field = f"transactions[{len(draft.raws)}].{name}"
        raise InvalidBlock(BlockReason.INVALID_TRANSACTION, field, str(error)) from error
    return raws[1:]


def _append(host: Host, draft: Draft, tx: ActivationTransaction) -> None:
    receipt = apply_activation(host, draft.journal, draft.info, tx, gas_before=draft.gas_used)
    draft.add(tx.raw, tx.hash, receipt, gas.native_compute(receipt.gas_used))


def apply_activation(
    host: Host, journal: Journal, block: BlockInfo, tx: ActivationTransaction, *, gas_before: int
) -> Receipt:
    """Check `tx` at this place, change the member set, and return its receipt.

    Raises:
        InvalidTransaction: BAD_ACTIVATION; the journal is unchanged.
    """
    contract = _check(host, journal, block, tx)
    run = Run(host, journal, block, _CONTRACT_GAS)
    mark = journal.snapshot()
    try:
        contract.activate(_context(run, contract), tx.proposal_id)
    except Revert as revert:
        journal.revert(mark)
        raise _invalid("proposal_id", str(revert)) from None
    used = _gas(host, tx)
    return Receipt(
        status=1,
        gas_used=used,
        cumulative_gas=gas_before + used,
        logs=tuple(run.logs),
        output=b"",
    )


def check_activation(
    host: Host, journal: Journal, block: BlockInfo, tx: ActivationTransaction
) -> None:
    """Check whether a block could hold `tx`, for whoever collects READYs.

    Raises:
        InvalidTransaction: BAD_ACTIVATION.
    """
    _check(host, journal, block, tx)


def _check(host: Host, journal: Journal, block: BlockInfo, tx: ActivationTransaction) -> Contract:
    contract = governing_contract(host)
    if contract is None:
        raise _invalid("proposal_id", "this chain has no contract that governs its members")
    try:
        run = Run(host, journal, block, _CONTRACT_GAS)
        new = contract.next_members(_context(run, contract, is_view=True), tx.proposal_id)
    except Revert as revert:
        raise _invalid("proposal_id", str(revert)) from None
    needed = quorum(len(new.keys))
    if len(tx.readies) < needed:
        raise _invalid("readies", f"must be at least {needed}, got {len(tx.readies)}")
    if new.newcomer is not None and all(r.node_key != new.newcomer for r in tx.readies):
        raise _invalid("readies", f"must have one of {new.newcomer.hex()}")
    digest = keys_hash(new.keys)
    for index, ready in enumerate(tx.readies):
        _check_place(f"readies[{index}]", ready, new.keys, block.height)
        if not ready.is_signed(host.genesis.hash, tx.proposal_id, digest):
            raise _invalid(f"readies[{index}].signature", "does not verify")
    return contract


def _check_place(name: str, ready: Ready, keys: tuple[bytes, ...], height: int) -> None:
    if ready.node_key not in keys:
        raise _invalid(f"{name}.node_key", f"{ready.node_key.hex()} is not of the new set")
    if not max(height - READY_SPAN, 0) <= ready.height < height:
        least = max(height - READY_SPAN, 0)
        raise _invalid(f"{name}.height", f"must lie in {least}..{height - 1}, got {ready.height}")


def governing_contract(host: Host) -> Contract | None:
    """Return the one contract that may change the member set, or None."""
    return next((each for each in host.contracts.values() if each.GOVERNS_MEMBERS), None)


def _context(run: Run, contract: Contract, *, is_view: bool = False) -> CallContext:
    address = contract.ADDRESS
    return CallContext(run, address, caller=address, sponsor=b"", is_view=is_view)


def _gas(host: Host, tx: ActivationTransaction) -> int:
    """Return the price of the signatures, but at most the half that deadlines leave of a block.

    So there is always room for an activation, however small the block: nothing else stands
    before it but deadlines.
    """
    limit = host.genesis.block_gas_limit
    price = gas.TX_BASE + gas.ED25519_VERIFY * len(tx.readies)
    return min(price, limit - gas.deadline_gas(limit))


def _invalid(name: str, message: str) -> InvalidTransaction:
    return InvalidTransaction(TxReason.BAD_ACTIVATION, f"tx.{name}", message)
