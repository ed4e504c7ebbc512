"""How long the steps of a decision take, told by the effects that mark them. Pure."""

from collections.abc import Iterator
from typing import final

from consensus.vote_log import CommitRecord, ProposalRecord, Record


@final
class StepTimer:
    """Of the height under way.

    "prepare": from the proposal, once it is executed here, to q PREPAREs; "commit": from there to
    q COMMITs; "round": all of it. A height that is caught up with has no steps.
    """

    def __init__(self) -> None:
        self._proposed_s: float | None = None
        self._prepared_s: float | None = None

    def on_records(self, records: tuple[Record, ...], now_s: float) -> Iterator[tuple[str, float]]:
        """Yield (step, seconds) of what the records complete."""
        for record in records:
            if isinstance(record, ProposalRecord):
                self._proposed_s, self._prepared_s = now_s, None
            elif isinstance(record, CommitRecord) and self._proposed_s is not None:
                self._prepared_s = now_s
                yield "prepare", now_s - self._proposed_s

    def on_decided(self, now_s: float) -> Iterator[tuple[str, float]]:
        """Yield (step, seconds) of what the decision completes."""
        proposed_s, prepared_s = self._proposed_s, self._prepared_s
        self._proposed_s = self._prepared_s = None
        if prepared_s is not None:
            yield "commit", now_s - prepared_s
        if proposed_s is not None:
            yield "round", now_s - proposed_s
