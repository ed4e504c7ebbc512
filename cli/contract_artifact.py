"""Compiled contracts: Vyper's compiler, and the files that compilers and their tools write.

Read are an artifact of ours, Hardhat or Foundry (`abi`, `bytecode`), and the output of solc or
vyper in standard JSON or combined JSON (`contracts`).
"""

import importlib
import json
import re
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from cli import interfaces
from cli.contract_abi import ContractAbi
from cli.errors import CommandError, Unusable
from cli.output import progress
from market.abi import ADDRESSES
from testnet.errors import BadFile

FILE_BYTES_MAX = 64 << 20
"""Build files with syntax trees are large."""
_FIRST_BYTES = 1 << 20
EVM_VERSION = "cancun"
_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]{0,127}")
"""Files are named by it."""
_OTHERS = re.compile(r"[^A-Za-z0-9_$-]|^(?=[^A-Za-z_$])")
_LINK = re.compile(r"__.{36}__")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A contract that can be deployed."""

    name: str
    json_abi: list[Any]
    """As the compiler wrote it; `abi` is the same, read."""
    abi: ContractAbi
    init_code: bytes
    """Empty for an interface."""
    compiler: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the file, in the form that Hardhat and ethers read as well."""
        return {
            "contractName": self.name,
            "compiler": self.compiler,
            "abi": self.json_abi,
            "bytecode": "0x" + self.init_code.hex(),
        }


def load(path: Path, contract: str | None = None) -> Artifact:
    """Return the contract in a file: a .vy source is compiled, anything else is read as JSON.

    Args:
        path: of the file.
        contract: which one, where the file holds several.

    Raises:
        CommandError: it does not compile.
        Unusable: Vyper is not installed, or CONTRACT must be named.
        BadFile: not such a file; names the field.
    """
    if path.suffix == ".vy":
        return compile_vyper(path)
    value = read_json(path)
    if not isinstance(value, dict):
        raise BadFile(path.name, "must be an object with the contract's abi and bytecode")
    found = list(_contracts(value, path))
    if not found:
        raise BadFile(path.name, "must have abi and bytecode, or contracts")
    return _read(*_chosen(found, contract, path), path.name)


def renamed(artifact: Artifact, name: str) -> Artifact:
    """Return the same contract under another name; raises Unusable for what is no name."""
    if not _NAME.fullmatch(name):
        raise Unusable(f"--name must be an identifier, got {name[:64]!r}")
    return replace(artifact, name=name)


def load_abi(path: Path) -> ContractAbi:
    """Return the ABI in a file: a bare JSON ABI, or an artifact's. Raises as `load`."""
    value = read_json(path) if path.suffix != ".vy" else None
    if isinstance(value, list):
        return ContractAbi.parse(value, path.name)
    return load(path).abi


def read_json(path: Path) -> Any:
    """Return the JSON value in a file of bounded size; raises BadFile."""
    try:
        with path.open("rb") as file:
            data = file.read(_FIRST_BYTES)
            if len(data) == _FIRST_BYTES:  # Room for the largest is asked for where it is needed.
                data += file.read(FILE_BYTES_MAX + 1 - len(data))
    except OSError as error:
        raise BadFile(path.name, f"cannot be read: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise BadFile(path.name, f"must be at most {FILE_BYTES_MAX} bytes")
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadFile(path.name, f"is not JSON: {error}") from None


def _contracts(value: dict[str, Any], path: Path) -> Iterator[tuple[str, Any, Any]]:
    """Yield (name, abi, bytecode) of every contract in a build file."""
    if "abi" in value:
        yield _file_name(value, path), value["abi"], value.get("bytecode")
        return
    groups = value.get("contracts")
    if not isinstance(groups, dict):
        return
    for key, group in groups.items():
        if not isinstance(group, dict):
            raise BadFile(f"{path.name}: contracts.{key[:64]}", "must be an object")
        if "abi" in group:  # Combined JSON: "file:Name" to the contract.
            yield key.rsplit(":", 1)[-1], group["abi"], group.get("bin", group.get("bytecode"))
            continue
        for name, contract in group.items():
            if not isinstance(contract, dict) or "abi" not in contract:
                raise BadFile(f"{path.name}: contracts.{key[:64]}.{name[:64]}", "has no abi")
            evm = contract.get("evm")
            yield name, contract["abi"], evm.get("bytecode") if isinstance(evm, dict) else None


def _file_name(value: dict[str, Any], path: Path) -> str:
    """Return the name that a single contract's file gives it, or the file's own."""
    return str(value.get("contractName") or _OTHERS.sub("_", path.stem))


def _chosen(
    found: list[tuple[str, Any, Any]], contract: str | None, path: Path
) -> tuple[str, Any, Any]:
    if contract is not None:
        named = [each for each in found if each[0] == contract]
    else:
        # Interfaces and abstract contracts beside the one that is meant have no code.
        named = [each for each in found if _has_code(each[2])] or found
    if len(named) == 1:
        return named[0]
    names = ", ".join(sorted({name for name, _, _ in found}))
    raise Unusable(f"{path.name} holds {names}: name one with --contract NAME")


def _has_code(value: Any) -> bool:
    return (value.get("object") if isinstance(value, dict) else value) not in (None, "", "0x")


def _read(name: str, abi: Any, bytecode: Any, field: str) -> Artifact:
    if isinstance(abi, str):  # Older combined JSON holds the ABI as text.
        try:
            abi = json.loads(abi)
        except (ValueError, RecursionError) as error:
            raise BadFile(f"{field}: abi", f"is not JSON: {error}") from None
    text = bytecode.get("object") if isinstance(bytecode, dict) else bytecode
    if text is None:
        text = ""
    if not isinstance(text, str):
        raise BadFile(f"{field}: bytecode", "must be hex")
    if _LINK.search(text):
        raise BadFile(f"{field}: bytecode", "needs libraries: link it before it is deployed")
    try:
        code = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise BadFile(f"{field}: bytecode", "must be hex") from None
    if not _NAME.fullmatch(name):
        raise BadFile(f"{field}: contractName", f"must be an identifier, got {name[:64]!r}")
    parsed = ContractAbi.parse(abi, f"{field}: abi")
    return Artifact(name=name, json_abi=abi, abi=parsed, init_code=code)


# Vyper --------------------------------------------------------------------------------------------


def compile_vyper(path: Path) -> Artifact:
    """Compile a .vy file; `import IMarket` finds the interfaces of the native contracts.

    Raises:
        Unusable: Vyper is not installed, or there is no such file.
        CommandError: the compiler refuses it, in the compiler's words.
    """
    try:
        vyper = importlib.import_module("vyper")
        compiler = importlib.import_module("vyper.cli.vyper_compile")
        settings = importlib.import_module("vyper.compiler.settings").Settings(
            evm_version=EVM_VERSION
        )
        refusal = importlib.import_module("vyper.exceptions").VyperException
    except ImportError:
        raise Unusable("Vyper is not installed", "pip install 'hearth[contracts]'") from None
    if not path.is_file():
        raise Unusable(f"there is no file {path}")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as said:
        for contract in ADDRESSES:
            Path(folder, f"I{contract}.vyi").write_text(interfaces.vyper(contract), "utf-8")
        try:
            # The later path is searched first: a file of one's own wins.
            (made,) = compiler.compile_files(
                [str(path)],
                ["abi", "bytecode"],
                paths=[folder, str(path.parent)],
                settings=settings,
            ).values()
        except refusal as error:
            raise CommandError(f"{path} does not compile: {error}") from None
    for warning in said:
        progress(f"{path.name}: {warning.message}")
    return Artifact(
        name=_file_name({}, path),
        json_abi=made["abi"],
        abi=ContractAbi.parse(made["abi"], path.name),
        init_code=bytes.fromhex(made["bytecode"].removeprefix("0x")),
        compiler=f"vyper {vyper.__version__}",
    )
