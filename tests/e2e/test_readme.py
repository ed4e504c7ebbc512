"""The README's commands, taken from it and run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS_EACH = 120


def commands():
    """The lines of the section "Try it" that a reader would type, in order."""
    section = re.search(r"^## Try it$(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S)
    assert section is not None
    blocks = re.findall(r"^```sh\n(.*?)^```", section.group(1), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.fixture
def folder(tmp_path):
    """A working directory in which `.venv/bin/hearth` is what the README says it is."""
    program = Path(sys.executable).with_name("hearth")
    assert program.exists(), "the package is installed beside the interpreter"
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "hearth").symlink_to(program)
    yield tmp_path
    subprocess.run(
        [program, "testnet", "reset"], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )


def run(line, folder):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HEARTH_")}
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS_EACH,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.e2e
def test_the_commands_of_the_readme_work_as_they_stand_there(folder):
    """Start a testnet, look at balances, send a token, watch a market window, stop it."""
    lines = commands()
    words = ["testnet up", "wallet balance", "wallet send", "market watch", "testnet stop"]
    assert [any(word in line for line in lines) for word in words] == [True] * len(words)
    said = {line: run(line, folder) for line in lines}
    by_word = {word: next(said[line] for line in lines if word in line) for word in words}
    assert "h39" in by_word["testnet up"]
    assert "EUR" in by_word["wallet balance"]
    assert "1.5000 EUR" in by_word["wallet send"]
    assert "window" in by_word["market watch"].lower()
    assert "is stopped" in by_word["testnet stop"]


def test_the_readme_shows_both_commands_that_do_everything():
    text = (ROOT / "README.md").read_text()
    assert "make demo" in text
    assert "make test" in text
