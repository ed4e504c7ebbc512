"""Makes sealed blocks of transfers in this process, by the rules and with the keys of a testnet."""

from collections import defaultdict
from dataclasses import dataclass
from typing import final

from consensus.certificates import Kind, Seal, SigningDomain, Slot
from consensus.membership import Height, MemberIndex, View
from consensus.messages import SealedBlock
from crypto.keys import AccountKey
from crypto.keystore import HouseholdKeys
from market.agents.events import encode_call
from node.chain import Chain
from node.executor import Executed
from testnet.bank import BankFile, attesters
from testnet.setup import NewTestnet
from vm.block import Header
from vm.transaction import decode, sign_transaction

TRANSFER_GAS = 200_000


@final
@dataclass(frozen=True, slots=True)
class ChainMaker:
    """Makes sealed blocks on a chain of its own."""

    chain: Chain
    households: tuple[HouseholdKeys, ...]

    def sealed(self, executed: Executed) -> SealedBlock:
        """Return the block above the head with its seal."""
        height = Height(self.chain.height + 1)
        seal = self.sign(height, executed.block.header)
        return SealedBlock(height=height, digest=executed.digest, body=executed.body, seal=seal)

    def sign(self, height: int, header: Header) -> Seal:
        """Return the seal of a block at `height` by just enough members."""
        members = self.chain.membership()
        slot = Slot(
            epoch=members.epoch, term=members.term(height), view=View(0), height=Height(height)
        )
        domain = SigningDomain(self.chain.store.digest(0), members.hash())
        payload = domain.payload(Kind.COMMIT, slot, header.hash)
        keys = {each.node.public: each.node for each in self.households}
        return Seal(
            view=View(0),
            signatures=tuple(
                (MemberIndex(i), keys[public].sign(payload))
                for i, public in enumerate(members.members[: members.quorum.certificate])
            ),
        )

    def block(self, raws: list[bytes]) -> None:
        """Make the next block of these transactions, all of which must be valid."""
        time_ms = self.chain.head.time_ms + 1
        executed, refused = self.chain.executor.build(map(decode, raws), time_ms)
        assert executed is not None, "there is something to build"
        assert not refused, f"transfers were refused: {refused[0][1]}"
        self.chain.apply(self.sealed(executed))


@final
class Calls:
    """Signed calls of the households, each with its account's next nonce."""

    def __init__(self, new: NewTestnet) -> None:
        self._chain_id = new.genesis.chain_id
        self._accounts = [keys.account for keys in new.keys.households]
        self._nonces: dict[bytes, int] = defaultdict(int)

    def deposits(self, bank: BankFile) -> list[bytes]:
        """All votes for the bank's deposits, so that everybody has money."""
        count = len(self._accounts)
        return [
            self._call(self._accounts[member], "Ramp", "attestDeposit", each.reference,
                       each.account, each.amount)
            for place, each in enumerate(bank.deposits)
            for member in attesters(place, count)
        ]  # fmt: skip

    def transfer(self, turn: int) -> bytes:
        """A household pays the next one a little."""
        sender = self._accounts[turn % len(self._accounts)]
        to = self._accounts[(turn + 1) % len(self._accounts)]
        return self._call(sender, "MoneyToken", "transfer", to.address, 1 + turn)

    def _call(self, key: AccountKey, contract: str, function: str, *args: object) -> bytes:
        to, data = encode_call(contract, function, args)
        nonce = self._nonces[key.address]
        self._nonces[key.address] += 1
        return sign_transaction(
            key,
            chain_id=self._chain_id,
            nonce=nonce,
            to=to,
            data=data,
            gas_limit=TRANSFER_GAS,
        )
