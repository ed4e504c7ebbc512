"""What Ethereum's clients ask of the state after a block: accounts, code, storage, calls."""

import asyncio
from typing import cast, final

from node.chain import Chain
from node.rpc.access_list import AccessListTracer
from node.rpc.chain_reads import CallArgs, StateView, read_call, read_fixed_state, read_state
from node.rpc.dispatch import Handler
from node.rpc.errors import Code, RpcFault, call_failed
from node.rpc.values import (
    Args,
    BadValue,
    Json,
    Out,
    read_address,
    read_data,
    read_list,
    read_object,
    to_data,
    to_quantity,
)
from vm.contract_state import code_at, storage_at
from vm.errors import CallReverted, TxReason
from vm.evm.tracing import Tracer
from vm.gas import call_intrinsic_gas
from vm.machine import CallResult
from vm.native import SENTINEL_CODE
from vm.questions import Steps
from vm.transaction import TX_BYTES_MAX, AccessList

STORAGE_VALUES_MAX = 1_024
"""Slots in one `eth_getStorageValues`; as geth."""
ACCESS_LIST_ROUNDS_MAX = 8
"""Executions until an access list must have settled."""
_SLOT_TEXT_MAX = 66


@final
class StateMethods:
    """Handlers over one chain; the block parameter may be any whose state is kept."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def table(self) -> dict[str, Handler]:
        """Return the handlers by name."""
        return {
            "eth_getBalance": self.balance,
            "eth_getTransactionCount": self.nonce,
            "eth_getCode": self.code,
            "eth_getStorageAt": self.storage_at,
            "eth_getStorageValues": self.storage_values,
            "eth_call": self.call,
            "eth_estimateGas": self.estimate_gas,
            "eth_createAccessList": self.access_list,
            "eth_sendRawTransaction": self.send_raw,
        }

    # Accounts.

    def balance(self, args: Args) -> Out:
        """The gas that the account's sponsor may still use in this window, as a native balance.

        There is no coin; wallets that would say "insufficient funds" see what really limits.
        """
        address = read_address(args.get(0), "address")
        view = read_state(self._chain, args.get(1))
        info = self._chain.machine.account_info(view.state, address, view.time_ms)
        return to_quantity(info.quota_left)

    def nonce(self, args: Args) -> Out:
        address = read_address(args.get(0), "address")
        view = read_state(self._chain, args.get(1))
        if view.is_pending:
            return to_quantity(self._chain.pending_nonce(address))
        return to_quantity(self._chain.machine.next_nonce(view.state, address))

    def code(self, args: Args) -> Out:
        address = read_address(args.get(0), "address")
        view = read_state(self._chain, args.get(1))
        if address in self._chain.machine.contracts:
            return to_data(SENTINEL_CODE)
        return to_data(code_at(view.state, address))

    def storage_at(self, args: Args) -> Out:
        """A slot of bytecode's storage; native contracts have none (see `hearth_getProof`)."""
        address, slot = read_address(args.get(0), "address"), _slot(args.get(1))
        view = read_state(self._chain, args.get(2))
        return _word(storage_at(view.state, address, slot))

    def storage_values(self, args: Args) -> Out:
        """Slots of several contracts: {address: [slot, …]} gives {address: [value, …]}."""
        asked = read_object(args.get(0), "slots")
        view = read_state(self._chain, args.get(1))
        wanted: list[tuple[str, bytes, list[int]]] = []
        for name, slots in asked.items():
            items = read_list(slots, "slots", STORAGE_VALUES_MAX)
            wanted.append((name, read_address(name, "slots"), [_slot(item) for item in items]))
        count = sum(len(slots) for _, _, slots in wanted)
        if not count:
            raise BadValue("empty request")
        if count > STORAGE_VALUES_MAX:
            raise BadValue(f"too many slots (max {STORAGE_VALUES_MAX})")
        return {
            name: [_word(storage_at(view.state, address, slot)) for slot in slots]
            for name, address, slots in wanted
        }

    # Calls and transactions.

    def call(self, args: Args) -> Out:
        call = read_call(self._chain, args.get(0))
        result = self._run(read_state(self._chain, args.get(1)), call, call.access_list)
        if result.status == 0:
            raise call_failed(result.output, result.error)
        return to_data(result.output)

    async def estimate_gas(self, args: Args) -> Out:
        call = read_call(self._chain, args.get(0))
        view = read_fixed_state(self._chain, args.get(1))
        steps = self._chain.machine.estimate_gas(
            view.header,
            view.state,
            sender=call.sender,
            to=call.to,
            data=call.data,
            access_list=call.access_list,
            time_ms=view.time_ms,
        )
        try:
            gas = await _in_turns(steps)
        except CallReverted as error:
            raise call_failed(error.output, error.error) from None
        if gas > call.gas and self._run(view, call, call.access_list).status == 0:
            raise RpcFault(Code.SERVER, f"gas required exceeds allowance ({call.gas})")
        return to_quantity(min(gas, call.gas))

    async def access_list(self, args: Args) -> Out:
        """What a call touches, and the gas that it uses once that is listed.

        A listed slot is cheaper, so the call may go further and touch more: it is repeated until
        nothing is new.
        """
        call = read_call(self._chain, args.get(0))
        view = read_fixed_state(self._chain, args.get(1))
        listed, result = self._touched(view, call, call.access_list)
        for _ in range(ACCESS_LIST_ROUNDS_MAX):
            await asyncio.sleep(0)  # A call may compute as long as half a block does.
            found, result = self._touched(view, call, listed)
            if found == listed:
                break
            listed = found
        intrinsic = call_intrinsic_gas(call.to, call.data, listed)
        answer: dict[str, Out] = {
            "accessList": [
                {"address": to_data(address), "storageKeys": [to_data(slot) for slot in slots]}
                for address, slots in listed
            ],
            "gasUsed": to_quantity(intrinsic + result.gas_used),
        }
        if result.error:
            answer["error"] = result.error
        return answer

    def _touched(
        self, view: StateView, call: CallArgs, listed: AccessList
    ) -> tuple[AccessList, CallResult]:
        tracer = AccessListTracer(listed, hidden=frozenset((call.sender, call.to)))
        result = self._run(view, call, listed, tracer)
        return tracer.access_list(), result

    def _run(
        self,
        view: StateView,
        call: CallArgs,
        access_list: AccessList,
        tracer: Tracer | None = None,
    ) -> CallResult:
        intrinsic = call_intrinsic_gas(call.to, call.data, access_list)
        if call.gas < intrinsic:
            message = f"{TxReason.INTRINSIC_GAS.text}: have {call.gas}, want {intrinsic}"
            raise RpcFault(Code.SERVER, message)
        return self._chain.machine.call(
            view.header,
            view.state,
            sender=call.sender,
            to=call.to,
            data=call.data,
            gas=call.gas - intrinsic,
            access_list=access_list,
            time_ms=view.time_ms,
            tracer=tracer,
        )

    def send_raw(self, args: Args) -> Out:
        """Admit a transaction. Its hash is no promise: a receipt is."""
        raw = read_data(args.get(0), "transaction", max_length=TX_BYTES_MAX)
        return to_data(self._chain.submit(raw))


async def _in_turns(steps: Steps) -> int:
    """Take the steps, each in a turn of its own: an execution may take as long as half a block."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return cast("int", end.value)
        await asyncio.sleep(0)


def _slot(value: Json) -> int:
    """Return a slot's number; shorter and odd lengths are fine, and the words geth's."""
    if not isinstance(value, str) or not value.startswith(("0x", "0X")):
        raise BadValue("slot: must be 0x-hex of at most 32 bytes")
    if len(value) > _SLOT_TEXT_MAX:
        raise BadValue(f'storage key too long (want at most 32 bytes): "{value[:80]}"')
    try:
        return int.from_bytes(bytes.fromhex(value[2:].zfill(64)), "big")
    except ValueError:
        raise BadValue(f'invalid hex in storage key: "{value}"') from None


def _word(number: int) -> str:
    return to_data(number.to_bytes(32, "big"))
