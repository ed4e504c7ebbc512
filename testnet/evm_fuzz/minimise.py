"""A shorter case that still fails, after Zeller and Hildebrandt's ddmin (TSE 2002).

An instruction is taken out by JUMPDESTs in its place: jumps then still meet their targets.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import final

from testnet.evm_fuzz.assembly import JUMPDEST, instructions
from testnet.evm_fuzz.case import Account, Case

RUNS_MAX = 2_000
"""Cases tried for one that fails."""


@final
class _Search:
    """The best case so far, and the tries that are left."""

    def __init__(self, case: Case, fails: Callable[[Case], bool], runs_max: int) -> None:
        self.best = case
        self._fails = fails
        self._left = runs_max

    def offer(self, case: Case) -> bool:
        """Keep `case` if it fails, too."""
        if self._left == 0 or case == self.best:
            return False
        self._left -= 1
        if not self._fails(case):
            return False
        self.best = case
        return True


def minimise(case: Case, fails: Callable[[Case], bool], runs_max: int = RUNS_MAX) -> Case:
    """Return a case that is smaller than `case` and fails like it.

    Args:
        case: one for which `fails` is true.
        fails: whether a case shows the fault.
        runs_max: calls of `fails`, at most.
    """
    search = _Search(case, fails, runs_max)
    for smaller in _without_parts(case):
        search.offer(smaller(search.best))
    for address in case.accounts:
        if search.best.accounts.get(address, Account()).code:
            _shorten(search, address)
    if case.to is None:
        _shorten(search, None)
    return search.best


def _without_parts(case: Case) -> Iterator[Callable[[Case], Case]]:
    """Yield ways to leave out an account, its storage, the access list, the value or the data."""
    for address in case.accounts:
        if address not in (case.sender, case.to):
            yield partial(_without_account, address)
        yield partial(_without_storage, address)
    yield lambda best: replace(best, access_list=())
    yield lambda best: replace(best, value=0)
    if case.to is not None:
        yield lambda best: replace(best, data=b"")


def _without_account(address: bytes, case: Case) -> Case:
    accounts = {other: each for other, each in case.accounts.items() if other != address}
    return replace(case, accounts=accounts)


def _without_storage(address: bytes, case: Case) -> Case:
    account = case.accounts.get(address)
    if account is None or not account.storage:
        return case
    return replace(case, accounts={**case.accounts, address: replace(account, storage={})})


def _shorten(search: _Search, address: bytes | None) -> None:
    """Cut off or blank out instructions of one program, many at once at first.

    Args:
        search: what is made smaller.
        address: of the program; None for the init code that the transaction carries.
    """
    size = len(instructions(_code(search.best, address)))
    while size := size // 2:
        start = 0
        while start < len(places := instructions(code := _code(search.best, address))):
            first, last = places[start][0], places[min(start + size, len(places)) - 1][1]
            blank = code[:first] + bytes((JUMPDEST,)) * (last - first) + code[last:]
            if not (first and search.offer(_with_code(search.best, address, code[:first]))):
                search.offer(_with_code(search.best, address, blank))
            start += size


def _code(case: Case, address: bytes | None) -> bytes:
    return case.data if address is None else case.accounts[address].code


def _with_code(case: Case, address: bytes | None, code: bytes) -> Case:
    return replace(case, data=code) if address is None else case.with_code(address, code)
