"""Reading a contract's genesis parameters: integers in a range, nothing unknown."""

from collections.abc import Mapping

from vm.errors import GenesisError


def read_parameters(
    contract: str,
    given: Mapping[str, int | str],
    known: Mapping[str, tuple[int, int, int]],
) -> dict[str, int]:
    """Return every known parameter, from genesis or by default.

    Args:
        contract: NAME of the contract, for messages.
        given: what genesis holds.
        known: name to (default, least, greatest).

    Raises:
        GenesisError: an unknown name, text where a number belongs, or a number out of range.
    """
    for name in given:
        if name not in known:
            raise GenesisError(f"contracts.{contract}.{name}", "is not known")
    return {name: _number(contract, name, given, known[name]) for name in known}


def _number(
    contract: str, name: str, given: Mapping[str, int | str], bounds: tuple[int, int, int]
) -> int:
    default, lo, hi = bounds
    value = given.get(name, default)
    field = f"contracts.{contract}.{name}"
    if not isinstance(value, int):
        raise GenesisError(field, f"must be an integer, got {type(value).__name__}")
    if not lo <= value <= hi:
        raise GenesisError(field, f"must lie in {lo}..{hi}, got {value}")
    return value
