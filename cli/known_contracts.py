"""What is known about contracts, to show calls, events and reverts in words.

The native contracts are always known. Of a contract that this household deployed the home keeps
the ABI, `contracts/0x….json`; others are named on the command line by `--abi FILE`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from cli import contract_artifact, decode
from cli.contract_abi import NOTHING, ContractAbi
from cli.interfaces import json_abi
from cli.target import Target
from crypto.errors import DecodeError
from crypto.keys import checksum_address, parse_address
from market.abi import ADDRESSES
from node.home import Home
from testnet import strict_json

FOLDER = "contracts"
ADDRESS_CHARS = 42


@final
@dataclass(frozen=True, slots=True)
class Known:
    """Contracts by address."""

    home: Home
    anywhere: Sequence[ContractAbi] = ()
    """Tried on contracts that are not known otherwise."""
    _read: dict[bytes, tuple[str, ContractAbi] | None] = field(default_factory=dict)
    """What `named` has answered: a list of logs asks for the same contracts again and again."""

    def named(self, address: bytes) -> tuple[str, ContractAbi] | None:
        """Return (name, ABI) of a native contract, or of one that this household deployed.

        Raises:
            BadFile: the home's file about it is not what was written.
        """
        if address not in self._read:
            self._read[address] = self._find(address)
        return self._read[address]

    def _find(self, address: bytes) -> tuple[str, ContractAbi] | None:
        for name, native in ADDRESSES.items():
            if native == address:
                return name, ContractAbi.parse(json_abi(name), name)
        path = self._path(address)
        if not path.exists():
            return None
        artifact = contract_artifact.load(path)
        return artifact.name, artifact.abi

    def keep(self, address: bytes, artifact: contract_artifact.Artifact) -> None:
        """Remember the ABI of a contract that this household deployed."""
        path = self._path(address)
        path.parent.mkdir(exist_ok=True)
        about = {**artifact.to_json(), "bytecode": "0x", "address": checksum_address(address)}
        strict_json.write_file(path, strict_json.render(about))
        self._read[address] = artifact.name, artifact.abi

    def _path(self, address: bytes) -> Path:
        return self.home.path / FOLDER / f"0x{address.hex()}.json"

    def _abis(self, address: bytes) -> list[tuple[str | None, ContractAbi]]:
        own = self.named(address)
        return [own] if own is not None else [(None, each) for each in self.anywhere]

    def describe_call(self, to: bytes, data: bytes) -> dict[str, Any] | None:
        """Return {contract, function, arguments} of calldata, or None."""
        native = decode.describe_call(to, data)
        if native is not None or to in ADDRESSES.values():
            return native
        for name, each in self._abis(to):
            found = each.describe_call(data)
            if found is not None:
                entry, arguments = found
                contract = name or checksum_address(to)
                return {"contract": contract, "function": entry.name, "arguments": arguments}
        return None

    def describe_results(self, to: bytes, data: bytes, output: bytes) -> Any:
        """Return what the function that `data` calls returned; None if that is not known."""
        for _, each in self._abis(to):
            found = each.describe_call(data)
            if found is not None:
                try:
                    return found[0].decode_results(output)
                except DecodeError:
                    return None
        return None

    def describe_log(self, log: dict[str, Any]) -> dict[str, Any]:
        """Return a log of a receipt or of `eth_getLogs` in words, as far as it is known."""
        shown = decode.describe_log(log)
        if shown["event"] is not None:
            return shown
        address = bytes.fromhex(log["address"][2:])
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        for name, each in self._abis(address):
            found = each.describe_log(topics, bytes.fromhex(log["data"][2:]))
            if found is not None:
                shown |= {"event": found[0], "values": found[1]}
            if name is not None:
                shown["contract"] = name
        return shown

    def name_of(self, address: bytes) -> str | None:
        """Return what a contract is called; None if it has no name here."""
        own = self.named(address)
        return None if own is None else own[0]

    def label(self, target: Target, text: str) -> str:
        """Return the name of an address in text, household's or contract's; else the text."""
        named = target.named(text)
        if named.startswith("0x") and len(named) == ADDRESS_CHARS:
            return self.name_of(parse_address(named, "address")) or named
        return named

    def reason(self, to: bytes | None, output: bytes) -> str:
        """Return why a call or creation reverted, in words."""
        abis = self._abis(to) if to is not None else [(None, each) for each in self.anywhere]
        for _, each in abis:
            if output[:4] in each.errors:
                return each.reason(output)
        return NOTHING.reason(output)


def deployed(home: Home) -> dict[str, bytes]:
    """Return the contracts that this household deployed: name to the address of the newest."""
    found: dict[str, bytes] = {}
    paths = (home.path / FOLDER).glob("0x*.json")
    for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
        try:
            address = parse_address(path.stem, path.name)
        except DecodeError:
            continue  # Not a file of ours.
        found[contract_artifact.load(path).name] = address
    return found
