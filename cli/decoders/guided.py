"""Targets under atheris: `python -m cli.decoders.guided`, with the jobs as lines of JSON on stdin.

Every module of ours is compiled with counters of its branches, so that an input that reaches new
code is kept and changed further. That takes long, so it is done once, and each job is a fork: the
name of the target, the file of its log, libFuzzer's own options and folders. A crash, a hang or too
much memory ends the fork, and libFuzzer saves the input. After each job comes a line on stdout: the
target's name and the exit code.
"""

import json
import os
import sys
from functools import partial
from typing import Final

PACKAGES: Final = ["cli", "consensus", "crypto", "market", "node", "testnet", "vm"]
NOT_INSTALLED: Final = 3
"""Exit code where atheris is missing."""


def main() -> None:
    """Do the jobs, one after the other."""
    try:
        import atheris
    except ImportError:
        sys.exit(NOT_INSTALLED)
    with atheris.instrument_imports(include=PACKAGES, exclude=["cli.decoders.target"]):
        from cli.decoders import material, scratch, table
    from cli.decoders.target import accepts

    material.chain()  # Before the forks: each has it then.
    scratch.folder()
    sys.stdout.write("ready 0\n")
    sys.stdout.flush()
    for line in sys.stdin:
        name, log, *options = json.loads(line)
        child = os.fork()
        if child:
            _, status = os.waitpid(child, 0)
            scratch.clear()
            sys.stdout.write(f"{name} {status}\n")
            sys.stdout.flush()
            continue
        _redirect(log)
        target = table.BY_NAME[name]
        for seed in target.seeds():  # What is made once is made before it counts as coverage.
            accepts(target, seed)
        atheris.Setup([name, *options], partial(accepts, target))
        atheris.Fuzz()


def _redirect(log: str) -> None:
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)


if __name__ == "__main__":
    main()
