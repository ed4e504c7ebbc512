"""The contracts that the VM bench runs, on every engine: a loop and an ERC-20, both Vyper's.

They ship compiled (`testnet/data/bench-*`), so that the bench needs no compiler; the source and the
compiler's version stand beside the code.
"""

import json
from importlib.resources import files

from crypto import abi
from crypto.hashing import keccak256
from testnet.evm_fuzz.case import Account, Block, Case

SENDER = bytes.fromhex("5e" * 20)
RECEIVER = bytes.fromhex("57" * 20)
CONTRACT = bytes.fromhex("c0" * 20)
LOOP_ROUNDS = 10_000
_BALANCES_SLOT = 6
"""Of `balanceOf` in bench-erc20.vy."""
_BALANCE = 10**18
_BLOCK = Block(number=100, time_s=1_700_000_000, coinbase=bytes(20), prev_randao=bytes(32))


def code(name: str) -> bytes:
    """Return the runtime code of `name`: "loop" or "erc20"."""
    return _shipped(name, "code")


def token_init_code(supply: int = 10**18) -> bytes:
    """Return what creates the token, its supply in the creator's hands."""
    return _shipped("erc20", "init_code") + supply.to_bytes(32, "big")


def _shipped(name: str, part: str) -> bytes:
    text = files("testnet").joinpath("data/bench-contracts.json").read_text("utf-8")
    return bytes.fromhex(json.loads(text)[name][part].removeprefix("0x"))


def _case(contract: Account, data: bytes, gas_limit: int) -> Case:
    return Case(
        seed=0,
        accounts={SENDER: Account(balance=1), CONTRACT: contract},
        block=_BLOCK,
        sender=SENDER,
        to=CONTRACT,
        value=0,
        data=data,
        gas_limit=gas_limit,
    )


def loop_case(rounds: int = 0) -> Case:
    """Return a call of the loop: a multiplication, an addition and a remainder each round."""
    data = abi.selector("run(uint256)") + abi.encode(("uint256",), (rounds or LOOP_ROUNDS,))
    return _case(Account(nonce=1, code=code("loop")), data, 29_000_000)


def transfer_case() -> Case:
    """Return a transfer of one unit between two holders."""
    data = transfer_data(RECEIVER, 1)
    storage = {balance_slot(holder): _BALANCE for holder in (SENDER, RECEIVER)}
    return _case(Account(nonce=1, code=code("erc20"), storage=storage), data, 100_000)


def balance_slot(holder: bytes) -> int:
    """Return where Vyper keeps `balanceOf[holder]`."""
    key = _BALANCES_SLOT.to_bytes(32, "big") + holder.rjust(32, b"\0")
    return int.from_bytes(keccak256(key), "big")


def transfer_data(to: bytes, amount: int) -> bytes:
    """Return the calldata of an ERC-20 transfer."""
    return abi.selector("transfer(address,uint256)") + abi.encode(
        ("address", "uint256"), (to, amount)
    )
