"""RPC transcripts of other nodes, and the chain that they were made on."""

_MARKS = (b">> {", b"<< {", b">> [", b"<< [")
_CHAIN_KEYS = (
    frozenset({"config", "alloc", "gasLimit"}),  # Their genesis.
    frozenset({"jsonrpc", "method", "params"}),  # The call that set their head.
)
_HIVE_PREFIX = "HIVE_"


def is_transcript(data: bytes) -> bool:
    """Return whether these are comment lines (`//`) and at least one request with its answer."""
    lines = [line for line in data.splitlines() if line and not line.startswith(b"//")]
    return (
        bool(lines)
        and lines[0].startswith(_MARKS[::2])
        and all(line.startswith(_MARKS) for line in lines)
    )


def is_chain_json(content: object) -> bool:
    """Return whether a JSON file describes the chain of the transcripts and judges nothing."""
    if not isinstance(content, dict) or not content:
        return False
    if all(isinstance(key, str) and key.startswith(_HIVE_PREFIX) for key in content):
        return True
    return any(keys <= content.keys() for keys in _CHAIN_KEYS)


def is_chain_blocks(data: bytes) -> bool:
    """Return whether these are encoded blocks one after the other: lists up to the last byte."""
    at = 0
    while at < len(data):
        size = data[at] - 0xF7
        if not 1 <= size <= 4 or at + 1 + size > len(data):
            return False
        at += 1 + size + int.from_bytes(data[at + 1 : at + 1 + size], "big")
    return bool(data) and at == len(data)
