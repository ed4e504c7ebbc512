"""Why nothing progresses, in words: what is awaited, from whom, since when, and what to do."""

from collections.abc import Sequence

from consensus.waiting import Awaited, Waiting

_SENTENCES = {
    Awaited.HALTED: "This node has halted, because going on could break a promise: {halted}.",
    Awaited.APPLICATION: "This node is executing block {height}.",
    Awaited.QUORUM: (
        "Only {have} members can be reached, and {need} are needed to seal a block. "
        "Missing: {members}."
    ),
    Awaited.RULES: "This node does not know the rules by which block {height} is made.",
    Awaited.HEADS: (
        "This node has just started and does not vote yet: it has asked the members how far the "
        "chain is, and {have} of {need} have said so (itself counted, if its vote log is whole). "
        "Silent: {members}."
    ),
    Awaited.INCARNATION: (
        "This node has signed votes that its vote log does not know: the log was lost or is old. "
        "It does not vote before term {need} (now {have}), so that it cannot contradict itself."
    ),
    Awaited.BLOCKS: (
        "This node is behind: it has block {have}, others speak of {need}. "
        "It fetches the blocks from {members}."
    ),
    Awaited.BODY: "This node lacks the content of block {height}, and asks {members} for it.",
    Awaited.PROPOSAL: "{members} has to propose block {height}, and has not done so yet.",
    Awaited.PREPARES: (
        "Block {height} is proposed; {have} of {need} members agree so far. Not yet: {members}."
    ),
    Awaited.COMMITS: (
        "Block {height} is prepared; {have} of {need} members have committed to it. "
        "Not yet: {members}."
    ),
    Awaited.VIEW_CHANGES: (
        "The members are about to replace the proposer of block {height}; {have} of {need} ask "
        "for it. Not yet: {members}."
    ),
    Awaited.NEW_VIEW: "{members} has to begin as the new proposer of block {height}.",
}

_ADVICE = {
    Awaited.HALTED: "Read node.log, repair the cause, and start the node again.",
    Awaited.QUORUM: (
        "Ask these households to switch on their nodes; the chain goes on by itself, within a "
        "second, when enough of them are back."
    ),
    Awaited.RULES: "Install newer software, and start the node again.",
    Awaited.HEADS: "If this lasts, see whether these nodes run and can be reached from here.",
    Awaited.INCARNATION: (
        "Wait for that term. If the vote log was restored from a backup, never do so again."
    ),
    Awaited.BLOCKS: "If this lasts, see whether these nodes can be reached from here.",
    Awaited.PROPOSAL: "The members replace it by themselves if it stays silent.",
    Awaited.NEW_VIEW: "The members pass it over by themselves if it stays silent.",
}

ADVICE_AFTER_MS = 2_000
"""Shorter waits are ordinary: nothing has to be done about them."""


def explain(
    waiting: Waiting, *, names: Sequence[str], now_ms: int, halted: str | None
) -> list[str]:
    """Return sentences for `waiting`; none when nothing is awaited.

    Args:
        waiting: what the replica waits for.
        names: of the members, by index.
        now_ms: of the clock that the replica is stepped with.
        halted: why the replica has halted, if it has.
    """
    if waiting.awaited is Awaited.NOTHING:
        return []
    members = ", ".join(names[member] for member in waiting.members) or "nobody"
    lines = [
        _SENTENCES[waiting.awaited].format(
            members=members,
            height=waiting.height,
            have=waiting.have,
            need=waiting.need,
            halted=halted,
        )
    ]
    waited_ms = max(0, now_ms - waiting.since_ms)
    if waiting.awaited is not Awaited.HALTED:
        lines.append(f"Nothing has moved for {_duration(waited_ms)} (view {waiting.view}).")
    is_due = waited_ms >= ADVICE_AFTER_MS or waiting.awaited is Awaited.HALTED
    if is_due and waiting.awaited in _ADVICE:
        lines.append(_ADVICE[waiting.awaited])
    return lines


def explain_key_in_use(peers: Sequence[str]) -> list[str]:
    """Return what to say when `peers`, by name, have a link with another node of this key."""
    if not peers:
        return []
    return [
        f"Another node runs with this household's node key: {', '.join(peers)} has a link with it "
        "and refuses this one. This node does not vote, because two nodes with one key could "
        "contradict each other.",
        "Stop one of the two. Never run a copy of a data directory.",
    ]


def _duration(ms: int) -> str:
    if ms < 10_000:
        return f"{ms} ms"
    seconds = ms // 1000
    if seconds < 600:
        return f"{seconds} s"
    return f"{seconds // 60} min"
