"""A household's deviation: complete, one direction, and the cheapest split that is allowed."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from market.agents.closing import Deviation, split_deviation

Q = st.integers(0, 16_383)


@given(exp=Q, imp=Q, sold=Q, bought=Q)
def test_the_contract_accepts_the_split(exp, imp, sold, bought) -> None:
    """exp − imp − sold + bought = sur + unu − ext − sho; sur ≤ exp; ext ≤ imp; one direction."""
    parts = split_deviation(exp=exp, imp=imp, sold=sold, bought=bought)
    assert exp - imp - sold + bought == parts.sur + parts.unu - parts.ext - parts.sho
    assert parts.sur <= exp
    assert parts.ext <= imp
    assert (parts.sur + parts.unu) * (parts.ext + parts.sho) == 0
    assert min(parts.sur, parts.unu, parts.ext, parts.sho) >= 0


def test_no_allowed_split_has_less_of_the_penalised_kinds() -> None:
    for exp, imp, sold, bought in product(range(4), repeat=4):
        mine = split_deviation(exp=exp, imp=imp, sold=sold, bought=bought)
        net = exp - imp - sold + bought
        for unu, sho in product(range(9), repeat=2):
            sur, ext = max(0, net) - unu, max(0, -net) - sho
            if 0 <= sur <= exp and 0 <= ext <= imp:
                assert (mine.unu, mine.sho) <= (unu, sho)


def test_exact_delivery_deviates_by_nothing() -> None:
    assert split_deviation(exp=500, imp=0, sold=500, bought=0) == Deviation(
        sur=0, unu=0, ext=0, sho=0
    )
    assert split_deviation(exp=0, imp=300, sold=0, bought=300) == Deviation(
        sur=0, unu=0, ext=0, sho=0
    )
