"""The household's core as a whole: what it shows of its secrets."""

from crypto.hashing import tagged_hash
from crypto.keys import AccountKey
from market.agents.household import HouseholdConfig, _identity
from tests.market.agents.test_smart_meter import TERMS


def config() -> HouseholdConfig:
    keys = [AccountKey(tagged_hash(b"test/account", name)) for name in (b"h", b"s", b"b")]
    return HouseholdConfig(
        household=keys[0],
        seller=keys[1],
        buyer=keys[2],
        secret=b"s" * 32,
        data_key=b"d" * 32,
        endpoint="",
        battery=None,
        quarter_of_window_0=0,
        first_window=2,
    )


def test_no_secret_shows_in_a_repr() -> None:
    """A repr ends up in logs and tracebacks."""
    for text in (repr(config()), repr(_identity(config(), TERMS))):
        assert "ssss" not in text
        assert "dddd" not in text
        assert str(config().household.secret)[2:-1] not in text
