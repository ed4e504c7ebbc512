"""A proof of one value of the state that anybody can verify offline, with the genesis file alone.

The file holds a state key, its value, the Merkle proof, the header whose state root the proof
leads to, the header's seal, and the hand-overs from the founders to the members that sealed it.
Verifying asks no node.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

from cli.epochs import names_at
from cli.output import eur
from consensus.certificates import SIGNATURE_BYTES, Seal
from consensus.errors import MalformedMessage
from consensus.light import EpochChain
from consensus.membership import MemberIndex, View
from crypto.errors import DecodeError, InvalidProof
from crypto.keys import checksum_address
from crypto.merkle import PROOF_BYTES_MAX, Proof, verify_proof
from market.abi import ENERGY_TOKEN, MONEY_TOKEN
from market.contracts.erc20 import balance_key
from node.hand_over import HAND_OVER_BYTES_MAX, HandOver, membership_of
from node.natives import NATIVES
from testnet import strict_json
from testnet.errors import BadFile
from vm.accounts import account_key, read_account
from vm.block import HEADER_BYTES, Header, decode_header
from vm.context import storage_key
from vm.contract_state import slot_key
from vm.first_block import founders
from vm.genesis import Genesis
from vm.machine import Machine

VERSION = 2
TOKENS = {"money": MONEY_TOKEN, "energy": ENERGY_TOKEN}
"""Whose balances are shown in words."""
KEY_BYTES_MAX = 128
VALUE_BYTES_MAX = 64 << 10
SLOT_BYTES = 32
_KEYS = ("version", "genesis", "key", "value", "proof", "header", "seal", "epochs")
EPOCHS_MAX = 1_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StateProof:
    """What one file claims."""

    genesis_hash: bytes
    """32 bytes: of the chain that is meant."""
    key: bytes
    """State key."""
    value: bytes | None
    """None: the key is absent."""
    proof: Proof
    header: Header
    seal: Seal | None
    """None for block 0, which everybody computes from the genesis file."""
    epochs: tuple[HandOver, ...] = ()
    """From the founders to the set that sealed the header: each change of the members."""

    def to_json(self) -> bytes:
        """Return the file: bytes as 0x-hex."""
        seal = self.seal
        return strict_json.render(
            {
                "version": VERSION,
                "genesis": "0x" + self.genesis_hash.hex(),
                "key": "0x" + self.key.hex(),
                "value": None if self.value is None else "0x" + self.value.hex(),
                "proof": "0x" + self.proof.to_bytes().hex(),
                "header": "0x" + self.header.to_bytes().hex(),
                "seal": None
                if seal is None
                else {
                    "view": seal.view,
                    "signatures": [
                        {"member": member, "signature": "0x" + signature.hex()}
                        for member, signature in seal.signatures
                    ],
                },
                "epochs": ["0x" + step.to_bytes().hex() for step in self.epochs],
            }
        )

    @classmethod
    def from_json(cls, data: bytes, field: str = "proof") -> Self:
        """Parse a file.

        Raises:
            BadFile: not the one text of a proof; names the field.
        """
        value = strict_json.parse(data, field)
        strict_json.check_keys(value, _KEYS, field)
        if value["version"] != VERSION:
            raise BadFile(f"{field}: version", f"must be {VERSION}")
        try:
            parsed = cls(
                genesis_hash=_hex(value["genesis"], f"{field}: genesis", 32, 32),
                key=_hex(value["key"], f"{field}: key", 0, KEY_BYTES_MAX),
                value=None
                if value["value"] is None
                else _hex(value["value"], f"{field}: value", 1, VALUE_BYTES_MAX),
                proof=Proof.from_bytes(_hex(value["proof"], f"{field}: proof", 1, PROOF_BYTES_MAX)),
                header=decode_header(
                    _hex(value["header"], f"{field}: header", HEADER_BYTES, HEADER_BYTES)
                ),
                seal=None if value["seal"] is None else read_seal(value["seal"], f"{field}: seal"),
                epochs=_epochs(value["epochs"], f"{field}: epochs"),
            )
        except (DecodeError, MalformedMessage) as error:
            raise BadFile(field, str(error)) from None
        if parsed.to_json() != data:
            raise BadFile(field, "is not in the form in which it was written")
        return parsed

    @classmethod
    def from_rpc(
        cls, genesis: Genesis, answer: dict[str, Any], epochs: Sequence[HandOver] = ()
    ) -> Self:
        """Build from what `hearth_getProof` answers; raises BadFile for what is malformed."""
        header = answer.get("header")
        value = {
            "version": VERSION,
            "genesis": "0x" + genesis.hash.hex(),
            **{name: answer.get(name) for name in ("key", "value", "proof")},
            "header": header.get("bytes") if isinstance(header, dict) else None,
            "seal": answer.get("seal"),
            "epochs": ["0x" + step.to_bytes().hex() for step in epochs],
        }
        return cls.from_json(strict_json.render(value), "hearth_getProof")


def verify(genesis: Genesis, claim: StateProof) -> None:
    """Accept `claim` as a fact of the chain that `genesis` founds, or raise.

    The hand-overs must lead from the founders to the set that sealed the header, the header's hash
    must carry exactly q COMMITs of one view by that set, and the Merkle proof must lead to the
    header's state root.

    Raises:
        InvalidProof: it does not show what it claims, and why.
    """
    if claim.genesis_hash != genesis.hash:
        raise InvalidProof(f"is of the chain with genesis 0x{claim.genesis_hash.hex()}")
    verify_proof(claim.header.state_root, claim.key, claim.value, claim.proof)
    first = Machine(genesis, NATIVES).first_header
    epochs = _follow(genesis, first, claim.epochs)
    if claim.header.number == 0:
        if claim.header != first or claim.seal is not None:
            raise InvalidProof("its header is not block 0 of this chain")
        return
    if claim.seal is None:
        raise InvalidProof(f"block {claim.header.number} has no seal")
    epochs.verify(claim.header.number, claim.header.hash, claim.seal)


def _follow(genesis: Genesis, first: Header, steps: Sequence[HandOver]) -> EpochChain:
    """Return the member sets from the founders on, as far as the hand-overs lead."""
    epochs = EpochChain(first.hash, membership_of(founders(genesis)))
    for step in steps:
        if step.seal is None:
            raise InvalidProof("its epochs begin with block 0, which everybody computes")
        epochs.hand_over(step.header.number, step.header.hash, step.seal, step.membership)
    return epochs


def signers(genesis: Genesis, claim: StateProof) -> list[str]:
    """Return who sealed the block of a verified claim: names of founders, keys of others."""
    if claim.seal is None:
        return []
    names = names_at(genesis, claim.epochs, claim.header.number)
    return [names[i] for i, _ in claim.seal.signatures]


def describe(genesis: Genesis, claim: StateProof) -> dict[str, Any]:
    """Return what a verified proof says."""
    said: dict[str, Any] = {
        "key": "0x" + claim.key.hex(),
        "value": None if claim.value is None else "0x" + claim.value.hex(),
    }
    for asset, address in TOKENS.items():
        prefix = storage_key(address, balance_key(b""))
        if claim.key.startswith(prefix) and len(claim.key) == len(prefix) + 20:
            account = claim.key.removeprefix(prefix)
            names = {member.account: member.name for member in genesis.members}
            units = int.from_bytes(claim.value or b"", "big")
            said["account"] = names.get(account) or "0x" + account.hex()
            said["balance"] = f"{eur(units)} EUR" if asset == "money" else f"{units} Wh"
            said["units"] = units
    said |= _bytecode(claim)
    return {
        **said,
        "height": claim.header.number,
        "block": "0x" + claim.header.hash.hex(),
        "time_ms": claim.header.time_ms,
        "sealed_by": signers(genesis, claim),
    }


def _bytecode(claim: StateProof) -> dict[str, Any]:
    """Return what a proof says of an account, or of a storage slot of a contract."""
    account, slot = account_key(b""), slot_key(b"", 0)[:-SLOT_BYTES]
    if claim.key.startswith(slot) and len(claim.key) == len(slot) + 20 + SLOT_BYTES:
        body = claim.key.removeprefix(slot)
        return {
            "contract": checksum_address(body[:20]),
            "slot": str(int.from_bytes(body[20:], "big")),
            "number": str(int.from_bytes(claim.value or b"", "big")),
        }
    if claim.key.startswith(account) and len(claim.key) == len(account) + 20:
        address = claim.key.removeprefix(account)
        read = read_account({claim.key: claim.value} if claim.value else {}, address)
        return {
            "account": checksum_address(address),
            "nonce": read.nonce,
            "sponsor": checksum_address(read.sponsor) if read.sponsor else None,
            "code_hash": "0x" + read.code_hash.hex() if read.code_hash else None,
        }
    return {}


def read_seal(value: object, field: str) -> Seal:
    """Parse a seal as JSON; raises BadFile, or MalformedMessage for one that cannot be."""
    data = strict_json.typed(value, dict, field)
    strict_json.check_keys(data, ("view", "signatures"), field)
    signatures = []
    for i, item in enumerate(strict_json.typed(data["signatures"], list, f"{field}.signatures")):
        name = f"{field}.signatures[{i}]"
        row = strict_json.typed(item, dict, name)
        strict_json.check_keys(row, ("member", "signature"), name)
        member = MemberIndex(strict_json.integer(row["member"], f"{name}.member"))
        signature = _hex(row["signature"], f"{name}.signature", SIGNATURE_BYTES, SIGNATURE_BYTES)
        signatures.append((member, signature))
    view = View(strict_json.integer(data["view"], f"{field}.view"))
    return Seal(view=view, signatures=tuple(signatures))


def _epochs(value: object, field: str) -> tuple[HandOver, ...]:
    items = strict_json.typed(value, list, field)
    if len(items) > EPOCHS_MAX:
        raise BadFile(field, f"must be at most {EPOCHS_MAX}, got {len(items)}")
    return tuple(
        HandOver.from_bytes(_hex(item, f"{field}[{place}]", 1, HAND_OVER_BYTES_MAX))
        for place, item in enumerate(items)
    )


def _hex(value: object, field: str, lo: int, hi: int) -> bytes:
    text = strict_json.typed(value, str, field)
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        data = b""
    if text != "0x" + data.hex() or not lo <= len(data) <= hi:
        raise BadFile(field, f'must be "0x" and lower-case hex of {lo} to {hi} bytes')
    return data
