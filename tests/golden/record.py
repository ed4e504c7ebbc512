"""Record a golden chain:

    python -m tests.golden.record            # of this release's newest protocol, if there is none
    python -m tests.golden.record --replace  # only while no chain of that protocol is kept

A recording of a protocol that chains are made by is never replaced: see README.md beside this.
"""

import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

from crypto import codec
from tests.golden.scenario import play
from vm.block import BLOCK_BYTES_MAX, Block, decode_block, encode_block
from vm.genesis import Genesis
from vm.receipt import encode_receipt
from vm.versions import SUPPORTED_PROTOCOLS

FOLDER = Path(__file__).parent
FILE_BYTES_MAX = 200_000
_DATA_BYTES_MAX = 8 << 20


@dataclass(frozen=True)
class Golden:
    """A recorded chain."""

    genesis: Genesis
    first_hash: bytes
    """Of block 0."""
    blocks: tuple[tuple[bytes, Block, tuple[bytes, ...]], ...]
    """(encoded, block, encoded receipts) from block 1 on."""
    state: tuple[tuple[bytes, bytes], ...]
    """All of it after the last block, ascending by key."""
    head_hash: bytes


def path_of(protocol):
    return FOLDER / f"protocol-{protocol}.bin"


def encode_golden(genesis, first_hash, recorded, state, head_hash):
    blocks = [
        [encode_block(block), [encode_receipt(receipt) for receipt in receipts]]
        for block, receipts in recorded
    ]
    rows = [[key, state[key]] for key in sorted(state)]
    value = [genesis.to_json(), first_hash, blocks, rows, head_hash]
    return zlib.compress(codec.encode(value), 9)


def decode_golden(data):
    plain = zlib.decompressobj().decompress(data, _DATA_BYTES_MAX)
    value = codec.decode(plain, field="golden", max_bytes=_DATA_BYTES_MAX)
    genesis, first_hash, blocks, rows, head_hash = value
    assert all(len(encoded) <= BLOCK_BYTES_MAX for encoded, _ in blocks)
    return Golden(
        genesis=Genesis.from_json(genesis),
        first_hash=first_hash,
        blocks=tuple(
            (encoded, decode_block(encoded), tuple(receipts)) for encoded, receipts in blocks
        ),
        state=tuple((key, content) for key, content in rows),
        head_hash=head_hash,
    )


def make():
    """Return the bytes of a recording of the newest protocol."""
    chain = play()
    first = chain.machine.genesis_execution().header.hash
    return encode_golden(chain.machine.genesis, first, chain.recorded, chain.state, chain.head.hash)


def main(arguments):
    path = path_of(SUPPORTED_PROTOCOLS[-1])
    if path.exists() and arguments != ["--replace"]:
        sys.exit(f"{path.name} is there; a new protocol version gets a recording of its own")
    data = make()
    if len(data) > FILE_BYTES_MAX:
        sys.exit(f"must be at most {FILE_BYTES_MAX} bytes, got {len(data)}")
    path.write_bytes(data)
    sys.stdout.write(f"{path}: {len(data)} bytes\n")


if __name__ == "__main__":
    main(sys.argv[1:])
