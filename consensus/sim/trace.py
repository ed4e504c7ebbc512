"""What happened in a run: step values that can be replayed, and a hash that names the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from marshal import dumps
from typing import Any, final

from consensus.events import Applied, Built, Event, NothingToBuild, Validated
from consensus.messages import (
    Commit,
    GetBlocks,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    ViewChange,
)
from consensus.sim.community import Ready
from consensus.sim.faults import Crash, Spoiling
from consensus.wire import encode_message

Said = Message | Ready
"""What instances send each other: the replica's messages, and their shells' READYs."""


@final
@dataclass(frozen=True, slots=True)
class Deliver:
    """A message of member `sender` reaches an instance."""

    at_ms: int
    instance: int
    sender: int
    """Key of the holder over whose link it comes."""
    message: Said


@final
@dataclass(frozen=True, slots=True)
class Wake:
    """The instance's timer goes off."""

    at_ms: int
    instance: int


@final
@dataclass(frozen=True, slots=True)
class Answer:
    """The application of an instance has finished what the replica asked for."""

    at_ms: int
    instance: int
    event: Event


@final
@dataclass(frozen=True, slots=True)
class Submit:
    """A client's transaction reaches an instance."""

    at_ms: int
    instance: int
    nonce: int


@final
@dataclass(frozen=True, slots=True)
class Link:
    """The transport of an instance reports the link with `member` up or down."""

    at_ms: int
    instance: int
    member: int
    """A key."""
    is_up: bool


@final
@dataclass(frozen=True, slots=True)
class Stop:
    """Power fails as `crash` says: now, or before a later effect."""

    at_ms: int
    instance: int
    crash: Crash


@final
@dataclass(frozen=True, slots=True)
class Start:
    """The instance starts from what its disk holds."""

    at_ms: int
    instance: int


@final
@dataclass(frozen=True, slots=True)
class Spoil:
    """The disk of an instance fails: it is full, or one that is down loses data.

    Or its software is replaced while it is down.
    """

    at_ms: int
    instance: int
    fault: Spoiling


@final
@dataclass(frozen=True, slots=True)
class Ask:
    """The signer of an instance is asked to repeat and to belie its newest votes."""

    at_ms: int
    instance: int


Step = Deliver | Wake | Answer | Submit | Link | Stop | Start | Spoil | Ask


def fingerprint(message: Said) -> str:
    """A short name of the message's content, the same in every process."""
    if isinstance(message, PrePrepare | Prepare | Commit | ViewChange | NewView):
        return message.signature[:8].hex()
    if isinstance(
        message, Status
    ):  # Most messages are: the wire's bytes would take ten times as long.
        return blake2b(dumps(_fields(message), 2), digest_size=8).hexdigest()
    if isinstance(message, Ready):
        return message.signature[:8].hex()
    return blake2b(encode_message(message), digest_size=8).hexdigest()


def _fields(m: Status) -> Any:
    slot = m.slot
    return (
        (slot.epoch, slot.term, slot.view, slot.height),
        (m.head_digest, m.asked, m.proposal, m.prepares, m.commits, m.view_changes, m.is_learner),
    )


@final
class Trace:
    """The steps of a run: always their hash, and the values if `is_kept`."""

    __slots__ = ("_lines", "is_kept", "steps")

    def __init__(self, *, is_kept: bool) -> None:
        self._lines: list[str] = []
        self.is_kept = is_kept
        self.steps: list[Step] = []

    def add(self, line: str) -> None:
        """Append one step in text to what is hashed."""
        self._lines.append(line)

    def sha256(self) -> str:
        """Hex SHA-256 over all steps so far: equal runs and only those have equal hashes."""
        return sha256("\n".join(self._lines).encode()).hexdigest()


def describe(steps: Sequence[Step]) -> list[str]:
    """The steps as lines for a reader."""
    return [_describe(step) for step in steps]


def _describe(step: Step) -> str:
    where = f"{step.at_ms:6d} ms  instance {step.instance}: "
    match step:
        case Deliver(_, _, sender, message):
            return f"{where}from {sender}: {describe_message(message)}"
        case Wake():
            return f"{where}timer"
        case Answer(_, _, event):
            return f"{where}application: {_describe_event(event)}"
        case Submit(_, _, nonce):
            return f"{where}client hands in nonce {nonce}"
        case Link(_, _, member, is_up):
            return f"{where}link with member {member} {'up' if is_up else 'down'}"
        case Stop(_, _, crash):
            what = "writes" if crash.is_at_write else "effects"
            return f"{where}power fails {crash.effects} {what} on, {crash.kept_permille}‰ kept"
        case Start():
            return f"{where}starts"
        case Spoil(_, _, fault):
            return f"{where}disk or software: {type(fault).__name__}"
        case Ask():
            return f"{where}its signer is asked again"


def describe_message(message: Said) -> str:
    """One line for a reader: kind, slot and the first digits of the digest."""
    name = type(message).__name__
    match message:
        case PrePrepare(slot=slot, digest=digest) | Prepare(slot=slot, digest=digest):
            return f"{name} t{slot.term} v{slot.view} h{slot.height} {digest.hex()[:8]}"
        case Commit(slot=slot, digest=digest):
            return f"{name} t{slot.term} v{slot.view} h{slot.height} {digest.hex()[:8]}"
        case ViewChange(slot=slot, head=head, prepared=prepared):
            proof = "nothing prepared"
            if prepared is not None:
                proof = f"prepared {prepared.digest.hex()[:8]} in v{prepared.slot.view}"
            return f"{name} t{slot.term} v{slot.view} on h{head.height}, {proof}"
        case NewView(slot=slot, view_changes=view_changes):
            senders = [m.sender for m in view_changes]
            return f"{name} t{slot.term} v{slot.view} by {senders}"
        case Status(slot=slot):
            return f"{name} t{slot.term} v{slot.view} asked {message.asked} on h{slot.height}"
        case Ready(change, key, height):
            return f"{name} of key {key} for change {change} at h{height}"
        case GetBlocks(from_height):
            return f"{name} from h{from_height}"
        case _:
            return name


def _describe_event(event: Event) -> str:
    match event:
        case Built(height, digest, _):
            return f"built h{height} {digest.hex()[:8]}"
        case NothingToBuild(height):
            return f"nothing to build at h{height}"
        case Validated(digest, ok):
            return f"{digest.hex()[:8]} is {'valid' if ok else 'invalid'}"
        case Applied(height, digest, _):
            return f"applied h{height} {digest.hex()[:8]}"
        case _:
            return type(event).__name__
