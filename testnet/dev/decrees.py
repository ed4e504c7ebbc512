"""Changes of the state that no transaction makes: code, storage, nonces, registrations."""

from typing import Final

from crypto.hashing import keccak256
from testnet.dev.dev_chain import DevChain
from testnet.dev.errors import DevRefusal
from vm import accounts, contract_state
from vm.accounts import Account
from vm.state import Journal

CODE_BYTES_MAX: Final = 24_576
"""EIP-170."""
_NONCE_MAX: Final = 2**64 - 2
"""EIP-2681."""


def set_code(dev: DevChain, address: bytes, code: bytes) -> None:
    """Put bytecode at an address; none removes it. Raises DevRefusal."""
    _refuse_native(dev, address)
    if len(code) > CODE_BYTES_MAX:
        raise DevRefusal(f"code must be at most {CODE_BYTES_MAX} bytes (EIP-170), got {len(code)}")

    def write(journal: Journal) -> None:
        account = accounts.read_account(journal, address)
        code_hash = keccak256(code) if code else b""
        if code:
            journal.put(contract_state.code_key(code_hash), code)
        changed = Account(account.nonce, account.sponsor, code_hash)
        accounts.write_account(journal, address, changed)

    dev.edit(write)


def set_storage(dev: DevChain, address: bytes, slot: int, value: int) -> None:
    """Set a slot of bytecode's storage. Raises DevRefusal."""
    _refuse_native(dev, address)
    dev.edit(lambda journal: contract_state.write_storage(journal, address, slot, value))


def set_nonce(dev: DevChain, address: bytes, nonce: int) -> None:
    """Raise an account's nonce. Raises DevRefusal: it would fall, or transactions wait."""
    _refuse_native(dev, address)
    account = accounts.read_account(dev.chain.state(), address)
    if not account.nonce <= nonce <= _NONCE_MAX:
        raise DevRefusal(f"nonce must lie in {account.nonce}..2**64-2, got {nonce}: it never falls")
    if dev.chain.pool.pending_nonce(address) is not None:
        raise DevRefusal("transactions of the account wait: seal them first")
    changed = Account(nonce, account.sponsor, account.code_hash)
    dev.edit(lambda journal: accounts.write_account(journal, address, changed))


def impersonate(dev: DevChain, address: bytes) -> None:
    """Take transactions of `address` without its signature from now on.

    Who is not registered is registered by the first account. Raises DevRefusal.
    """
    _refuse_native(dev, address)
    account = accounts.read_account(dev.chain.state(), address)
    if account.code_hash:
        raise DevRefusal(
            f"0x{address.hex()} has code, and no block may hold a transaction of a contract "
            "(EIP-3607): remove it by anvil_setCode, or call through a contract"
        )
    if not account.sponsor:
        sponsor = dev.community.accounts[0].address
        dev.edit(lambda journal: accounts.register(journal, address, sponsor))
    dev.impersonated.add(address)


def _refuse_native(dev: DevChain, address: bytes) -> None:
    if address in dev.chain.machine.contracts:
        raise DevRefusal(f"0x{address.hex()} is a native contract: its state has its own rules")
