"""Figures of the replica and of what the node notices: slack, view age, queues, clock, disk.

Names are CometBFT's where it has the figure (`consensus_*`); the others say what they are.
"""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from consensus.events import Event, PeerDown, Receive, Tick, Validated
from consensus.messages import ViewChange

if TYPE_CHECKING:
    from node.consensus_driver import ConsensusDriver
    from node.lookout import Lookout


@final
class ConsensusFigures(Collector):
    """Reads gauges at the moment of a scrape."""

    def __init__(self, driver: "ConsensusDriver", lookout: "Lookout") -> None:
        self._driver = driver
        self._lookout = lookout

    def collect(self) -> Iterator[Metric]:
        """Yield one family for each figure."""
        replica = self._driver.replica
        quorum = replica.membership.quorum.certificate
        online = len(replica.online)
        waiting = replica.waiting_for()
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        offset_ms = self._lookout.clock_offset_ms
        free = self._lookout.free_bytes
        for name, text, value in (
            ("consensus_quorum", "Votes that seal a block.", quorum),
            ("consensus_online_validators", "Members heard of lately, this one too.", online),
            ("consensus_slack", "Online members beyond the quorum.", online - quorum),
            (
                "consensus_validator_power",
                "1 if this node has a vote.",
                int(replica.me is not None),
            ),
            ("consensus_is_proposer", "1 if it is its turn.", int(replica.primary == replica.me)),
            (
                "consensus_view_asked",
                "View asked for; above the view while changing.",
                replica.asked,
            ),
            (
                "consensus_view_age_seconds",
                "Time since the head or the view last moved.",
                max(0, now_ms - waiting.since_ms) / 1000,
            ),
            ("consensus_timeout_seconds", "Present progress timer.", replica.timeout_ms / 1000),
            (
                "consensus_commit_latency_seconds",
                "Smoothed time from open to decided.",
                replica.commit_latency_ms / 1000,
            ),
            ("consensus_prepares", "PREPAREs held in this view.", len(replica.prepared_by)),
            ("consensus_commits", "COMMITs held in this view.", len(replica.committed_by)),
            ("consensus_inbox_events", "Events that wait for the replica.", self._driver.waiting),
            (
                "consensus_byzantine_validators",
                "Keys that broke the protocol, seen since the start.",
                self._lookout.desk.convicted,
            ),
            ("evidence_pending", "Offences not reported yet.", self._lookout.desk.pending),
            ("node_clock_offset_seconds", "Own clock ahead of others'.", (offset_ms or 0) / 1000),
            ("node_disk_free_bytes", "Room on the disk of the home.", free or 0),
        ):
            yield GaugeMetricFamily(name, text, value)
        missed = CounterMetricFamily(
            "consensus_validator_missed_blocks",
            "Seals without this member's COMMIT: q of n are in each, the first that came.",
        )
        missed.add_metric([], self._lookout.missed_blocks)
        yield missed
        tables = GaugeMetricFamily(
            "consensus_table_entries", "Entries held on account of peers.", labels=["table"]
        )
        for table, size in replica.table_sizes.items():
            tables.add_metric([table], size)
        yield tables
        waits = GaugeMetricFamily(
            "consensus_waiting", "1 for what the replica waits for.", labels=["for"]
        )
        waits.add_metric([waiting.awaited.value], 1)
        yield waits
        yield from self._peer_figures()

    def _peer_figures(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("p2p_peer_up", "1 while the link is open.", labels=["peer"])
        score = GaugeMetricFamily("p2p_peer_score", "Points of suspicion.", labels=["peer"])
        dropped = CounterMetricFamily(
            "p2p_dropped_frames_total", "Frames to a peer that found no room.", labels=["peer"]
        )
        for peer in self._lookout.peers():
            up.add_metric([peer.name], int(peer.is_up))
            score.add_metric([peer.name], peer.score)
            dropped.add_metric([peer.name], peer.dropped_frames)
        yield from (up, score, dropped)


def view_change_reason(event: Event) -> str:
    """Return, in one of a few words, what made this node ask for another view."""
    match event:
        case Tick():
            return "timeout"
        case PeerDown():
            return "primary_down"
        case Validated():
            return "invalid_proposal"
        case Receive(_, ViewChange()):
            return "others_asked"
        case _:
            return "other"
