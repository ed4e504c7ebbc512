"""Commit latency and traffic by the number of members, in virtual time with measured costs.

A hundred members do not fit on a machine of two cores, so each runs here on a core of its own
that does not exist: a member is busy for as long as its step took, by the processor's clock, and
for each signature that it made or checked for as long as one takes with Ed25519 on this machine.
What this machine cannot tell is fixed: a LAN, a synced write, an execution, and the handling of a
frame. Links lose nothing. Bytes are those of the encoded messages, without the transport's.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import final

from consensus.certificates import Head
from consensus.config import ConsensusConfig
from consensus.events import (
    Applied,
    Apply,
    Broadcast,
    Build,
    Built,
    Effect,
    Event,
    PeerUp,
    Pending,
    Persist,
    Receive,
    Send,
    Tick,
    Validate,
    Validated,
)
from consensus.keyring import Keyring
from consensus.membership import Epoch, Height, MemberIndex, Membership
from consensus.messages import Message
from consensus.replica import Replica
from consensus.sim.keys import cluster_keys
from consensus.wire import encode_message
from crypto.hashing import Digest, tagged_hash
from crypto.keys import NodeKey, verify_ed25519

SIZES = (4, 7, 13, 31, 64, 100)
BLOCKS = 12
BODY_BYTES = 2_000
"""About ten signed transfers."""
LINK_US = 500
"""One way over a household LAN."""
SYNC_US = 400
"""One fdatasync, as in the table of real nodes."""
EXECUTE_US = 1_000
"""Ten transfers built or validated."""
FRAME_US = 10
"""To hand a frame to the transport, or take it from there."""
_GENESIS = tagged_hash(b"hearth/bench/sizes")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SizeResult:
    """What `n` members took for a block."""

    n: int
    commit_p50_ms: float
    """From a transaction that reaches the primary to the block in its store."""
    commit_max_ms: float
    messages_per_block: int
    bytes_per_block: int

    def to_json(self) -> dict[str, object]:
        return {
            "n": self.n,
            "commit_p50_ms": round(self.commit_p50_ms, 1),
            "commit_max_ms": round(self.commit_max_ms, 1),
            "messages_per_block": self.messages_per_block,
            "bytes_per_block": self.bytes_per_block,
        }


def signature_costs(rounds: int = 400) -> tuple[float, float]:
    """Microseconds of processor time to sign and to verify with Ed25519 here."""
    key = NodeKey.from_seed(bytes(32))
    payload = bytes(range(32))
    signature = key.sign(payload)

    def least(work: Callable[[], object]) -> float:
        found = []
        for _ in range(5):
            began = time.thread_time_ns()
            for _ in range(rounds):
                work()
            found.append((time.thread_time_ns() - began) / rounds / 1000)
        return min(found)

    return (
        least(lambda: key.sign(payload)),
        least(lambda: verify_ed25519(key.public, payload, signature)),
    )


@final
class _Charged:
    """A keyring that counts what Ed25519 would have taken."""

    def __init__(self, keyring: Keyring, sign_us: float, verify_us: float) -> None:
        self._keyring = keyring
        self._sign_us = sign_us
        self._verify_us = verify_us
        self.us = 0.0

    @property
    def public(self) -> bytes | None:
        return self._keyring.public

    def sign(self, payload: bytes) -> bytes:
        self.us += self._sign_us
        return self._keyring.sign(payload)

    def verify(self, public: bytes, payload: bytes, signature: bytes) -> bool:
        self.us += self._verify_us
        return self._keyring.verify(public, payload, signature)


@final
class _Members:
    """`n` replicas, each on a core of its own, in virtual microseconds."""

    def __init__(self, n: int, costs: tuple[float, float]) -> None:
        keys = cluster_keys(n)
        self._membership = Membership(epoch=Epoch(0), members=keys.public)
        self._keyrings = [_Charged(keys.keyring(i), *costs) for i in range(n)]
        head = Head(height=Height(0), digest=_GENESIS, seal=None)
        self.replicas = [
            Replica(
                config=ConsensusConfig(),
                genesis_hash=_GENESIS,
                membership=self._membership,
                head=head,
                keyring=keyring,
                digest_of=_digest_of,
            )
            for keyring in self._keyrings
        ]
        self._queue: list[tuple[float, int, int, Event]] = []
        self._order = 0
        self._free_us = [0.0] * n
        self.now_us = 0.0
        self.messages = self.bytes = 0
        self.stored_us: dict[tuple[int, int], float] = {}
        """(member, height) -> when its store held that block."""

    def push(self, at_us: float, i: int, event: Event) -> None:
        self._order += 1
        heappush(self._queue, (at_us, self._order, i, event))

    def start(self) -> None:
        """Open all links; until all are ready to vote."""
        for i in range(len(self.replicas)):
            self.push(0, i, Tick())
            for j in range(len(self.replicas)):
                if i != j:
                    self.push(0, i, PeerUp(MemberIndex(j)))
        self.run()
        assert not any(replica.is_learner for replica in self.replicas)

    def quiet_us(self) -> float:
        """When all are done with what came so far."""
        return max(self.now_us, *self._free_us)

    def run(self) -> None:
        """Until nothing is under way. No timer goes off: links lose nothing, nobody waits."""
        while self._queue:
            at_us, _, i, event = heappop(self._queue)
            self.now_us = max(self.now_us, at_us)
            self._step(i, event, max(at_us, self._free_us[i]))

    def _step(self, i: int, event: Event, at_us: float) -> None:
        keyring = self._keyrings[i]
        keyring.us = FRAME_US if isinstance(event, Receive) else 0.0
        began = time.thread_time_ns()
        effects = self.replicas[i].step(event, int(at_us) // 1000)
        at_us += keyring.us + (time.thread_time_ns() - began) / 1000
        for effect in effects:
            at_us = self._perform(i, effect, at_us)
        self._free_us[i] = at_us

    def _perform(self, i: int, effect: Effect, at_us: float) -> float:
        """Returns when the member is done with it."""
        match effect:
            case Persist():
                return at_us + SYNC_US
            case Broadcast(message):
                others = [j for j in range(len(self.replicas)) if j != i]
                return self._send(i, others, message, at_us)
            case Send(to, message):
                return self._send(i, [to], message, at_us)
            case Build(height):
                body = height.to_bytes(8, "big") + bytes(BODY_BYTES - 8)
                self.push(at_us + EXECUTE_US, i, Built(height, _digest_of(body), body))
            case Validate(digest=digest):
                self.push(at_us + EXECUTE_US, i, Validated(digest, ok=True))
            case Apply(block):
                self.stored_us[i, block.height] = at_us + SYNC_US
                applied = Applied(block.height, block.digest, self._membership)
                self.push(at_us + SYNC_US, i, Pending(is_pending=False))
                self.push(at_us + SYNC_US, i, applied)
            case _:
                raise AssertionError(f"nothing fails here: {effect}")
        return at_us

    def _send(self, i: int, targets: list[int], message: Message, at_us: float) -> float:
        size = len(encode_message(message))
        for target in targets:
            at_us += FRAME_US
            self.push(at_us + LINK_US, target, Receive(MemberIndex(i), message))
        self.messages += len(targets)
        self.bytes += size * len(targets)
        return at_us


def measure(n: int, costs: tuple[float, float], blocks: int = BLOCKS) -> SizeResult:
    """Let `n` members decide some blocks, one after another, from an idle start each."""
    members = _Members(n, costs)
    members.start()
    latencies: list[float] = []
    messages, size = members.messages, members.bytes
    for height in range(1, blocks + 1):
        at_us = members.quiet_us() + 1
        for i in range(n):
            members.push(at_us, i, Pending(is_pending=True))
        members.run()
        primary = members.replicas[0].primary
        latencies.append((members.stored_us[primary, height] - at_us) / 1000)
    return SizeResult(
        n=n,
        commit_p50_ms=statistics.median(latencies),
        commit_max_ms=max(latencies),
        messages_per_block=(members.messages - messages) // blocks,
        bytes_per_block=(members.bytes - size) // blocks,
    )


def _digest_of(body: bytes) -> Digest:
    return tagged_hash(b"hearth/bench/body", body)
