"""`hearth fuzz --evm`: look for a transaction that our EVM executes differently from others."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cli.errors import CommandError, Unusable
from cli.output import print_fields, print_json, progress

if TYPE_CHECKING:
    from testnet.evm_fuzz.campaign import CampaignReport, CaseResult

CASES = 1_000
"""Unless told otherwise."""
PROGRESS_EVERY = 2_000
"""Cases between two lines of progress."""
_EXPLAINED_MAX = 3
"""Failing cases that are made short and printed."""


def run(*, first_seed: int, cases: int, oracle: str, workers: int, is_json: bool) -> None:
    """Run `cases` seeds from `first_seed` on and print what came out; any mismatch ends with 1."""
    try:
        from testnet.evm_fuzz.campaign import explain, run_seeds

        report = run_seeds(first_seed, cases, oracle, workers, _progress(cases))
    except ImportError as error:
        raise Unusable(
            f"the oracle {oracle} is not there: {error}", hint="pip install 'hearth[dev]'"
        ) from None
    explained = {
        each.seed: explain(each.seed, oracle) for each in report.mismatches[:_EXPLAINED_MAX]
    }
    if is_json:
        print_json({**report.to_json(), "minimised": explained})
    else:
        _print(report)
        for seed, lines in explained.items():
            click.echo(f"seed {seed}, made short:")
            for line in lines:
                click.echo(f"  {line}")
    if report.mismatches:
        raise CommandError(
            f"{len(report.mismatches)} of {cases} cases differ",
            hint=f"again: hearth fuzz --evm --cases 1 --seed {report.mismatches[0].seed}",
        )


def _progress(cases: int) -> "_Progress":
    return _Progress(cases)


class _Progress:
    """Tells of every mismatch at once, and now and then how far it is."""

    def __init__(self, cases: int) -> None:
        self._cases = cases
        self._done = 0

    def __call__(self, results: "Sequence[CaseResult]") -> None:
        for result in results:
            self._done += 1
            for line in result.differences:
                progress(f"seed {result.seed}: {line}")
            if self._done % PROGRESS_EVERY == 0:
                progress(f"{self._done} of {self._cases} cases, the last is seed {result.seed}")


def _print(report: "CampaignReport") -> None:
    fields = report.to_json()
    del fields["mismatch_list"]
    statuses = ", ".join(f"{count} {name}" for name, count in report.statuses.items())
    print_fields("Random transactions", {**fields, "statuses": statuses})
