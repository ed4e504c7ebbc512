"""`hearth bench vm`: what it says of the limits."""

import pytest

from testnet.bench.vm import LIMITS, judge

MET = {name: limit for name, (_, limit) in LIMITS.items()}


def test_a_figure_at_its_limit_holds():
    judged = judge(MET)
    assert judged["limits_hold"] is True
    assert judged["limits"]["native_transfer_us"] == {"max": 5, "met": True}
    assert judged["limits"]["loop_mgas_per_s"] == {"min": 12, "met": True}


@pytest.mark.parametrize("name", LIMITS)
def test_one_figure_beyond_its_limit_is_enough(name):
    kind, limit = LIMITS[name]
    judged = judge({**MET, name: limit + (0.1 if kind == "max" else -0.1)})
    assert judged["limits_hold"] is False
    assert [each for each, verdict in judged["limits"].items() if not verdict["met"]] == [name]
