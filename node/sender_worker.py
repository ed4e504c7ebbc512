"""The process beside a node that recovers who signed the transactions of blocks: `node.senders`.

It reads encoded blocks from standard input and writes the senders of each to standard output, in
order, until its input ends: so it never outlives its node, however that died. A length (u32)
stands before each of both.
"""

import sys
from struct import Struct
from typing import BinaryIO, Final

from crypto.keys import ADDRESS_BYTES
from vm.block import decode_block
from vm.errors import InvalidBlock, InvalidTransaction
from vm.transaction import decode

LENGTH: Final = Struct(">I")
UNKNOWN: Final = bytes(ADDRESS_BYTES)
"""In place of a sender: the node finds out by itself what is wrong, or of another kind."""


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Say that it is there by an empty answer; then answer until `source` ends."""
    _write(sink, b"")
    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        (size,) = LENGTH.unpack(head)
        _write(sink, senders_of(source.read(size)))


def senders_of(body: bytes) -> bytes:
    """Return 20 bytes for each transaction of an encoded block; nothing if it is none."""
    try:
        raws = decode_block(body).transactions
    except InvalidBlock:
        return b""
    return b"".join([_sender(raw) for raw in raws])


def _sender(raw: bytes) -> bytes:
    try:
        return decode(raw).sender()
    except InvalidTransaction:
        return UNKNOWN


def _write(sink: BinaryIO, answer: bytes) -> None:
    sink.write(LENGTH.pack(len(answer)) + answer)
    sink.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
