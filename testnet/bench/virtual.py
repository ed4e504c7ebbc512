"""Members in virtual time, each on a core of its own that does not exist, with measured costs.

A hundred members do not fit on a machine of two cores. Here a member is busy for as long as its
step took, by the processor's clock, and for each signature that it made or checked for as long as
one takes with Ed25519 on this machine. What this machine cannot tell is fixed: a LAN, a synced
write, an execution, and the handling of a frame. Links lose nothing while they are open. Bytes are
those of the encoded messages, without the transport's.
"""

import time
from collections.abc import Callable, Iterable
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
    PeerDown,
    PeerUp,
    Pending,
    Persist,
    Receive,
    Send,
    ServeBlocks,
    Tick,
    Validate,
    Validated,
)
from consensus.keyring import Keyring
from consensus.membership import Epoch, Height, MemberIndex, Membership
from consensus.messages import Blocks, Message, SealedBlock
from consensus.replica import Replica
from consensus.sim.keys import cluster_keys
from consensus.wire import encode_message
from crypto.hashing import Digest, tagged_hash
from crypto.keys import NodeKey, verify_ed25519

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
class VirtualMembers:
    """`n` replicas, each on a core of its own, in virtual microseconds."""

    def __init__(self, n: int, costs: tuple[float, float], *, is_timed: bool = True) -> None:
        """Nothing runs before `start`.

        Args:
            n: members.
            costs: microseconds to sign and to verify.
            is_timed: whether a step is charged what it takes here; if not, the same calls give the
                same times.
        """
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
        self._is_timed = is_timed
        self._queue: list[tuple[float, int, int, Event]] = []
        self._order = 0
        self._free_us = [0.0] * n
        self._wakes: list[tuple[int, int] | None] = [None] * n
        """For when a Tick is queued (milliseconds), and its place in the order: others are void."""
        self._closed: set[tuple[int, int]] = set()
        """Links, by their two ends, over which nothing comes."""
        self._blocks: list[dict[int, SealedBlock]] = [{} for _ in range(n)]
        self.now_us = self.busy_us = 0.0
        """The time; and what all members together have worked."""
        self.messages = self.bytes = 0
        self.stored_us: dict[tuple[int, int], float] = {}
        """(member, height) -> when its store held that block."""

    # What happens from outside.

    def push(self, at_us: float, i: int, event: Event) -> None:
        """Let something happen to member `i`."""
        self._order += 1
        heappush(self._queue, (at_us, self._order, i, event))

    def offer(self) -> None:
        """Let a transaction reach all members, now."""
        for i in range(len(self.replicas)):
            self.push(self.now_us, i, Pending(is_pending=True))

    def start(self) -> None:
        """Open all links; until all are ready to vote."""
        for i in range(len(self.replicas)):
            self.push(0, i, Tick())
            for j in range(len(self.replicas)):
                if i != j:
                    self.push(0, i, PeerUp(MemberIndex(j)))
        self.settle()
        assert not any(replica.is_learner for replica in self.replicas)

    def cut(self, lost: Iterable[int], *, is_noticed: bool) -> None:
        """Separate members from all others, now: at once for both, as when a process dies.

        Or, unless `is_noticed`, without a word, as when a cable is pulled.
        """
        for i, j in self._pairs(lost):
            self._closed.add((i, j))
            if is_noticed:
                self.push(self.now_us + LINK_US, j, PeerDown(MemberIndex(i)))

    def join(self, back: int, still_lost: Iterable[int]) -> None:
        """Open the links of a member again, now, but for those to members that stay lost."""
        gone = set(still_lost)
        for i, j in self._pairs([back]):
            if not gone & {i, j}:
                self._closed.discard((i, j))
                self.push(self.now_us + LINK_US, j, PeerUp(MemberIndex(i)))

    def _pairs(self, lost: Iterable[int]) -> list[tuple[int, int]]:
        """Return all directed pairs of which exactly one end is `lost`, or both, but not equal."""
        gone = set(lost)
        everybody = range(len(self.replicas))
        return [(i, j) for i in everybody for j in everybody if i != j and gone & {i, j}]

    # Time.

    def quiet_us(self) -> float:
        """When all are done with what came so far."""
        return max(self.now_us, *self._free_us)

    def settle(self) -> None:
        """Until nothing is under way but timers, which do not go off: nobody waits."""
        while self._queue:
            self._next()

    def run_until(self, until_us: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Until `until_us`, or before it until `is_over()`; timers go off."""
        for i in range(len(self.replicas)):
            self._arm(i)
        while self._queue and self._queue[0][0] <= until_us and not is_over():
            i = self._next()
            self._arm(i)
        if not is_over():
            self.now_us = max(self.now_us, until_us)

    def _arm(self, i: int) -> None:
        """Queue a Tick for when the replica wants one."""
        wake_ms, armed = self.replicas[i].wake_at, self._wakes[i]
        if wake_ms is not None and (armed is None or armed[0] != wake_ms):
            self.push(max(1000.0 * wake_ms + 1000, self.now_us), i, Tick())
            self._wakes[i] = (wake_ms, self._order)

    def _next(self) -> int:
        at_us, order, i, event = heappop(self._queue)
        armed = self._wakes[i]
        if isinstance(event, Tick) and armed is not None:
            if armed[1] != order:
                return i
            self._wakes[i] = None
        self.now_us = max(self.now_us, at_us)
        if not (isinstance(event, Receive) and (event.sender, i) in self._closed):
            self._step(i, event, max(at_us, self._free_us[i]))
        return i

    def _step(self, i: int, event: Event, at_us: float) -> None:
        keyring = self._keyrings[i]
        keyring.us = FRAME_US if isinstance(event, Receive) else 0.0
        began = time.thread_time_ns()
        effects = self.replicas[i].step(event, int(at_us) // 1000)
        took_us = keyring.us
        if self._is_timed:
            took_us += (time.thread_time_ns() - began) / 1000
        self.busy_us += took_us
        at_us += took_us
        for effect in effects:
            at_us = self._perform(i, effect, at_us)
        self._free_us[i] = at_us

    # Effects.

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
                self.push(at_us + EXECUTE_US, i, _built(height))
            case Validate(digest=digest):
                self.push(at_us + EXECUTE_US, i, Validated(digest, ok=True))
            case Apply(block):
                self._apply(i, block, at_us)
            case ServeBlocks(to, first, limit):
                found = [self._blocks[i].get(height) for height in range(first, first + limit)]
                blocks = tuple(block for block in found if block is not None)
                return self._send(i, [to], Blocks(blocks), at_us) if blocks else at_us
            case _:
                raise AssertionError(f"nothing fails here: {effect}")
        return at_us

    def _apply(self, i: int, block: SealedBlock, at_us: float) -> None:
        self._blocks[i][block.height] = block
        self.stored_us[i, block.height] = at_us + SYNC_US
        applied = Applied(block.height, block.digest, self._membership)
        self.push(at_us + SYNC_US, i, Pending(is_pending=False))
        self.push(at_us + SYNC_US, i, applied)

    def _send(self, i: int, targets: list[int], message: Message, at_us: float) -> float:
        size = len(encode_message(message))
        for target in targets:
            at_us += FRAME_US
            if (i, target) not in self._closed:
                self.push(at_us + LINK_US, target, Receive(MemberIndex(i), message))
        self.messages += len(targets)
        self.bytes += size * len(targets)
        return at_us


def _built(height: int) -> Built:
    body = height.to_bytes(8, "big") + bytes(BODY_BYTES - 8)
    return Built(Height(height), _digest_of(body), body)


def _digest_of(body: bytes) -> Digest:
    return tagged_hash(b"hearth/bench/body", body)
