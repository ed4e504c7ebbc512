"""What a genesis file says of the chain before, where a community starts anew on its state.

Block 0 of such a chain follows from the file alone: the state root is in it. The state does not;
it is that of the old chain's checkpoint, changed by `vm.first_block.carry_over`.
"""

from dataclasses import dataclass, fields
from typing import Any, Final, final

from crypto.errors import DecodeError
from crypto.hashing import DIGEST_BYTES, Digest

_U63: Final = 2**63
_NUMBERS: Final = (("height", 1), ("time_ms", 1), ("number", 1), ("epoch", 1), ("first_term", 1))
_DIGESTS: Final = ("genesis_hash", "block_hash", "state_root", "file_hash")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """Where the chain comes from; a value that exists is a valid one.

    Raises:
        DecodeError: from the constructor, naming the field.
    """

    genesis_hash: Digest
    """Of the old chain's genesis file."""
    height: int
    """Of the checkpoint, the old chain's last block that counts."""
    block_hash: Digest
    """Of the checkpoint."""
    time_ms: int
    """Of the checkpoint, and of block 0."""
    number: int
    """What bytecode takes for the number of block 0; those before are of the old chain."""
    epoch: int
    """Of the first member set; epochs of the old chain lie below."""
    first_term: int
    """Of block 1."""
    state_root: Digest
    """Of the state after block 0."""
    file_hash: Digest
    """Of the recovery file, which the survivors signed."""

    def __post_init__(self) -> None:
        for name, least in _NUMBERS:
            number = getattr(self, name)
            if not least <= number < _U63:
                message = f"must lie in {least}..2**63-1, got {number}"
                raise DecodeError(f"recovered.{name}", message)
        for name in _DIGESTS:
            length = len(getattr(self, name))
            if length != DIGEST_BYTES:
                raise DecodeError(
                    f"recovered.{name}", f"must be {DIGEST_BYTES} bytes, got {length}"
                )


FIELDS: Final = tuple(field.name for field in fields(Recovered))


def recovered_to_json(recovered: Recovered) -> dict[str, Any]:
    """Return the entry of a genesis file."""
    values = {name: getattr(recovered, name) for name in FIELDS}
    return {k: v.hex() if isinstance(v, bytes) else v for k, v in values.items()}


def recovered_from_json(value: Any) -> Recovered:
    """Return what the entry says, or raise DecodeError, naming the field."""
    if type(value) is not dict or set(value) != set(FIELDS):
        raise DecodeError("recovered", f"must have exactly {', '.join(FIELDS)}")
    for name in FIELDS:
        kind = str if name in _DIGESTS else int
        if type(value[name]) is not kind:
            got = type(value[name]).__name__
            raise DecodeError(f"recovered.{name}", f"must be {kind.__name__}, got {got}")
    digests = {name: _digest(value[name], name) for name in _DIGESTS}
    return Recovered(**{**value, **digests})


def _digest(text: str, name: str) -> Digest:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != DIGEST_BYTES or data.hex() != text:
        message = f"must be {2 * DIGEST_BYTES} hex digits in lower case"
        raise DecodeError(f"recovered.{name}", message)
    return Digest(data)
