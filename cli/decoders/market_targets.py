"""Targets: what agents hear: negotiation, sealed payloads, meter records, events, views."""

from functools import cache
from typing import Final

from cli.decoders import material
from cli.decoders.target import Finding, Target
from crypto import abi, abi_event
from crypto.errors import DecodeError
from crypto.keys import AccountKey
from market.abi import ADDRESSES, EVENTS, FUNCTIONS
from market.agents import events
from market.agents.devices.meter_record import (
    GENESIS_HASH,
    MeterRecord,
    MeterStatus,
    Registers,
    from_ocmf,
    parse_record,
    to_ocmf,
)
from market.agents.errors import BoxRefused, RecordRefused
from market.agents.observations import BlockSeen
from market.agents.ontology import (
    Acceptance,
    Message,
    Performative,
    conversation_of,
    decode_message,
    encode_message,
)
from market.agents.relay_box import SIZES, RelayBox
from market.agents.terms import MarketTerms

_QUARTER_MS: Final = 900_000
_SIGNATURE_BYTES: Final = 65
_WORD: Final = abi.WORD_BYTES


def _key() -> AccountKey:
    return AccountKey.from_secret(material.digest(77))


def _message(performative: Performative, acceptance: Acceptance | None) -> bytes:
    sender, receiver = bytes(32), material.digest(2)
    return encode_message(
        Message(
            performative=performative,
            sender=sender,
            receiver=receiver,
            conversation=conversation_of(sender, receiver, 4, 1),
            window=4,
            offer_id=1,
            sequence=2,
            in_reply_to=1,
            round=1,
            quantity=700,
            price=31_000,
            valid_until_ms=_QUARTER_MS,
            acceptance=acceptance,
        )
    )


def _messages() -> list[bytes]:
    accepted = Acceptance(
        seller=bytes(20), buyer=material.RECEIVER, nonce=5, signature=bytes(_SIGNATURE_BYTES)
    )
    return [
        _message(Performative.PROPOSE, None),
        _message(Performative.ACCEPT_PROPOSAL, accepted),
    ]


def _boxes() -> tuple[RelayBox, RelayBox]:
    return RelayBox(material.digest(11)), RelayBox(material.digest(12))


def _sealed() -> list[bytes]:
    sender, receiver = _boxes()
    return [sender.seal(receiver.public, text) for text in (b"", b"words", bytes(SIZES[0]))]


def _box(data: bytes) -> None:
    """Only what was sealed to this key by the one sender opens, and once."""
    sender, receiver = _boxes()
    opened = receiver.open(data)
    if opened.sender != sender.public:
        raise Finding("a payload opens that nobody sealed")
    try:
        receiver.open(data)
    except BoxRefused:
        return
    raise Finding("a payload opens twice")


@cache
def _records() -> tuple[MeterRecord, ...]:
    first = MeterRecord.sign(
        _key(),
        meter_id="1EMH0012345678",
        pagination=1,
        time_ms=1_767_225_600_000,
        registers=Registers(import_wh=12, export_wh=3),
        previous=GENESIS_HASH,
    )
    second = MeterRecord.sign(
        _key(),
        meter_id='with "quotes"',
        pagination=2,
        time_ms=1_767_226_500_123,
        registers=Registers(import_wh=2**63 - 1),
        previous=first.hash,
        status=MeterStatus.ERROR,
    )
    return first, second


def _record(data: bytes) -> bytes:
    """65 bytes of signature, then the payload."""
    parsed = parse_record(data[_SIGNATURE_BYTES:], data[:_SIGNATURE_BYTES])
    return parsed.signature + parsed.payload


def _ocmf(data: bytes) -> bytes:
    record = from_ocmf(data.decode("utf-8", "surrogateescape"), _key().address)
    return to_ocmf(record).encode()


def _results(data: bytes) -> bytes:
    """Two bytes pick contract and function; the rest is what a stranger's node says it returned."""
    views = _views()
    contract, function = views[int.from_bytes(data[:2], "big") % len(views)]
    values = events.decode_result(contract, function, data[2:])
    if function == "parameters" and contract == "Market":
        _terms(values)
    return data[:2] + abi.encode(FUNCTIONS[contract][function].output_types, list(values))


def _terms(values: tuple[object, ...]) -> None:
    try:
        MarketTerms.from_parameters(1, values)
    except ValueError as error:
        raise DecodeError("terms", str(error)) from None


def _views() -> list[tuple[str, str]]:
    return [
        (contract, entry.name)
        for contract, functions in sorted(FUNCTIONS.items())
        for entry in functions.values()
    ]


def _result_seeds() -> list[bytes]:
    seeds = [
        place.to_bytes(2, "big") + bytes(_WORD * len(FUNCTIONS[contract][name].output_types))
        for place, (contract, name) in enumerate(_views())
        if (contract, name) != ("Market", "parameters")
        and all(
            isinstance(abi.parse_type(kind), abi.Word)
            for kind in FUNCTIONS[contract][name].output_types
        )
    ]
    market = _views().index(("Market", "parameters"))
    entry = FUNCTIONS["Market"]["parameters"]
    terms = [9 if name in ("retail", "windowMs") else 1 for name in entry.output_names]
    return [
        *seeds,
        market.to_bytes(2, "big") + abi.encode(entry.output_types, terms),
    ]


def _event(data: bytes) -> bytes | None:
    """Two bytes pick an event, then come its topics after the first, then its data."""
    kinds = [(ADDRESSES[name], kind) for name, each in sorted(EVENTS.items()) for kind in each]
    address, kind = kinds[int.from_bytes(data[:2], "big") % len(kinds)]
    parsed = abi_event.parse_event(kind.SIGNATURE)
    indexed = sum(each.is_indexed for each in parsed.inputs)
    body = data[2:]
    topics = [abi.event_topic(parsed.signature)]
    topics += [body[_WORD * place : _WORD * (place + 1)] for place in range(indexed)]
    rest = body[_WORD * indexed :]
    seen = BlockSeen(height=1, time_ms=1, transactions=(), events=((address, tuple(topics), rest),))
    found = list(events.decode_events(seen))
    values = abi_event.decode_event(kind.SIGNATURE, topics, rest)
    if found != [kind(*values)]:
        raise Finding(f"{kind.__name__} is read in two ways")
    again = abi_event.encode_event(kind.SIGNATURE, values)
    return data[:2] + b"".join(again[0][1:]) + again[1]


def _event_seeds() -> list[bytes]:
    kinds = [kind for _, each in sorted(EVENTS.items()) for kind in each]
    found = []
    for place, kind in enumerate(kinds):
        inputs = abi_event.parse_event(kind.SIGNATURE).inputs
        if all(isinstance(abi.parse_type(each.type), abi.Word) for each in inputs):
            found.append(place.to_bytes(2, "big") + bytes(_WORD * len(inputs)))
    return found


TARGETS: Final = (
    Target(
        name="ontology",
        covers=(decode_message,),
        run=lambda data: encode_message(decode_message(data)),
        refuses=(DecodeError,),
        seeds=_messages,
        bytes_max=2048,
    ),
    Target(
        name="relay-box",
        covers=(RelayBox,),
        run=_box,
        refuses=(BoxRefused,),
        seeds=_sealed,
    ),
    Target(
        name="meter-record",
        covers=(parse_record,),
        run=_record,
        refuses=(DecodeError,),
        seeds=lambda: [record.signature + record.payload for record in _records()],
    ),
    Target(
        name="ocmf",
        covers=(from_ocmf,),
        run=_ocmf,
        refuses=(DecodeError, RecordRefused),
        seeds=lambda: [to_ocmf(record).encode() for record in _records()],
    ),
    Target(
        name="view-result",
        covers=(events.decode_result, MarketTerms.from_parameters),
        run=_results,
        refuses=(DecodeError,),
        seeds=_result_seeds,
    ),
    Target(
        name="event",
        covers=(events.decode_events, abi_event.decode_event),
        run=_event,
        refuses=(DecodeError,),
        seeds=_event_seeds,
    ),
)
