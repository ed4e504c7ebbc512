"""Runs targets under atheris, one process each, keeps their corpus, and judges what they found."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Final, final

from cli.decoders.guided import NOT_INSTALLED
from cli.decoders.mutate import WORDS
from cli.decoders.target import Finding, Target, judge

MEMORY_MB: Final = 2048
"""Of a process, instrumented code and the corpus included."""
HANG_SECONDS: Final = 20
"""Of one input under instrumentation, above which libFuzzer calls it a hang."""
_SEED: Final = "seed-"
_WORD_BYTES_MAX: Final = 64
_LOOK_SECONDS: Final = 0.5
_RUNS = re.compile(rb"Done (\d+) runs")
_STEPS = re.compile(rb"#(\d+)")
_SAVED = re.compile(rb"Test unit written to (\S+)")
_COVERED = re.compile(rb"cov: (\d+)")


class NotInstalled(Exception):
    """atheris is not there."""


class ProcessEnded(Exception):
    """The process that runs the targets ended by itself; the text says where its words are."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An input that shows that a decoder broke its promise."""

    path: Path
    message: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """What a target's process did."""

    name: str
    seconds: float
    executions: int
    coverage: int
    """Branches of our code that were reached, as libFuzzer counts them."""
    corpus: int
    """Inputs that each reach something that no other does."""
    found: tuple[Found, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "target": self.name,
            "seconds": round(self.seconds, 1),
            "executions": self.executions,
            "coverage": self.coverage,
            "corpus": self.corpus,
            "found": [{"file": str(each.path), "message": each.message} for each in self.found],
        }


def run(
    targets: Sequence[Target],
    folder: Path,
    *,
    seconds: int,
    workers: int,
    on_result: Callable[[TargetResult], None],
) -> list[TargetResult]:
    """Fuzz each target for `seconds`.

    Args:
        targets: to run, `workers` of them at a time.
        folder: of the corpus and of what is found; it is made, and used again the next time.
        seconds: of each target; start and judgement come on top.
        workers: processes.
        on_result: told of each target that is done.

    Raises:
        NotInstalled: atheris is not there.
        ProcessEnded: a process could not go on to the next target.
    """
    words = _write_words(folder)
    for name in ("corpus", "found", "log"):
        (folder / name).mkdir(exist_ok=True)
    for target in targets:
        _write_seeds(target, folder)
    results: list[TargetResult] = []
    shares = [targets[place::workers] for place in range(min(workers, len(targets)))]
    out: Queue[TargetResult] = Queue()
    with ThreadPoolExecutor(len(shares)) as pool:
        work = [pool.submit(_share, share, folder, words, seconds, out) for share in shares]
        while len(results) < len(targets) and not _is_over(work, out):
            with suppress(Empty):
                results.append(out.get(timeout=_LOOK_SECONDS))
                on_result(results[-1])
        for each in work:
            each.result()
    return results


def _is_over(work: "Sequence[Future[None]]", out: Queue[TargetResult]) -> bool:
    return all(each.done() for each in work) and out.empty()


def _write_words(folder: Path) -> Path:
    """Write the words as libFuzzer's dictionary."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "words.dict"
    lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in WORDS)
    path.write_text("".join(f'"{line}"\n' for line in lines if len(line) <= 4 * _WORD_BYTES_MAX))
    return path


def _write_seeds(target: Target, folder: Path) -> None:
    corpus = folder / "corpus" / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    for old in corpus.glob(f"{_SEED}*"):
        old.unlink()
    for place, seed in enumerate(target.seeds()):
        (corpus / f"{_SEED}{place}").write_bytes(seed)


def _share(
    targets: Sequence[Target], folder: Path, words: Path, seconds: int, out: Queue[TargetResult]
) -> None:
    """Run one worker's targets, and hand over each result when it is there."""
    jobs = [json.dumps(_job(target, folder, words, seconds)) for target in targets]
    log = folder / "log" / f"process-{targets[0].name}.txt"
    with (
        log.open("wb") as words_of_it,
        subprocess.Popen(
            [sys.executable, "-m", "cli.decoders.guided"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words_of_it,
            env=os.environ | {"PYTHONHASHSEED": "0"},
        ) as process,
    ):
        assert process.stdin is not None, "asked for above"
        assert process.stdout is not None, "asked for above"
        process.stdin.write("".join(f"{job}\n" for job in jobs).encode())
        process.stdin.close()
        process.stdout.readline()  # "ready": what comes before takes long.
        for target in targets:
            began = time.monotonic()
            said = process.stdout.readline().split()
            if len(said) != len(("name", "status")):
                break
            seconds_spent = time.monotonic() - began
            out.put(_result(target, folder, seconds_spent, is_bad=said[1] != b"0"))
    if process.returncode == NOT_INSTALLED:
        raise NotInstalled
    if process.returncode:
        raise ProcessEnded(f"the fuzzer's process ended with {process.returncode}: see {log}")


def _job(target: Target, folder: Path, words: Path, seconds: int) -> list[str]:
    return [
        target.name,
        str(folder / "log" / f"{target.name}.txt"),
        f"-max_total_time={seconds}",
        f"-max_len={target.bytes_max}",
        f"-dict={words}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-timeout={HANG_SECONDS}",
        f"-artifact_prefix={folder}/found/{target.name}-",
        "-reload=0",
        str(folder / "corpus" / target.name),
    ]


def _result(target: Target, folder: Path, seconds: float, *, is_bad: bool) -> TargetResult:
    log = (folder / "log" / f"{target.name}.txt").read_bytes()
    saved = _SAVED.search(log)
    bad = []
    if saved is not None:
        bad.append(_judged(target, Path(os.fsdecode(saved[1]))))
    elif is_bad:
        words = log[-300:].decode("utf-8", "replace")
        path = folder / "log" / f"{target.name}.txt"
        bad.append(Found(path=path, message=f"the process ended: {words}"))
    files = sorted((folder / "corpus" / target.name).iterdir())
    bad += _judge_corpus(target, files, folder / "found")
    return TargetResult(
        name=target.name,
        seconds=seconds,
        executions=int((_RUNS.findall(log) or _STEPS.findall(log) or [0])[-1]),
        coverage=int((_COVERED.findall(log) or [0])[-1]),
        corpus=len(files),
        found=tuple(bad),
    )


def _judged(target: Target, path: Path) -> Found:
    """Say in words what an input that libFuzzer saved does."""
    try:
        judge(target, path.read_bytes())
    except Finding as finding:
        return Found(path=path, message=str(finding))
    kind = path.name.removeprefix(f"{target.name}-").partition("-")[0]
    return Found(path=path, message=f"{kind} under instrumentation, and none without it")


def _judge_corpus(target: Target, files: Sequence[Path], found: Path) -> list[Found]:
    """Measure time and memory of what reached new code: without counters, as in a node."""
    for path in files:
        data = path.read_bytes()
        try:
            judge(target, data)
        except Finding as finding:
            kept = found / f"{target.name}-slow-{sha256(data).hexdigest()[:16]}"
            kept.write_bytes(data)
            return [Found(path=kept, message=str(finding))]
    return []
