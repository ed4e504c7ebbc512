"""The instances of a run, and the judges that watch the correct ones."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, final

from consensus.certificates import SigningDomain
from consensus.config import ConsensusConfig
from consensus.events import Event
from consensus.membership import Epoch, Membership
from consensus.messages import SealedBlock
from consensus.sim.app import GENESIS_DIGEST, decode_block
from consensus.sim.checkers import Checkers
from consensus.sim.community import Charter
from consensus.sim.epochs import Epochs
from consensus.sim.faults import FaultPlan
from consensus.sim.instance import Instance
from consensus.sim.keys import cluster_keys
from consensus.sim.liar import Liar
from consensus.sim.prefix import sealed_prefix
from consensus.sim.proofs import Proofs
from consensus.sim.seat import keys_in
from consensus.sim.trace import Said
from consensus.vote_log import Record, record_slot

CONFIG = ConsensusConfig()


class Driver(Protocol):
    """Who decides what happens to what leaves an instance."""

    def send(self, source: int, key: int | None, message: Said) -> None:
        """An instance sends to the holder of a key, or to all others (None)."""

    def request(self, instance: int, answer: Event) -> None:
        """The application will give `answer`; the driver says when."""

    def stopped(self, instance: int) -> None:
        """An instance lost power (or halted)."""

    def entered(self, instance: int) -> None:
        """An instance is in another epoch: its replica knows of no link yet."""


@final
class Cluster:
    """All instances, and the judges."""

    def __init__(
        self,
        plan: FaultPlan,
        driver: Driver,
        *,
        is_real: bool = False,
        config: ConsensusConfig = CONFIG,
    ) -> None:
        self.plan = plan
        self.driver = driver
        self.config = config
        self.fired: Counter[str] = Counter()
        self.keys = cluster_keys(plan.n, keys_in(plan) - plan.n, is_real=is_real)
        self.membership = Membership(epoch=Epoch(0), members=self.keys.public[: plan.n])
        """The founders."""
        self.domain = SigningDomain(GENESIS_DIGEST, self.membership.hash())
        self.charter = Charter(
            founders=self.membership,
            changes=plan.changes,
            public=self.keys.public,
            keyring=self.keys.keyring(0),
        )
        self.epochs = Epochs(self.charter, plan.faulty_keys)
        self.checkers = Checkers(self.epochs)
        self._proofs = Proofs(self.epochs, self.checkers.sign_once)
        self.prefix = sealed_prefix(plan.prefix, self.membership, self.domain, self.keys)
        for block in self.prefix:
            self.checkers.on_prefix(block)
        self.instances = [Instance(self, i) for i in range(len(plan.identities))]

    def on_records(self, records: Sequence[Record], instance: Instance) -> None:
        """A correct member's records are durable: let all checkers look at them."""
        for record in records:
            member = instance.seat.index_in(record_slot(record).epoch)
            self.checkers.on_records((record,), member)
            self._proofs.on_records((record,), member)

    def on_apply(self, instance: int, applied: int, block: SealedBlock) -> None:
        """A correct instance applies a block: let all checkers look at it."""
        before = self.epochs.newest
        self.checkers.on_apply(instance, applied, block)
        newest = self.epochs.newest
        if newest is before:
            return
        content = decode_block(block.body)
        assert content is not None, "a checker has looked at it"
        assert content.activation is not None, "nothing else makes a new set"
        self.fired[self.plan.changes[content.activation.change].kind.value] += 1
        for each in self.instances:
            if isinstance(each.replica, Liar):
                each.replica.follow(newest, self.epochs.domain(newest.epoch))
