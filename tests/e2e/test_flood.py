"""One member floods the others for a while: memory stays bounded, honest traffic is sealed."""

import asyncio

import pytest

from testnet.bench.bed import open_bed
from testnet.flood import GROWTH_MB_MAX, flood

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_a_flood_stops_nobody_and_fills_no_memory(tmp_path):
    """`hearth testnet flood --seconds 300` does the same for as long as the promise says."""

    async def run():
        async with open_bed(4, tmp_path, 31_900, lambda _line: None) as bed:
            return await flood(bed, 15.0)

    report = asyncio.run(asyncio.wait_for(run(), 180))
    assert report["ok"], report
    assert report["growth_mb"] <= GROWTH_MB_MAX
    assert report["honest_acknowledged"] > 15
    assert report["sent"]["megabytes"] > 1
    assert report["sent"]["links"] >= 3
