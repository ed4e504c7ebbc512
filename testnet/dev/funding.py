"""Block 1 of a chain for developers: the faucet gives every account money and energy."""

from typing import Final

from crypto import abi
from testnet.dev.dev_chain import DevChain
from testnet.dev.faucet import FAUCET
from vm.transaction import sign_transaction

MONEY: Final = 100_000 * 10**8
"""100,000 EUR for each account."""
ENERGY: Final = 10_000_000
"""10,000 kWh for each account."""
_GIVE: Final = ("address", "uint64", "uint64")
_GIVE_GAS: Final = 500_000


def fund(dev: DevChain) -> None:
    """Seal block 1.

    The operator asks, so that the accounts' nonces, and with them the addresses of their first
    contracts, are those that tutorials show.
    """
    community, chain = dev.community, dev.chain
    is_automine, dev.is_automine = dev.is_automine, False
    holders = [*community.accounts, community.household.account]
    for nonce, account in enumerate(holders):
        data = abi.selector("give(address,uint64,uint64)") + abi.encode(
            _GIVE, (account.address, MONEY, ENERGY)
        )
        chain.submit(
            sign_transaction(
                community.operator,
                chain_id=chain.chain_id,
                nonce=nonce,
                to=FAUCET,
                data=data,
                gas_limit=_GIVE_GAS,
            )
        )
    record = dev.mine()
    dev.is_automine = is_automine
    assert all(receipt.status == 1 for receipt in record.receipts), "the faucet gives"
    assert len(record.receipts) == len(holders), "one block has room for all"
