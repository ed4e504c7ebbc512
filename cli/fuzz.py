"""`hearth fuzz`: look for a schedule that breaks the consensus."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import click

from cli import fuzz_decoders, fuzz_ledger
from cli.errors import CommandError
from cli.output import print_fields, print_json, print_table, progress

if TYPE_CHECKING:
    from consensus.sim.fuzz import FuzzReport, SeedResult
    from consensus.sim.hunt import MutantResult
    from consensus.sim.profiles import Profile
    from consensus.sim.twins import TwinsReport

PROGRESS_EVERY = 100
"""Seeds between two lines of progress."""


@click.command("fuzz")
@click.option("--seeds", type=click.IntRange(1), default=2_000, help="Runs: seeds 0 to N-1.")
@click.option("--seed", type=click.IntRange(0), help="Run one seed only, and explain a failure.")
@click.option("--profile", metavar="NAME", help="Draw faults from one profile; otherwise by seed.")
@click.option("--n", "n", type=click.IntRange(4, 40), help="Members; otherwise 4 to 7 by seed.")
@click.option("--mutants", is_flag=True, help="Plant known bugs and see that each is caught.")
@click.option("--twins", is_flag=True, help="One member twice: every schedule of --views views.")
@click.option(
    "--views", type=click.IntRange(1, 6), default=4, show_default=True, help="Of --twins."
)
@click.option("--power", is_flag=True, help="Power fails everywhere, at each write in turn.")
@click.option("--schedules", type=click.IntRange(1), default=1_000, help="Of --power.")
@click.option("--real-signatures", "is_real", is_flag=True, help="Ed25519, not the fast stand-in.")
@click.option(
    "--ledger", type=click.Path(dir_okay=False), help="Add a line to this table of campaigns."
)
@click.option("--evm", is_flag=True, help="Random transactions in our EVM and in another.")
@click.option("--cases", type=click.IntRange(1), help="With --evm: seeds from --seed on; 1,000.")
@click.option(
    "--oracle",
    type=click.Choice(("revm", "py-evm", "tiers")),
    default="revm",
    show_default=True,
    help="With --evm: the other EVM, or our second tier.",
)
@fuzz_decoders.options
@click.option("--workers", type=click.IntRange(1), help="Processes; otherwise one for each core.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
def command(
    *,
    seeds: int,
    seed: int | None,
    profile: str | None,
    n: int | None,
    mutants: bool,
    twins: bool,
    views: int,
    power: bool,
    schedules: int,
    is_real: bool,
    ledger: str | None,
    evm: bool,
    cases: int | None,
    oracle: str,
    workers: int | None,
    is_json: bool,
    **of_decoders: Unpack[fuzz_decoders.Options],
) -> None:
    r"""Run the real consensus core under simulated faults, one seed a run.

    Loss of all or of chosen messages, duplication, reordering, delay, partitions, skewed clocks,
    crashes that lose unsynced writes, disks that fail, blackouts, pauses, and members that run
    twice with one key, lie or flood. Exits with 1 if a property was violated or a planted bug was
    not caught. Everything about a run follows from its seed and profile; a profile says which
    faults are likely, and without one each seed draws its own.

    \b
    Example:
      hearth fuzz --seeds 2000
      hearth fuzz --seed 17 --n 4
      hearth fuzz --seed 17 --profile liars
      hearth fuzz --mutants --json
      hearth fuzz --twins --n 4 --views 4 --json
      hearth fuzz --power --schedules 1000 --json
      hearth fuzz --evm --cases 100000 --json
      hearth fuzz --decoders --seconds 60 --target json-rpc
    """
    if of_decoders["decoders"]:
        fuzz_decoders.run(of_decoders, workers=workers, ledger=ledger, is_json=is_json)
        return
    processes = workers or os.cpu_count() or 1
    if evm:
        from cli import fuzz_evm

        count = cases or (1 if seed is not None else fuzz_evm.CASES)
        fuzz_evm.run(
            first_seed=seed or 0, cases=count, oracle=oracle, workers=processes, is_json=is_json
        )
        return
    from consensus.sim.fuzz import NS
    from consensus.sim.profiles import PROFILES

    if profile is not None and profile not in PROFILES:
        raise click.BadParameter(f"must be one of {', '.join(PROFILES)}", param_hint="--profile")
    chosen = None if profile is None else PROFILES[profile]
    ns = NS if n is None else (n,)
    if mutants:
        _run_mutants(processes, is_json=is_json)
    elif twins:
        _run_twins(n or 4, views, processes, is_json=is_json)
    elif power:
        _run_power(schedules, processes, is_json=is_json)
    elif seed is not None:
        _run_one(seed, ns, chosen, is_real=is_real, is_json=is_json)
    else:
        _run_many(seeds, ns, processes, chosen, ledger, is_real=is_real, is_json=is_json)


def _run_many(
    seeds: int,
    ns: tuple[int, ...],
    workers: int,
    profile: "Profile | None",
    ledger: str | None,
    *,
    is_real: bool,
    is_json: bool,
) -> None:
    from consensus.sim.fuzz import run_seeds

    done = 0

    def on_result(result: "SeedResult") -> None:
        nonlocal done
        done += 1
        if result.violation is not None:
            progress(f"{_name(result)}: {result.violation.message}")
        if done % PROGRESS_EVERY == 0:
            progress(f"{done} of {seeds} seeds")

    report = run_seeds(range(seeds), ns, workers, profile, is_real=is_real, on_result=on_result)
    if is_json:
        print_json(report.to_json())
    else:
        _print_report(report)
    if ledger is not None:
        name = "all profiles" if profile is None else profile.name
        sizes = f"n = {ns[0]}" if len(ns) == 1 else f"n = {ns[0]} to {ns[-1]}"
        fuzz_ledger.add(
            Path(ledger),
            campaign=f"seeds 0 to {seeds - 1}, {name}, {sizes}",
            runs=report.seeds,
            seconds=report.cpu_seconds,
            messages=report.messages,
            failures=[f"{v.seed} ({v.checker})" for v in report.violations],
        )
    if report.violations:
        first = report.violations[0]
        size = f" --n {first.n}" if len(ns) == 1 else ""
        signatures = " --real-signatures" if is_real else ""
        raise CommandError(
            f"{len(report.violations)} of {seeds} seeds violate a property",
            hint=f"shortest run: hearth fuzz --seed {first.seed} --profile {first.profile}"
            f"{size}{signatures}",
        )


def _name(result: "SeedResult") -> str:
    return f"seed {result.seed} (n = {result.n}, profile {result.profile})"


def _print_report(report: "FuzzReport") -> None:
    print_fields(
        "Simulated runs",
        {
            "seeds": report.seeds,
            "violations": len(report.violations),
            "blocks decided": report.blocks_decided,
            "messages": report.messages,
            "messages/s and process": report.messages_per_s,
            "seconds": round(report.seconds, 1),
            "slowest recovery": f"{report.liveness_ms_max} ms of virtual time",
        },
    )
    print_table("Faults that fired", ("fault", "times"), list(report.faults_fired.items()))


def _run_one(
    seed: int, ns: tuple[int, ...], profile: "Profile | None", *, is_real: bool, is_json: bool
) -> None:
    from consensus.sim.fuzz import explain, run_seed

    result = run_seed(seed, ns, profile, is_real=is_real)
    lines: list[str] = []
    if result.violation is not None:
        progress("shortening the run that failed")
        lines = explain(result.violation, ns, is_real=is_real)
    if is_json:
        print_json({**result.to_json(), "minimised": lines})
    else:
        print_fields(
            f"Seed {seed}",
            {
                "n": result.n,
                "profile": result.profile,
                "trace_sha256": result.trace_sha256,
                "blocks decided": result.blocks,
                "messages": result.messages,
                "recovery": f"{result.liveness_ms} ms of virtual time after healing",
                "faults fired": {name: k for name, k in result.fired.items() if k},
            },
        )
        for line in lines:
            click.echo(line)
    if result.violation is not None:
        raise CommandError(f"{_name(result)} violates {result.violation.message}")


def _run_mutants(workers: int, *, is_json: bool) -> None:
    from consensus.sim.hunt import run_mutants

    def on_result(result: "MutantResult") -> None:
        fate = f"caught in {result.seconds:.1f} s by {result.by}" if result.caught else "SURVIVED"
        where = "" if result.seed is None else f", seed {result.seed} of {result.profile}"
        progress(f"{result.name} (rule {result.rule}): {fate}{where}")

    results = run_mutants(workers=workers, on_result=on_result)
    if is_json:
        print_json({"mutants": [result.to_json() for result in results]})
    else:
        rows = [
            (
                r.name,
                r.rule,
                "yes" if r.caught else "NO",
                r.seed,
                r.profile,
                f"{r.seconds:.1f}",
                r.by,
            )
            for r in results
        ]
        columns = ("name", "rule", "caught", "seed", "profile", "seconds", "by")
        print_table("Planted bugs", columns, rows)
    survivors = [result.name for result in results if not result.caught]
    if survivors:
        raise CommandError(f"not caught: {', '.join(survivors)}")


def _run_twins(n: int, views: int, workers: int, *, is_json: bool) -> None:
    from consensus.sim.twins import enumerate_twins

    def on_twin(report: "TwinsReport") -> None:
        progress(f"{report.scenarios} scenarios, {report.states} states at the end")

    report = enumerate_twins(n, views, workers=workers, on_twin=on_twin)
    found = report.to_json()
    if is_json:
        print_json(found)
    else:
        rows = {key: value for key, value in found.items() if key != "violation_list"}
        print_fields("One member twice, every schedule", rows)
    if report.violations:
        first = report.violations[0]
        raise CommandError(f"member {first.twin} twice: {first.message}: {first.choices}")


def _run_power(schedules: int, workers: int, *, is_json: bool) -> None:
    from consensus.sim.power import run_power

    report = run_power(schedules, workers=workers)
    found = report.to_json()
    if is_json:
        print_json(found)
    else:
        rows = {key: value for key, value in found.items() if key != "violation_list"}
        print_fields("Power loss at every write", rows)
    if report.violations:
        first = report.violations[0]
        raise CommandError(f"seed {first.seed}, {first.cut}: {first.message}")
