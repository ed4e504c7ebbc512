"""The figures of a real node: CometBFT's consensus set, and every one that the dashboard shows."""

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import pytest

from node.config import load
from tests.node.test_processes import Processes

pytestmark = pytest.mark.e2e

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "hearth.json"
COMETBFT = {
    "consensus_height",
    "consensus_validators",
    "consensus_missing_validators",
    "consensus_byzantine_validators",
    "consensus_validator_power",
    "consensus_validator_missed_blocks",
    "consensus_rounds",
    "consensus_block_interval_seconds",
    "consensus_num_txs",
    "consensus_total_txs",
    "consensus_block_size_bytes",
    "consensus_proposal_receive_count",
    "consensus_round_duration_seconds",
    "consensus_step_duration_seconds",
    "mempool_failed_txs",
    "p2p_peers",
    "p2p_message_send_bytes_total",
    "p2p_message_receive_bytes_total",
    "mempool_size",
    "mempool_size_bytes",
    "blocksync_syncing",
}
OURS = {
    "consensus_slack",
    "consensus_view_age_seconds",
    "consensus_inbox_events",
    "storage_sync_seconds",
    "p2p_queued_bytes",
}
_WORDS = {"rate", "histogram_quantile", "instance"}


def shown_metrics():
    """Names in the dashboard's expressions."""
    found = set()
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            found |= set(re.findall(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+", target["expr"]))
    return found - _WORDS


def scraped(tmp_path):
    async def main():
        processes = Processes(tmp_path)
        try:
            processes.start()
            await processes.ready()
            for sender in range(4):
                await processes.submit(sender)
            url = f"http://{load(processes.homes[1] / 'node.toml').rpc_listen}/metrics"
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return await response.text()
        finally:
            await processes.close()

    return asyncio.run(asyncio.wait_for(main(), 90))


def test_every_figure_is_there_and_the_dashboard_shows_only_those(tmp_path):
    text = scraped(tmp_path)
    samples = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line[:1] != "#"}
    families = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    missing = {
        name for name in COMETBFT | OURS if not {name, f"{name}_total"} & (families | samples)
    }
    assert not missing
    seldom = {"consensus_view_changes_total", "p2p_suspected_total"}
    assert shown_metrics() - samples - seldom == set()
    assert seldom <= families | {f"{name}_total" for name in families}
    assert len(shown_metrics()) > 35
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
    assert float(values["consensus_slack"]) == 1
    assert float(values["consensus_validators"]) == 4


def test_the_dashboard_is_one_that_grafana_takes():
    board = json.loads(DASHBOARD.read_text("utf-8"))
    assert board["title"] == "Hearth"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)
