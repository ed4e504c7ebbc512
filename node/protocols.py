"""Which rules are in force, which come, and whether this node's software knows them; in words.

A node that lacks the rules of the block above its head waits there: it neither votes nor executes
(`consensus.events.Rest`), and goes on by itself when it is started with newer software.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, final

import structlog

from consensus.events import Rest
from node.chain import Chain
from node.p2p.member import PeerStats
from vm.protocol import Step, missing_step, read_schedule

TOO_OLD: Final = "VERSION_TOO_OLD"
"""Stands first in what such a node says, for programs that look for it."""

_log = structlog.get_logger("protocols")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolStatus:
    """At one head."""

    in_force: Step
    """By which the block above the head is made."""
    coming: Step | None
    """The next one that was voted for."""
    supported: tuple[int, ...]
    """By this software, ascending."""

    @property
    def missing(self) -> Step | None:
        """What is in force, if this software does not know it."""
        return None if self.in_force.version in self.supported else self.in_force


def protocol_status(chain: Chain) -> ProtocolStatus:
    """Return what the state at the head of `chain` says, and what its machine supports."""
    schedule = read_schedule(chain.state())
    return ProtocolStatus(
        in_force=schedule.at(chain.height + 1),
        coming=schedule.after(chain.height + 1),
        supported=chain.machine.protocols,
    )


def lacks_rules(chain: Chain) -> bool:
    """Whether the block above the head of `chain` is made by rules that it does not know."""
    height, supported = chain.height + 1, chain.machine.protocols
    return missing_step(read_schedule(chain.state()), height, supported) is not None


def too_old(status: ProtocolStatus) -> str | None:
    """Return in one sentence that this software lacks what is in force; None if it does not."""
    step = status.missing
    if step is None:
        return None
    return (
        f"{TOO_OLD}: from block {step.first_height} on protocol version {step.version} is in "
        f"force, and this node's software supports {_versions(status.supported)} only: it does "
        "not vote and executes no further block"
    )


def rest_if_too_old(chain: Chain) -> Rest | None:
    """Return, and log, what tells the replica that the rules of the next block are not known."""
    said = too_old(protocol_status(chain))
    if said is None:
        return None
    _log.error(said, height=chain.height)
    return Rest()


def explain_protocols(status: ProtocolStatus, *, height: int) -> list[str]:
    """Say that this node's software is, or soon will be, too old; nothing where it is not.

    Args:
        status: at the head.
        height: of the head.
    """
    said, coming = too_old(status), status.coming
    if said is not None:
        return [
            f"{said}.",
            f"Install software that supports protocol version {status.in_force.version} and start "
            "the node again: it keeps what it has, catches up and votes by itself.",
        ]
    if coming is None or coming.version in status.supported:
        return []
    return [
        f"In {coming.first_height - height} blocks, at block {coming.first_height}, protocol "
        f"version {coming.version} comes into force, as the members have voted. This node's "
        f"software supports {_versions(status.supported)} only: install newer software before "
        "that, or the node stops voting there."
    ]


def explain_peers(status: ProtocolStatus, peers: Iterable[PeerStats]) -> list[str]:
    """Say which members' software is, or soon will be, too old.

    Args:
        status: at the head.
        peers: with the newest protocol that each of them has named.
    """
    wanted = status.coming or status.in_force
    old = [p for p in peers if 0 < p.protocol < wanted.version and not p.is_observer]
    if not old:
        return []
    names = ", ".join(sorted(f"{peer.name} (up to {peer.protocol})" for peer in old))
    return [
        f"Protocol version {wanted.version} is in force from block {wanted.first_height} on. "
        f"Software that is too old runs at {names}: ask these households to update their nodes, "
        "which do not vote before that."
    ]


def _versions(supported: Sequence[int]) -> str:
    return ", ".join(map(str, supported))
