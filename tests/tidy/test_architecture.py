"""ARCHITECTURE.md's two laws, checked on the syntax tree: who imports whom, and what replicated
code must not do. The last test shows the checker a violation of each kind."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OURS = ("cli", "consensus", "crypto", "market", "node", "testnet", "tests", "vm")

# What a module may import of ours. The longest matching prefix decides.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "crypto": (),
    "consensus": ("crypto",),
    "vm": ("crypto",),
    "market": (),  # market/__init__.py stays empty.
    "market.units": (),
    "market.abi": ("market.units",),
    "market.contracts": ("crypto", "vm", "market.units", "market.abi"),
    "market.agents": ("crypto", "market.units", "market.abi"),
    "node": ("crypto", "consensus", "vm"),
    "node.natives": ("vm", "market.contracts"),
    "testnet": ("crypto", "consensus", "vm", "market", "node"),
    "cli": ("crypto", "consensus", "vm", "market", "node", "testnet"),
}

REPLICATED = ("consensus", "vm", "market.contracts", "market.units", "market.abi")
"""Same bytes in, same bytes out, on every machine and in every process."""
SIMULATION = ("consensus.sim",)
"""Seeded randomness and time measurement are this package's work."""
IMPURE_MODULES = frozenset(
    {"asyncio", "datetime", "logging", "os", "random", "secrets", "socket", "threading", "time"}
)
IMPURE_CALLS = {
    "float": "integers only: see market.units",
    "hash": "differs between processes: use crypto.hashing",
    "id": "differs between processes",
    "open": "I/O belongs to node",
    "print": "return an effect or an event",
}


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """(line, full name) of everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def layering(name: str, tree: ast.Module) -> Iterator[str]:
    homes = [prefix for prefix in MAY_IMPORT if within(name, prefix)]
    if not homes:
        return  # Tests may import anything.
    home = max(homes, key=len)
    allowed = (home, *MAY_IMPORT[home])
    for line, target in imported(tree):
        ours = target.split(".")[0] in OURS
        if ours and not any(within(target, prefix) for prefix in allowed):
            yield f"{name}:{line}: {home} must not import {target}"


def determinism(name: str, tree: ast.Module) -> Iterator[str]:
    if not any(within(name, p) for p in REPLICATED) or any(within(name, p) for p in SIMULATION):
        return
    for line, target in imported(tree):
        if target.split(".")[0] in IMPURE_MODULES:
            yield f"{name}:{line}: replicated code must not import {target}"
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float()):
                yield f"{name}:{node.lineno}: no floats in replicated code"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield f"{name}:{node.lineno}: no true division in replicated code: use //"
            case ast.Call(func=ast.Name(id=called)) if called in IMPURE_CALLS:
                yield f"{name}:{node.lineno}: {called}() is banned: {IMPURE_CALLS[called]}"
            case ast.For(iter=ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set"))):
                yield f"{name}:{node.lineno}: a set has no fixed order: sort it first"
            case ast.comprehension(
                iter=ast.Set() | ast.SetComp() | ast.Call(func=ast.Name(id="set"))
            ):
                yield f"{name}: a comprehension runs over a set: sort it first"


def complaints(name: str, tree: ast.Module) -> list[str]:
    return [*layering(name, tree), *determinism(name, tree)]


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in OURS:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), ast.parse(path.read_text("utf-8"), str(path))


def test_imports_point_downwards_and_replicated_code_is_deterministic():
    found = [line for name, tree in modules() for line in complaints(name, tree)]
    assert not found, "\n".join(found)


def test_market_shares_nothing_but_its_two_leaves():
    package = ast.parse((ROOT / "market" / "__init__.py").read_text("utf-8"))
    assert [type(node) for node in package.body] == [ast.Expr], "a docstring and nothing else"
    shared = {path.name for path in (ROOT / "market").iterdir() if not path.name.startswith("__")}
    assert shared == {"abi", "units.py", "contracts", "agents"}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("crypto.keys", "import vm.state"),
        ("vm.gas", "import node.rpc"),
        ("consensus.replica", "from vm.state import Journal"),
        ("market.agents.household", "from market.contracts.market import Market"),
        ("node.chain", "from market.contracts.market import Market"),
        ("node.app", "import testnet"),
        ("consensus.replica", "import time"),
        ("market.contracts.market", "x = 1 / 2"),
        ("vm.gas", "x = 0.5"),
        ("vm.gas", "x = hash('a')"),
        ("vm.gas", "for x in {1, 2}: pass"),
        ("vm.gas", "y = [x for x in set(z)]"),
    ],
)
def test_the_checker_sees_a_violation(name, code):
    assert complaints(name, ast.parse(code))


def test_the_simulator_may_draw_and_measure():
    assert not complaints("consensus.sim.world", ast.parse("import random, time"))
