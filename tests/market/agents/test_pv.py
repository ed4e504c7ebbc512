"""The owner's store: an hour's batch and its keyed hash, which a buyer of the data recomputes."""

from market.agents.devices.pv import WINDOWS_KEPT, PhotovoltaicAgent, batch_hash
from tests.market.agents.test_forecaster import reading


def agent(key: bytes = bytes(32)) -> PhotovoltaicAgent:
    made = PhotovoltaicAgent(key)
    for quarter in range(8):
        made.take(quarter // 4, reading(quarter, load_wh=10, pv_wh=quarter))
    return made


def test_production_and_hash_of_an_hour() -> None:
    panel = agent()
    assert panel.production_wh(1) == 4 + 5 + 6 + 7
    assert panel.production_wh(9) == 0
    assert panel.batch_hash(1) == batch_hash(panel.batch_key(1), panel.batch(1))


def test_the_hash_cannot_be_guessed_without_the_hours_key() -> None:
    mine, other = agent(), agent(b"\1" * 32)
    assert mine.batch(1) == other.batch(1)
    assert mine.batch_hash(1) != other.batch_hash(1)
    assert mine.batch_key(0) != mine.batch_key(1)


def test_the_store_is_bounded() -> None:
    panel = PhotovoltaicAgent(bytes(32))
    for window in range(WINDOWS_KEPT + 3):
        panel.take(window, reading(window, load_wh=0, pv_wh=1))
    assert panel.production_wh(2) == 0
    assert panel.production_wh(3) == 1
