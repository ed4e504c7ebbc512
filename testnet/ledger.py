"""What happened, read from the chain's events alone: windows, bills, tokens.

The report trusts no counter of a contract. From the events it computes again what each window
should have paid, by the market's formulas, and what every account should hold; the report then
compares that with the balances that the nodes answer.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, final

from market import abi
from market.agents.events import decode_events
from market.agents.observations import BlockSeen
from market.units import cost

LogLine: TypeAlias = tuple[bytes, tuple[bytes, ...], bytes]
"""(contract address, topics, data), in the order of the chain."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """Genesis prices of the market in 10⁻⁸ EUR per Wh, and the fee in 10⁻⁸ EUR."""

    retail: int
    feed_in: int
    penalty: int
    confirm_fee: int


@final
@dataclass(slots=True, kw_only=True)
class Agreement:
    """A recorded agreement; `seller` and `buyer` are enrolled accounts."""

    seller: bytes
    buyer: bytes
    quantity: int
    price: int
    is_confirmed: bool = False


@final
@dataclass(frozen=True, slots=True)
class Prices:
    """What the deviations of one window cost; 10⁻⁸ EUR per Wh."""

    p_sur: int
    p_unu: int
    p_ext: int
    p_sho: int


@final
@dataclass(frozen=True, slots=True)
class Net:
    """A household's window in money (10⁻⁸ EUR): positive is income."""

    sold: int
    bought: int
    deviation: int
    fees: int

    @property
    def total(self) -> int:
        """What the window changes in the household's money."""
        return self.sold - self.bought + self.deviation - self.fees


@final
@dataclass(slots=True)
class WindowBook:
    """Everything that the events say of one window. Accounts are the enrolled ones."""

    households: dict[bytes, bytes] = field(default_factory=dict)
    """Enrolled account -> household."""
    deposits: dict[bytes, int] = field(default_factory=dict)
    offered: Counter[bytes] = field(default_factory=Counter)
    demanded: Counter[bytes] = field(default_factory=Counter)
    agreements: dict[bytes, Agreement] = field(default_factory=dict)
    attested: dict[bytes, abi.Attested] = field(default_factory=dict)
    closed: dict[bytes, abi.Closed] = field(default_factory=dict)
    late: set[bytes] = field(default_factory=set)
    """Accounts that closed after the window was settled."""
    settled: abi.Settled | None = None
    paid: dict[bytes, abi.Paid] = field(default_factory=dict)
    has_reserve: bool = True
    external_paid: int = 0
    external_received: int = 0

    def confirmed(self) -> list[Agreement]:
        """Return the firm agreements."""
        return [a for a in self.agreements.values() if a.is_confirmed]

    @property
    def traded_wh(self) -> int:
        """Energy of the firm agreements."""
        return sum(a.quantity for a in self.confirmed())

    @property
    def tradeable_wh(self) -> int:
        """What both sides had declared before they negotiated."""
        return min(self.offered.total(), self.demanded.total())

    @property
    def unsold_while_demanded_wh(self) -> int:
        """What was left on both sides when recording ended."""
        traded = self.traded_wh
        return min(self.offered.total() - traded, self.demanded.total() - traded)

    def account_of(self, household: bytes) -> bytes | None:
        """Return the account that the household enrolled, or None."""
        return next((a for a, owner in self.households.items() if owner == household), None)

    def prices(self, tariff: Tariff) -> Prices:
        """Return the prices that follow from what the households closed in time.

        p_sur = ⌊(M·m + (U-M)·λ_s)/U⌋ and p_ext = ⌈(M·m + (T-M)·λ_b)/T⌉, M = min(U, T).
        """
        in_time = [closed for account, closed in self.closed.items() if account not in self.late]
        surplus = sum(c.sur + c.unu for c in in_time)
        deficit = sum(c.ext + c.sho for c in in_time)
        return _clear(tariff, surplus, deficit, has_reserve=self.has_reserve)

    def closing_prices(self, account: bytes, tariff: Tariff) -> Prices:
        """Return the prices at which `account`, which has closed, settles its deviation.

        Who closes after the window was settled meets nobody: it pays the outside's prices.
        """
        if account not in self.late:
            return self.prices(tariff)
        closed = self.closed[account]
        surplus, deficit = closed.sur + closed.unu, closed.ext + closed.sho
        return _clear(tariff, surplus, deficit, has_reserve=self.has_reserve)

    def net(self, account: bytes, tariff: Tariff) -> Net:
        """Return what the window pays to the holder of `account`, which has closed."""
        sold = bought = fees = 0
        for agreement in self.agreements.values():
            if not agreement.is_confirmed:
                fees += tariff.confirm_fee if agreement.buyer == account else 0
            elif agreement.seller == account:
                sold += cost(agreement.quantity, agreement.price)
            elif agreement.buyer == account:
                bought += cost(agreement.quantity, agreement.price)
        closed = self.closed[account]
        prices = self.closing_prices(account, tariff)
        deviation = (
            cost(closed.sur, prices.p_sur)
            + cost(closed.unu, prices.p_unu)
            - cost(closed.ext, prices.p_ext)
            - cost(closed.sho, prices.p_sho)
        )
        return Net(sold, bought, deviation, fees)


@final
@dataclass(slots=True)
class TokenBook:
    """One token, by its transfers."""

    minted: int = 0
    burnt: int = 0
    balances: Counter[bytes] = field(default_factory=Counter)

    def add(self, event: abi.Transfer) -> None:
        """Book one transfer; from and to nobody are minting and burning."""
        if event.source == abi.ZERO_ADDRESS:
            self.minted += event.value
        else:
            self.balances[event.source] -= event.value
        if event.to == abi.ZERO_ADDRESS:
            self.burnt += event.value
        else:
            self.balances[event.to] += event.value


@final
class Ledger:
    """All windows and tokens of a chain, from its events."""

    def __init__(self, logs: Iterable[LogLine]) -> None:
        """Read `logs`, all of the chain's from block 1 on, in order."""
        self.windows: defaultdict[int, WindowBook] = defaultdict(WindowBook)
        self.money = TokenBook()
        self.energy = TokenBook()
        self.deposited: Counter[bytes] = Counter()
        """Account -> money minted by the ramp."""
        self.withdrawn: Counter[bytes] = Counter()
        self.debt_wh: dict[bytes, int] = {}
        self.fund = 0
        for line in logs:
            self.add(line)

    def add(self, line: LogLine) -> None:
        """Book one log; those of unknown contracts and kinds are skipped."""
        seen = BlockSeen(height=0, time_ms=0, transactions=(), events=(line,))
        for event in decode_events(seen):
            if isinstance(event, abi.Transfer):
                self._token(line[0]).add(event)
            else:
                self._book(event)

    def paid_net(self, household: bytes, tariff: Tariff, windows: Iterable[int]) -> int:
        """Return Σ net of the household over those of `windows` that were paid to it."""
        total = 0
        for window in windows:
            book = self.windows[window]
            account = book.account_of(household)
            if account is not None and account in book.paid:
                total += book.net(account, tariff).total
        return total

    def locked(self, household: bytes) -> int:
        """Return the deposits of the household in windows that have not paid it yet."""
        total = 0
        for book in self.windows.values():
            account = book.account_of(household)
            if account is not None and account not in book.paid:
                total += book.deposits[account]
        return total

    def _token(self, address: bytes) -> TokenBook:
        return self.money if address == abi.MONEY_TOKEN else self.energy

    def _book(self, event: abi.Event) -> None:
        match event:
            case abi.DepositMinted():
                self.deposited[event.to] += event.amount
            case abi.WithdrawalRequested():
                self.withdrawn[event.household] += event.amount
            case abi.EnergyDebt():
                self.debt_wh[event.household] = event.debt
            case abi.FundChanged():
                self.fund += event.delta
            case _:
                _book_trade(self.windows, event)


def _book_trade(windows: Mapping[int, WindowBook], event: abi.Event) -> None:
    """Book what happens before delivery."""
    match event:
        case abi.Enrolled():
            windows[event.window].households[event.account] = event.household
            windows[event.window].deposits[event.account] = event.deposit
        case abi.OfferMade():
            windows[event.window].offered[event.seller] += event.quantity
        case abi.CallMade():
            windows[event.window].demanded[event.buyer] += event.quantity
        case abi.TransactionAllowed():
            windows[event.window].agreements[event.agreement_id] = Agreement(
                seller=event.seller,
                buyer=event.buyer,
                quantity=event.quantity,
                price=event.price,
            )
        case abi.TransactionConfirmed():
            windows[event.window].agreements[event.agreement_id].is_confirmed = True
        case _:
            _book_settlement(windows, event)


def _book_settlement(windows: Mapping[int, WindowBook], event: abi.Event) -> None:
    """Book what happens from delivery on; other events change nothing here."""
    match event:
        case abi.Attested():
            windows[event.window].attested[event.account] = event
        case abi.Closed():
            book = windows[event.window]
            book.closed[event.account] = event
            if book.settled is not None:
                book.late.add(event.account)
        case abi.Settled():
            windows[event.window].settled = event
        case abi.Paid():
            windows[event.window].paid[event.account] = event
        case abi.ReserveMissing():
            windows[event.window].has_reserve = False
        case abi.ExternalSettled():
            windows[event.window].external_paid += event.paid
            windows[event.window].external_received += event.received
        case _:
            pass


def _clear(tariff: Tariff, surplus: int, deficit: int, *, has_reserve: bool) -> Prices:
    matched = min(surplus, deficit)
    inside = matched * ((tariff.feed_in + tariff.retail) // 2)
    p_sur, p_ext = tariff.feed_in, tariff.retail
    if surplus:
        p_sur = (inside + (surplus - matched) * tariff.feed_in) // surplus
    if deficit:
        p_ext = -(-(inside + (deficit - matched) * tariff.retail) // deficit)
    return Prices(
        p_sur=p_sur if has_reserve else 0,
        p_unu=max(0, tariff.feed_in - tariff.penalty) if has_reserve else 0,
        p_ext=p_ext,
        p_sho=tariff.retail + tariff.penalty,
    )
