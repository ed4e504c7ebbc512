"""What every frame of one transaction shares: the block, the origin, the precompiles."""

from collections.abc import Callable, Mapping
from typing import TypeAlias, final

from vm.value import value

Precompile: TypeAlias = Callable[[bytes, int], "tuple[int, bytes | None]"]
"""(input, gas available) -> (gas that it costs, output). The cost is decided before the work is
done; above the gas available nothing is computed. Output None: the input is refused, and the call
fails with all its gas."""


@final
@value(kw_only=True)
class Environment:
    """Block and transaction as opcodes see them. Addresses are 20 bytes, words ints below 2^256."""

    coinbase: bytes
    number: int
    time_s: int
    gas_limit: int
    """Of the block."""
    prev_randao: int
    """PREVRANDAO (EIP-4399). Not random in production."""
    base_fee: int
    chain_id: int
    block_hash: Callable[[int], int]
    """Hash of one of the 256 blocks before `number`; asked for no other."""
    gas_price: int
    origin: bytes
    precompiles: Mapping[bytes, Precompile]
    """By address; `vm.evm.precompiles.PRECOMPILES` in production."""
