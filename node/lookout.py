"""What a node notices beside deciding blocks: offences, members away, its clock, its disk.

One object joins these to the driver, so that the composition root has one line for all of them.
"""

import asyncio
from pathlib import Path
from typing import final

from consensus.events import Evidence
from consensus.messages import NewView
from crypto.keys import AccountKey
from node.chain import Chain
from node.clock_watch import ClockWatch
from node.consensus_driver import ConsensusDriver
from node.directory import Directory
from node.evidence_desk import PENDING_MAX, EvidenceDesk
from node.last_words import explain_disk, free_bytes
from node.obstacles import Absent, explain_absent, explain_clock, explain_versions
from node.p2p.member import PeerStats
from node.p2p.network import PeerNetwork
from node.protocols import explain_peers, explain_protocols, lacks_rules, protocol_status
from node.records import BlockRecord
from node.storage.evidence_store import EvidenceStore
from node.storage.new_views import NewViewStore


@final
class Lookout:
    """Of one node. Lives on one event loop."""

    def __init__(
        self,
        *,
        chain: Chain,
        driver: ConsensusDriver,
        network: PeerNetwork,
        directory: Directory,
        account: AccountKey,
        data: Path,
    ) -> None:
        """Take the driver's hooks. `data`: directory of this node's data."""
        self._chain = chain
        self._driver = driver
        self._network = network
        self._directory = directory
        self._data = data
        self._clock = ClockWatch()
        self._last_ms = chain.head.time_ms
        self.missed_blocks = 0
        """Sealed blocks, of those since the start, whose seal lacks this member's COMMIT."""
        self.desk = EvidenceDesk(
            chain=chain,
            account=account,
            turn=lambda: driver.replica.me,
            store=EvidenceStore(data / "evidence", PENDING_MAX),
        )
        self._new_views = NewViewStore(data / "new-views")
        driver.on_evidence = self._on_evidence
        driver.on_new_view = self._on_new_view
        chain.on_block(self._on_block)

    def tick(self) -> None:
        """Take up what is due."""
        self.desk.tick(asyncio.get_running_loop().time())

    def why(self) -> list[str]:
        """Return what has to be said; nothing where all is well."""
        protocols = protocol_status(self._chain)
        return [
            *explain_protocols(protocols, height=self._chain.height),
            *explain_peers(protocols, self._network.stats()),
            *explain_disk(free_bytes(self._data)),
            *explain_clock(self.clock_offset_ms),
            *explain_versions(self._refusals(), one_correct=self._one_correct),
            *self._explain_absent(),
        ]

    @property
    def clock_offset_ms(self) -> int | None:
        """By how much this clock is ahead of the others'; None if nothing shows it."""
        return self._clock.offset_ms(self._one_correct)

    @property
    def free_bytes(self) -> int | None:
        """Room on the disk."""
        return free_bytes(self._data)

    def peers(self) -> tuple[PeerStats, ...]:
        """Return the figures of each peer."""
        return self._network.stats()

    @property
    def _one_correct(self) -> int:
        return self._driver.replica.membership.quorum.one_correct

    def _on_evidence(self, evidence: Evidence) -> None:
        self.desk.take(evidence, asyncio.get_running_loop().time())

    def _on_new_view(self, new_view: NewView) -> None:
        self._new_views.keep(new_view)

    def _on_block(self, record: BlockRecord) -> None:
        """Compare clocks, while the node keeps up: an old block says nothing."""
        replica, parent_ms = self._driver.replica, self._last_ms
        self._last_ms = record.header.time_ms
        members = replica.membership
        seal = record.seal
        if seal is None or replica.is_learner or not replica.is_level:
            return
        if record.height < members.first_height:
            return
        if replica.me is not None and all(member != replica.me for member, _ in seal.signatures):
            self.missed_blocks += 1
        proposer = members.primary(members.term(record.height), seal.view)
        if proposer != replica.me:
            self._clock.on_block(
                epoch=members.epoch,
                proposer=proposer,
                block_ms=record.header.time_ms,
                parent_ms=parent_ms,
                now_ms=self._chain.now_ms(),
            )

    def _refusals(self) -> list[tuple[str, str]]:
        return [
            (peer.name, peer.last_error)
            for peer in self._network.stats()
            if not peer.is_up and not peer.is_observer
        ]

    def _explain_absent(self) -> list[str]:
        replica = self._driver.replica
        if replica.me is None or lacks_rules(self._chain):
            return []
        online, names = set(replica.online), self._directory.names
        reasons = {peer.node_key: peer.last_error for peer in self._network.stats()}
        absent = [
            Absent(
                name=names[index],
                is_primary=index == replica.primary,
                reason=reasons.get(key, ""),
            )
            for index, key in enumerate(replica.membership.members)
            if index not in online
        ]
        quorum = replica.membership.quorum.certificate
        return explain_absent(absent, online=len(online), quorum=quorum)
