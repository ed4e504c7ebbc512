"""What stands in a node's way beside the replica's own waiting: members away, clock, versions.

Pure: facts in, sentences out; nothing where all is well.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from node.p2p.errors import needs_update
from vm.versions import WIRE_VERSION


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A member that is not online."""

    name: str
    is_primary: bool
    reason: str
    """Why there is no link, as far as it is known."""


def explain_absent(absent: Sequence[Absent], *, online: int, quorum: int) -> list[str]:
    """Say who is away, what that means for the chain, and what can be done."""
    if not absent:
        return []
    names = ", ".join(each.name for each in absent)
    lines = [f"Not reachable from here: {names}."]
    lines += [f"{each.name}: {each.reason}." for each in absent if each.reason]
    for each in absent:
        if each.is_primary and online >= quorum:
            lines.append(
                f"It is the turn of {each.name} to propose. The others pass it over: the chain "
                "goes on, and nobody has to do anything."
            )
    slack = online - quorum
    if slack < 0:
        lines.append(
            f"{-slack} more of the members must come back before a block can be sealed. See "
            "whether their machines are on, or whether the network between here and there is cut: "
            "a household on the other side knows which."
        )
    else:
        lines.append(f"The chain can do without {slack} more members.")
    return lines


def explain_versions(refusals: Sequence[tuple[str, str]], *, one_correct: int) -> list[str]:
    """Say that wire versions differ, and who must update.

    Args:
        refusals: name of a member and its, or our, words about the link that is not made.
        one_correct: f + 1: so many cannot all be at fault.
    """
    older = {
        version: [name for name, words in refusals if needs_update(version) in words]
        for version in range(WIRE_VERSION)
    }
    lines = [
        f"Older software runs at {', '.join(names)}: it speaks wire version {version}, this node "
        f"{WIRE_VERSION}. Ask these households to update their nodes; there is no link with them "
        "before that."
        for version, names in older.items()
        if names
    ]
    newer = [name for name, words in refusals if needs_update(WIRE_VERSION) in words]
    if newer:
        lines.append(
            f"VERSION_TOO_OLD: newer software runs at {', '.join(newer)}, which refuses wire "
            f"version {WIRE_VERSION} of this node. Without these links this node does not vote "
            "with them."
        )
    if len(newer) >= one_correct:
        lines.append(
            "So many members agree that it is this node which is out of date: install the version "
            "that they run (`hearth --version`) and start the node again."
        )
    return lines


def explain_clock(offset_ms: int | None) -> list[str]:
    """Say that this machine's clock is off."""
    if offset_ms is None:
        return []
    seconds = abs(offset_ms) // 1000
    amount = f"{seconds} s" if seconds < 600 else f"{seconds // 60} min"
    direction = "ahead of" if offset_ms > 0 else "behind"
    return [
        f"This machine's clock is {amount} {direction} the other members': their blocks show it. "
        "Set it (for instance by NTP). Until then the others refuse what this node proposes, or it "
        "refuses what they propose."
    ]
