"""Targets: messages between replicas, votes, seals, evidence, the vote log, hand-overs, READYs."""

from typing import Final

from cli.decoders import material, scratch
from cli.decoders.material import VIEW, slot, vote
from cli.decoders.target import Finding, Target
from consensus import evidence, vote_log, wire
from consensus.certificates import Kind, PreparedCertificate
from consensus.errors import CorruptLog, MalformedMessage
from consensus.membership import Epoch, Height, MemberIndex, View
from consensus.messages import (
    Blocks,
    BodyReply,
    Commit,
    GetBlocks,
    GetBody,
    GetHead,
    HeadReply,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    Shown,
    Signed,
    Status,
    ViewChange,
)
from crypto import codec
from crypto.errors import DecodeError
from market.contracts.evidence import read_evidence
from node.hand_over import HandOver, read_seal
from node.readiness import Told, decode_told, encode_told
from node.storage.new_views import load_new_views
from node.storage.rows import decode_seal, encode_seal
from vm.activation import Ready
from vm.errors import Revert

_BODY: Final = b"a body that is no block"
_HIGH: Final = Height(3)
_FRAME_HEAD_BYTES: Final = 4 + 8 + 16
_PRIMARY: Final = MemberIndex(0)


def _pre_prepare() -> PrePrepare:
    signed = vote(Kind.PRE_PREPARE, slot(_HIGH), material.digest(1), _PRIMARY)
    return PrePrepare(
        slot=signed.slot,
        digest=signed.digest,
        sender=signed.sender,
        signature=signed.signature,
        body=_BODY,
    )


def _prepare(member: int) -> Prepare:
    signed = vote(Kind.PREPARE, slot(_HIGH), material.digest(1), member)
    return Prepare(
        slot=signed.slot, digest=signed.digest, sender=signed.sender, signature=signed.signature
    )


def _commit(member: int, number: int = 1) -> Commit:
    signed = vote(Kind.COMMIT, slot(_HIGH), material.digest(number), member)
    return Commit(
        slot=signed.slot, digest=signed.digest, sender=signed.sender, signature=signed.signature
    )


def _certificate() -> PreparedCertificate:
    return PreparedCertificate(
        pre_prepare=wire.signed_core(_pre_prepare()),
        prepares=tuple((MemberIndex(i), _prepare(i).signature) for i in range(1, 4)),
    )


def _view_change(member: int, prepared: PreparedCertificate | None) -> ViewChange:
    head = material.head()
    place = slot(head.height, View(VIEW + 1))
    content = wire.view_change_digest(head, prepared)
    signed = vote(Kind.VIEW_CHANGE, place, content, member)
    return ViewChange(
        slot=place,
        head=head,
        prepared=prepared,
        sender=signed.sender,
        signature=signed.signature,
    )


def _new_view() -> NewView:
    view_changes = (_view_change(1, None), _view_change(2, _certificate()))
    place = slot(0, View(VIEW + 1))
    signed = vote(Kind.NEW_VIEW, place, wire.new_view_digest(view_changes), 1)
    return NewView(
        slot=place, view_changes=view_changes, sender=signed.sender, signature=signed.signature
    )


def _signed() -> tuple[Signed, ...]:
    return _pre_prepare(), _prepare(1), _commit(2), _view_change(1, _certificate()), _new_view()


def _unsigned() -> tuple[Message, ...]:
    record, shown = material.block(2), wire.signed_core(_pre_prepare())
    block = SealedBlock(height=Height(2), digest=record.hash, body=_BODY, seal=material.seal(2))
    status = Status(
        slot=slot(2),
        head_digest=record.hash,
        asked=View(VIEW + 1),
        proposal=material.digest(1),
        prepares=0b1011,
        commits=1,
        view_changes=(View(0), View(4)),
        is_learner=False,
    )
    nonce = material.digest(9)
    yours = (shown, wire.signed_core(_commit(0)))
    return (
        status,
        GetHead(nonce),
        HeadReply(nonce=nonce, epoch=Epoch(1), head=material.head(), yours=yours),
        GetBody(nonce),
        BodyReply(nonce, _BODY),
        GetBlocks(_HIGH),
        Blocks((block,)),
        Shown(shown),
    )


def _messages() -> list[bytes]:
    return [wire.encode_message(message) for message in (*_signed(), *_unsigned())]


def _message(data: bytes) -> bytes:
    return wire.encode_message(wire.decode_message(data))


def _parts(data: bytes) -> bytes:
    """Votes, certificates and sealed blocks, as they lie inside messages; byte one says which."""
    value = codec.decode(data[1:], field="part", max_bytes=1 << 20)
    match data[:1]:
        case b"c":
            certificate = wire.read_certificate(value, "part")
            written = wire.certificate_to_value(certificate)
        case b"b":
            block = wire.read_sealed_block(value, "part")
            written = wire.sealed_block_to_value(block)
        case _:
            written = wire.signed_vote_to_value(wire.read_signed_vote(value, "part"))
    return data[:1] + codec.encode(written)


def _part_seeds() -> list[bytes]:
    blocks = _unsigned()[6]
    assert isinstance(blocks, Blocks), "the seventh"
    return [
        b"c" + codec.encode(wire.certificate_to_value(_certificate())),
        b"b" + codec.encode(wire.sealed_block_to_value(blocks.blocks[0])),
        b"v" + codec.encode(wire.signed_vote_to_value(wire.signed_core(_commit(2)))),
    ]


def _evidence_seeds() -> list[bytes]:
    proposal = wire.signed_core(_pre_prepare())
    mine = wire.signed_core(_commit(0))
    low, high = sorted((mine, wire.signed_core(_commit(0, 2))), key=lambda v: v.digest)
    other = vote(Kind.COMMIT, slot(_HIGH), material.digest(2), 0)
    return [
        evidence.encode_evidence(proof)
        for proof in (
            evidence.DoubleVote(low, high),
            evidence.SplitVote(proposal, other),
            evidence.HiddenCertificate(mine, _view_change(0, None)),
        )
    ]


def _evidence(data: bytes) -> bytes:
    """Consensus and the contract, which read evidence by code of their own, agree on all bytes."""
    try:
        accusation = read_evidence(data)
    except Revert:
        accusation = None
    try:
        proof = evidence.decode_evidence(data)
    except DecodeError:
        if accusation is not None:
            raise Finding("the contract reads evidence that consensus refuses") from None
        raise
    if accusation is None:
        raise Finding("consensus reads evidence that the contract refuses")
    if (accusation.offence, accusation.votes[0].sender) != (proof.TAG, evidence.offender(proof)):
        raise Finding("the contract reads another offence than consensus")
    return evidence.encode_evidence(proof)


def _log_seeds() -> list[bytes]:
    records: tuple[vote_log.Record, ...] = (
        vote_log.ProposalRecord(_pre_prepare(), _prepare(1)),
        vote_log.CommitRecord(_certificate(), _commit(1)),
        vote_log.ViewChangeRecord(_view_change(1, _certificate())),
        vote_log.NewViewRecord(_new_view()),
    )
    log = b""
    for record in records:
        log += vote_log.encode_frame((record,), len(log))
    return [log, vote_log.encode_frame(records, 0), log[:-20], log + bytes(100)]


def _log(data: bytes) -> None:
    """What is kept of a log is its beginning, and is read as the same records again."""
    found = vote_log.replay(data)
    kept = data[: found.valid_bytes]
    if len(kept) != found.valid_bytes or vote_log.replay(kept) != found:
        raise Finding("what is left of a torn log reads otherwise")


def _log_payload(data: bytes) -> None:
    """Damage that the checks do not catch: a whole frame around any payload is read as strictly.

    The checks are the format's own affair; without them no frame of the fuzzer would be whole.
    """
    length = len(data).to_bytes(4, "big")
    checks = vote_log._header_check(0, length) + vote_log._payload_check(0, data)
    found = vote_log.replay(length + checks + data)
    again = vote_log.encode_frame(found.records, 0)
    if again[len(length + checks) :] != data:
        raise Finding("the records of a frame are written otherwise")


def _payload_seeds() -> list[bytes]:
    return [frame[_FRAME_HEAD_BYTES:] for frame in _log_seeds()[1:2]]


def _new_views(data: bytes) -> bytes:
    (found,) = load_new_views(scratch.file("one.newview", data))
    return wire.encode_message(found)


def _hand_over_seeds() -> list[bytes]:
    return [step.to_bytes() for step in material.hand_overs()]


def _seal(data: bytes) -> bytes:
    """Both ways to a seal refuse alike, and say so by one kind of error."""
    try:
        seal = decode_seal(data)
    except MalformedMessage:
        read_seal(data, "seal")
        raise Finding("read_seal reads what decode_seal refuses") from None
    if read_seal(data, "seal") != seal:
        raise Finding("read_seal reads another seal")
    return encode_seal(seal)


def _ready_seeds() -> list[bytes]:
    keys = material.chain().community.nodes
    told = [Told(7, Ready(key.public, 9, key.sign(bytes(32)))) for key in keys]
    return [encode_told(told[:1]), encode_told(told)]


TARGETS: Final = (
    Target(
        name="message",
        covers=(wire.decode_message, wire.from_value, wire.read_view_change),
        run=_message,
        refuses=(DecodeError, MalformedMessage),
        seeds=_messages,
    ),
    Target(
        name="message-part",
        covers=(wire.read_certificate, wire.read_sealed_block, wire.read_signed_vote),
        run=_parts,
        refuses=(DecodeError, MalformedMessage),
        seeds=_part_seeds,
    ),
    Target(
        name="evidence",
        covers=(evidence.decode_evidence, read_evidence),
        run=_evidence,
        refuses=(DecodeError,),
        seeds=_evidence_seeds,
    ),
    Target(
        name="vote-log",
        covers=(vote_log.replay,),
        run=_log,
        refuses=(CorruptLog,),
        seeds=_log_seeds,
        bytes_max=16 << 10,
        cases=40,
    ),
    Target(
        name="vote-log-payload",
        covers=(vote_log.replay,),
        run=_log_payload,
        refuses=(CorruptLog,),
        seeds=_payload_seeds,
    ),
    Target(
        name="new-views",
        covers=(load_new_views,),
        run=_new_views,
        refuses=(DecodeError,),
        seeds=lambda: [wire.encode_message(_new_view())],
    ),
    Target(
        name="seal",
        covers=(decode_seal, read_seal),
        run=_seal,
        refuses=(DecodeError,),
        seeds=lambda: [encode_seal(material.seal(height)) for height in (1, 3)],
    ),
    Target(
        name="hand-over",
        covers=(HandOver.from_bytes,),
        run=lambda data: HandOver.from_bytes(data).to_bytes(),
        refuses=(DecodeError,),
        seeds=_hand_over_seeds,
    ),
    Target(
        name="ready",
        covers=(decode_told,),
        run=lambda data: encode_told(decode_told(data)),
        refuses=(DecodeError,),
        seeds=_ready_seeds,
    ),
)
