"""The limits of CONTRIBUTING.md on the size of files and functions, and on unfinished work."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("cli", "consensus", "crypto", "market", "node", "testnet", "vm")
FILE_LINES_MAX = 450
FUNCTION_LINES_MAX = 75
"""A docstring counts; the statements alone are held at 40 by ruff."""


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_files_and_functions_stay_readable():
    found = []
    for path in sources():
        text = path.read_text("utf-8")
        if (lines := text.count("\n")) > FILE_LINES_MAX:
            found.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    found.append(f"{path.relative_to(ROOT)}: {node.name} has {length} lines")
    assert not found, "\n".join(found)


def test_nothing_is_left_unfinished():
    mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources()
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1)
        if mark.search(line)
    ]
    assert not found, "\n".join(found)
