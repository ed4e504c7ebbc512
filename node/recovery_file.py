"""The recovery file: what the survivors of a community sign so that another chain follows theirs.

It holds all that shows to whoever has the old genesis file that the new chain is the old
community's: the newest sealed block (the checkpoint) with its seal and the hand-overs to the
members who sealed it, who the members are from now on, the state's root under them, and the
signatures of all old members among those. `docs/recovery.md` says who does what.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Self, final

from consensus.certificates import SIGNATURE_BYTES, Seal
from consensus.light import EpochChain
from crypto.errors import DecodeError, InvalidProof, InvalidSignature
from crypto.hashing import DIGEST_BYTES, Digest, tagged_hash
from crypto.keys import NodeKey, verify_ed25519
from node.hand_over import HAND_OVER_BYTES_MAX, HandOver, read_seal
from node.light_answers import read_hex, read_int, read_list
from node.p2p.errors import CertificateError
from node.p2p.identity import check_certificate
from node.storage.rows import SEAL_BYTES_MAX, encode_seal
from vm.block import HEADER_BYTES, Header, decode_header
from vm.errors import GenesisError
from vm.first_block import founders, succeed
from vm.genesis import Genesis, GenesisMember, member_from_json, member_to_json
from vm.members import MEMBERS_MAX, MEMBERS_MIN, NODE_KEY_BYTES, MemberSet, quorum
from vm.versions import PROTOCOL_MAX

VERSION: Final = 1
FILE_BYTES_MAX: Final = 16 << 20
EPOCHS_MAX: Final = 4_096
_TAG: Final = b"hearth/recovery/1"
_SIGN_TAG: Final = b"hearth/recovery/sign/1"
_FIELDS: Final = (
    "version",
    "genesis",
    "header",
    "seal",
    "epochs",
    "protocol_version",
    "state_root",
    "members",
)
_SIGNATURES: Final = "signatures"


@final
@dataclass(frozen=True)
class RecoveryFile:
    """One proposal, and who has signed it. That it holds is `verify`'s to say."""

    genesis_hash: bytes
    """32 bytes: of the chain that has lost its quorum."""
    header: Header
    """Of the checkpoint."""
    seal: Seal
    epochs: tuple[HandOver, ...]
    """From block 0 of the old chain to the set that would seal the block above the checkpoint."""
    protocol_version: int
    """By whose rules block 1 is made: those that were in force for the next block."""
    state_root: Digest
    """After the checkpoint, with the new members."""
    members: tuple[GenesisMember, ...]
    """Of the new chain."""
    signatures: tuple[tuple[bytes, bytes], ...] = ()
    """(node key, Ed25519 over `payload`), ascending by key."""

    @cached_property
    def hash(self) -> Digest:
        """Names the proposal, whoever has signed it."""
        return tagged_hash(_TAG, _render(self._body()))

    @property
    def payload(self) -> Digest:
        """The 32 bytes that survivors sign."""
        return tagged_hash(_SIGN_TAG, self.hash)

    @property
    def signers(self) -> tuple[bytes, ...]:
        """Node keys of those who have signed, ascending."""
        return tuple(key for key, _ in self.signatures)

    @property
    def old_set(self) -> MemberSet:
        """The set that cannot seal the block above the checkpoint any more."""
        return self.epochs[-1].members

    @property
    def survivors(self) -> tuple[GenesisMember, ...]:
        """The old members among the new ones: all of them must sign."""
        return tuple(each for each in self.members if each.node_key in self.old_set.keys)

    def signed(self, key: NodeKey) -> "RecoveryFile":
        """Return this with the signature of `key`."""
        others = [row for row in self.signatures if row[0] != key.public]
        return replace(self, signatures=_sorted((*others, (key.public, key.sign(self.payload)))))

    def merged(self, other: "RecoveryFile") -> "RecoveryFile":
        """Return this with the signatures of another copy; raises DecodeError if it is none."""
        if other.hash != self.hash:
            raise DecodeError("recovery", "is not a copy of the same file")
        both = {**dict(self.signatures), **dict(other.signatures)}
        return replace(self, signatures=_sorted(both.items()))

    def genesis_after(self, old: Genesis) -> Genesis:
        """Return the genesis of the chain that follows `old`'s.

        Raises:
            GenesisError, DecodeError: members or a checkpoint that no genesis file could have.
        """
        return succeed(
            old,
            self.header,
            before=self.old_set,
            members=self.members,
            protocol_version=self.protocol_version,
            state_root=self.state_root,
            file_hash=self.hash,
        )

    def _body(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "genesis": _hex(self.genesis_hash),
            "header": _hex(self.header.to_bytes()),
            "seal": _hex(encode_seal(self.seal)),
            "epochs": [_hex(step.to_bytes()) for step in self.epochs],
            "protocol_version": self.protocol_version,
            "state_root": _hex(self.state_root),
            "members": [member_to_json(member) for member in self.members],
        }

    def to_json(self) -> bytes:
        """Return the file's bytes."""
        rows = [{"node_key": _hex(k), "signature": _hex(s)} for k, s in self.signatures]
        return _render({**self._body(), _SIGNATURES: rows})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Return what `data` is the one form of; nothing is verified yet.

        Raises:
            DecodeError: naming the field.
        """
        if len(data) > FILE_BYTES_MAX:
            raise DecodeError("recovery", f"must be at most {FILE_BYTES_MAX} bytes")
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            raise DecodeError("recovery", "must be JSON") from None
        if not isinstance(value, dict) or tuple(value) != (*_FIELDS, _SIGNATURES):
            raise DecodeError("recovery", f"must have exactly {', '.join(_FIELDS)}, {_SIGNATURES}")
        if read_int(value["version"], "version") != VERSION:
            raise DecodeError("version", f"must be {VERSION}")
        file = cls(**_read(value))
        if file.to_json() != data:
            raise DecodeError("recovery", "is not in the form in which it was written")
        return file


def _read(value: dict[str, Any]) -> dict[str, Any]:
    seal = read_hex(value["seal"], "seal", length_max=SEAL_BYTES_MAX)
    steps = read_list(value["epochs"], "epochs", EPOCHS_MAX)
    members = read_list(value["members"], "members", MEMBERS_MAX)
    rows = read_list(value[_SIGNATURES], _SIGNATURES, MEMBERS_MAX)
    if not steps:
        raise DecodeError("epochs", "must begin with block 0")
    return {
        "genesis_hash": read_hex(value["genesis"], "genesis", length=DIGEST_BYTES),
        "header": decode_header(read_hex(value["header"], "header", length=HEADER_BYTES)),
        "seal": read_seal(seal, "seal"),
        "epochs": tuple(_step(each, f"epochs[{i}]") for i, each in enumerate(steps)),
        "protocol_version": read_int(value["protocol_version"], "protocol_version", PROTOCOL_MAX),
        "state_root": Digest(read_hex(value["state_root"], "state_root", length=DIGEST_BYTES)),
        "members": tuple(_member(each, f"members[{i}]") for i, each in enumerate(members)),
        "signatures": tuple(_signature(each, f"signatures[{i}]") for i, each in enumerate(rows)),
    }


def _step(value: Any, field: str) -> HandOver:
    return HandOver.from_bytes(read_hex(value, field, length_max=HAND_OVER_BYTES_MAX))


def _member(value: Any, field: str) -> GenesisMember:
    try:
        return member_from_json(value)
    except GenesisError as error:
        raise DecodeError(f"{field}: {error.field}", error.message) from None


def _signature(value: Any, field: str) -> tuple[bytes, bytes]:
    if not isinstance(value, dict) or tuple(value) != ("node_key", "signature"):
        raise DecodeError(field, "must have exactly node_key, signature")
    key = read_hex(value["node_key"], f"{field}.node_key", length=NODE_KEY_BYTES)
    return key, read_hex(value["signature"], f"{field}.signature", length=SIGNATURE_BYTES)


def _sorted(rows: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(sorted(rows))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _render(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


# What has to hold.


def survivors_needed(n: int) -> int:
    """Return how many of `n` members must go on together.

    f + 1, so that a correct one is among them; and n - q + 1, so that the others are no quorum
    without them, and every sealed block had a COMMIT of one of them.
    """
    return max((n - 1) // 3 + 1, n - quorum(n) + 1)


def verify_proposal(file: RecoveryFile, old: Genesis, first: Header) -> None:
    """Accept that the checkpoint was sealed and that the members could go on; or raise.

    Neither the signatures nor the state's root are looked at.

    Args:
        file: from a stranger.
        old: the genesis of the chain that ends.
        first: its block 0, computed from it.

    Raises:
        InvalidProof: what does not hold.
    """
    if file.genesis_hash != old.hash:
        raise InvalidProof(f"is about the chain with genesis 0x{file.genesis_hash.hex()}")
    verify_checkpoint(old, first, file.header, file.seal, file.epochs)
    keys = [each.node_key for each in file.members]
    if list(keys) != sorted(set(keys)):
        raise InvalidProof("members must be ascending by node key, and distinct")
    if len(keys) < MEMBERS_MIN:
        raise InvalidProof(f"names {len(keys)} members, at least {MEMBERS_MIN} make a chain")
    n, needed = len(file.old_set.keys), survivors_needed(len(file.old_set.keys))
    if len(file.survivors) < needed:
        raise InvalidProof(f"names {len(file.survivors)} of {n} members, {needed} must go on")
    for member in file.members:
        try:
            check_certificate(member.certificate, member.node_key)
        except CertificateError as error:
            raise InvalidProof(f"{member.name}: {error}") from None
    try:
        file.genesis_after(old)
    except (GenesisError, DecodeError) as error:
        raise InvalidProof(f"makes no genesis file: {error}") from None


def verify_checkpoint(
    old: Genesis, first: Header, header: Header, seal: Seal, steps: Sequence[HandOver]
) -> None:
    """Accept that `header` is sealed, and that `steps` lead to the set that follows it, or raise.

    Args:
        old: the genesis of its chain.
        first: block 0, computed from it.
        header: of the checkpoint.
        seal: the checkpoint's.
        steps: hand-overs, that of block 0 first.

    Raises:
        InvalidProof: what does not hold.
    """
    if header.number < 1:
        raise InvalidProof("ends at block 0, which nobody sealed: found the community anew")
    start = HandOver(first, None, founders(old))
    if steps[0] != start:
        raise InvalidProof("does not begin with block 0 of the old chain")
    epochs = EpochChain(first.hash, start.membership)
    for step in steps[1:]:
        if step.seal is None:
            raise InvalidProof("begins twice with block 0")
        epochs.hand_over(step.header.number, step.header.hash, step.seal, step.membership)
    if steps[-1].members.first_height > header.number + 1:
        raise InvalidProof("has epochs above the checkpoint")
    epochs.verify(header.number, header.hash, seal)
    if header.next_members_hash != steps[-1].members.hash():
        raise InvalidProof("has not the set that follows the checkpoint")


def verify_signatures(file: RecoveryFile) -> None:
    """Accept that all survivors that the file names have signed it, and nobody else, or raise.

    Raises:
        InvalidProof: a signature is missing, wrong or a stranger's.
    """
    names = {each.node_key: each.name for each in file.survivors}
    if list(file.signers) != sorted(set(file.signers)):
        raise InvalidProof("signatures must be ascending by node key, and distinct")
    for key, signature in file.signatures:
        if key not in names:
            raise InvalidProof(f"is signed by 0x{key.hex()}, which is no survivor that it names")
        try:
            verify_ed25519(key, file.payload, signature)
        except InvalidSignature:
            raise InvalidProof(f"the signature of {names[key]} is wrong") from None
    missing = [name for key, name in names.items() if key not in file.signers]
    if missing:
        raise InvalidProof(f"is not signed by {', '.join(missing)}")
