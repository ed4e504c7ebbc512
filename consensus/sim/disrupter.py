"""Real messages with a field changed at random, signed again by a faulty member's key.

What a liar says is false in ways that somebody thought of. A disrupter finds the others: it takes
the encoded value of something that it heard, changes one part of it anywhere, and sends what can
still be decoded, for only that would reach a replica.
"""

import random
from collections.abc import Callable
from dataclasses import replace

from consensus.certificates import COUNTER_MAX, Kind, Slot
from consensus.errors import MalformedMessage
from consensus.membership import MemberIndex
from consensus.messages import Commit, Message, NewView, Prepare, PrePrepare, ViewChange
from consensus.wire import from_value, signed_core, to_value
from crypto.codec import Value, decode, encode
from crypto.errors import DecodeError
from crypto.hashing import Digest

TRIES = 8
"""Changes tried on one message: most give nothing that can be decoded."""
FAR = COUNTER_MAX // 2
"""A number far above use that can still be counted on from."""
_BYTES_MAX = 4 << 20

Sign = Callable[[Kind, Slot, Digest], bytes]


def disrupt(rng: random.Random, message: Message, me: MemberIndex, sign: Sign) -> Message | None:
    """`message` with one part changed, as the word of `me`; None if no change can be decoded."""
    for _ in range(TRIES):
        value = decode(encode(to_value(message)), field="message", max_bytes=_BYTES_MAX)
        assert isinstance(value, list)
        parts = list(_parts(value))
        holder, place = rng.choice(parts[1:])  # Not the tag: that is another message's.
        _change(rng, holder, place)
        try:
            found = from_value(value)
        except (DecodeError, MalformedMessage):
            continue
        if found != message:
            return _signed(found, me, sign)
    return None


def _signed(message: Message, me: MemberIndex, sign: Sign) -> Message:
    """Signed by `me`, so that a check of the signature does not end it."""
    if not isinstance(message, PrePrepare | Prepare | Commit | ViewChange | NewView):
        return message
    own = replace(message, sender=me)
    core = signed_core(own)
    return replace(own, signature=sign(core.kind, core.slot, core.digest))


def _parts(value: list[Value]) -> list[tuple[list[Value], int]]:
    """Every place in a nested list."""
    found: list[tuple[list[Value], int]] = []
    for place, item in enumerate(value):
        found.append((value, place))
        if isinstance(item, list):
            found += _parts(item)
    return found


def _change(rng: random.Random, holder: list[Value], place: int) -> None:
    item = holder[place]
    match item:
        case bool():
            holder[place] = not item
        case int():
            holder[place] = rng.choice((0, 1, item + 1, item - 1, FAR, item ^ 2))
        case bytes():
            holder[place] = _changed_bytes(rng, item)
        case list() if item:
            other = rng.randrange(len(item))
            change = rng.randrange(3)
            if change == 0:
                del item[other]
            elif change == 1:
                item.append(item[other])
            else:
                item.reverse()
        case _:
            holder[place] = rng.choice((None, 0, b"", rng.randbytes(32)))


def _changed_bytes(rng: random.Random, item: bytes) -> bytes:
    if not item:
        return rng.randbytes(1)
    at = rng.randrange(len(item))
    turned = item[:at] + bytes([item[at] ^ (1 << rng.randrange(8))]) + item[at + 1 :]
    return rng.choice((turned, turned, rng.randbytes(len(item)), item[:-1], item + b"\0"))
