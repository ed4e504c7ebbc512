"""Figures for Prometheus; CometBFT's names where it has them, so that its dashboards fit.

What the chain and the network know is read when somebody scrapes; only what would be lost is
counted as it happens.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from crypto import curve
from node.consensus_metrics import ConsensusFigures
from node.protocols import ProtocolStatus, protocol_status
from vm.versions import STORAGE_VERSION, WIRE_VERSION

if TYPE_CHECKING:
    from node.chain import Chain
    from node.consensus_driver import ConsensusDriver
    from node.lookout import Lookout
    from node.p2p.member import PeerStats
    from node.p2p.network import PeerNetwork
    from node.records import BlockRecord

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@final
class Metrics:
    """One node's registry. Counting is cheap and never fails."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._blocks = Histogram(
            "consensus_block_interval_seconds",
            "Time between the timestamps of a block and its parent.",
            buckets=(*_SECONDS, 60.0, 600.0, 3600.0),
            registry=self.registry,
        )
        self._sizes = Histogram(
            "consensus_block_size_bytes",
            "Bytes of a block's transactions.",
            buckets=(0, 1_000, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000),
            registry=self.registry,
        )
        self._transactions = Counter(
            "consensus_total_txs", "Transactions in sealed blocks.", registry=self.registry
        )
        self._gas = Counter(
            "evm_gas_used_total", "Gas used in sealed blocks.", registry=self.registry
        )
        self._rounds = Histogram(
            "consensus_round_duration_seconds",
            "From a proposal that was executed here to its seal.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._steps = Histogram(
            "consensus_step_duration_seconds",
            "The same by step.",
            ["step"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._proposals = Counter(
            "consensus_proposal_receive_count",
            "Proposals of others that were executed here.",
            ["status"],
            registry=self.registry,
        )
        self._views = Counter(
            "consensus_view_changes_total",
            "View changes this node took part in.",
            ["reason"],
            registry=self.registry,
        )
        self._syncs = Histogram(
            "storage_sync_seconds",
            "Time to make a write durable.",
            ["file"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._processing = Histogram(
            "state_block_processing_seconds",
            "Time to build, validate or apply a block.",
            ["step"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._suspects = Counter(
            "p2p_suspected_total", "Faults of peers.", ["reason"], registry=self.registry
        )
        # An optional extension that is missing is easy to miss: so it is a figure.
        Gauge(
            "curve_backend", "1 for the backend in use.", ["backend"], registry=self.registry
        ).labels(curve.BACKEND).set(1)
        self._calls: dict[tuple[str, bool], int] = {}  # Plain: it is counted on the hot path.
        self._last_time_ms: int | None = None

    def watch(self, chain: "Chain", network: "PeerNetwork") -> None:
        """Report this chain and network from now on."""
        self._last_time_ms = chain.head.time_ms
        chain.on_block(self.block)
        self.registry.register(_Watch(chain, network, self._calls))

    def watch_consensus(self, driver: "ConsensusDriver", lookout: "Lookout") -> None:
        """Report the replica and what the node notices from now on."""
        self.registry.register(ConsensusFigures(driver, lookout))

    def block(self, record: "BlockRecord") -> None:
        """Count a sealed block."""
        if self._last_time_ms is not None:
            self._blocks.observe((record.header.time_ms - self._last_time_ms) / 1000)
        self._last_time_ms = record.header.time_ms
        self._sizes.observe(sum(len(raw) for raw in record.transactions))
        self._transactions.inc(len(record.transactions))
        self._gas.inc(record.header.gas_used)

    def view_change(self, reason: str) -> None:
        """Count a view change; reasons are few and fixed."""
        self._views.labels(reason).inc()

    def steps(self, found: "Iterable[tuple[str, float]]") -> None:
        """Note how long steps of a decision took: "prepare", "commit", and the whole "round"."""
        for step, seconds in found:
            if step == "round":
                self._rounds.observe(seconds)
            else:
                self._steps.labels(step).observe(seconds)

    def proposal(self, *, is_ok: bool) -> None:
        """Count a proposal that was executed here: accepted or refused."""
        self._proposals.labels("accepted" if is_ok else "rejected").inc()

    def sync(self, file: str, seconds: float) -> None:
        """Note how long a durable write of "votes" or "chain" took."""
        self._syncs.labels(file).observe(seconds)

    def processing(self, step: str, seconds: float) -> None:
        """Note how long "build", "validate" or "apply" took."""
        self._processing.labels(step).observe(seconds)

    def suspect(self, reason: str) -> None:
        """Count a peer's fault; reasons are few and fixed."""
        self._suspects.labels(reason).inc()

    def call(self, method: str, is_ok: bool) -> None:  # noqa: FBT001  A label's value.
        """Count an RPC call."""
        self._calls[method, is_ok] = self._calls.get((method, is_ok), 0) + 1

    def render(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return generate_latest(self.registry)


@final
class _Watch(Collector):
    """Reads gauges at the moment of a scrape."""

    def __init__(
        self,
        chain: "Chain",
        network: "PeerNetwork",
        calls: Mapping[tuple[str, bool], int],
    ) -> None:
        self._chain = chain
        self._network = network
        self._calls = calls

    def collect(self) -> Iterator[Metric]:
        """Yield one family for each figure."""
        status, n = self._chain.status(), self._chain.membership().n
        header = self._chain.head
        record = self._chain.record(header.number)
        for name, text, value in (
            ("consensus_height", "Height of the newest sealed block.", status.height),
            ("consensus_epoch", "Number of the member set.", status.epoch),
            ("consensus_term", "Term of the next block.", status.term),
            ("consensus_rounds", "View of the current term.", status.view),
            ("consensus_validators", "Members.", n),
            (
                "consensus_missing_validators",
                "Members that this node cannot reach.",
                max(0, n - 1 - status.peers_up),
            ),
            ("consensus_num_txs", "Transactions in the newest block.", _count(record)),
            ("blocksync_syncing", "1 while the node only follows.", int(status.is_learner)),
            ("mempool_size", "Transactions that wait.", status.pending),
            ("mempool_failed_txs", "Refused since the start.", self._chain.pool.failed),
            ("mempool_size_bytes", "Bytes that wait.", self._chain.pool.size_bytes),
            ("p2p_peers", "Open links.", status.peers_up),
            *_version_figures(protocol_status(self._chain)),
        ):
            yield GaugeMetricFamily(name, text, value)
        yield from _peer_families(self._network.stats())
        calls = CounterMetricFamily(
            "rpc_requests_total", "Calls of known methods.", labels=["method", "ok"]
        )
        for (method, is_ok), count in self._calls.items():
            calls.add_metric([method, "true" if is_ok else "false"], count)
        yield calls


def _count(record: "BlockRecord | None") -> int:
    return 0 if record is None else len(record.transactions)


def _version_figures(status: ProtocolStatus) -> Iterator[tuple[str, str, int]]:
    coming = status.coming
    yield ("protocol_version", "Rules of the next block.", status.in_force.version)
    yield ("protocol_version_supported", "Newest rules known here.", max(status.supported))
    yield (
        "protocol_next_height",
        "Where other rules come into force; 0: nowhere.",
        0 if coming is None else coming.first_height,
    )
    yield ("wire_version", "Version of the talk between nodes.", WIRE_VERSION)
    yield ("storage_version", "Version of the database.", STORAGE_VERSION)


def _peer_families(stats: "Iterable[PeerStats]") -> Iterator[Metric]:
    received = CounterMetricFamily(
        "p2p_message_receive_bytes_total", "Bytes from a peer.", labels=["peer"]
    )
    sent = CounterMetricFamily("p2p_message_send_bytes_total", "Bytes to a peer.", labels=["peer"])
    queued = GaugeMetricFamily("p2p_queued_bytes", "Bytes that wait for a peer.", labels=["peer"])
    for each in stats:
        received.add_metric([each.name], each.bytes_in)
        sent.add_metric([each.name], each.bytes_out)
        queued.add_metric([each.name], each.queued_bytes)
    yield from (received, sent, queued)
