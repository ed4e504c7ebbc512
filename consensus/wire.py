"""Bytes of the messages: canonical msgpack arrays, first the tag, read strictly and bounded.

What `decode_message` accepts, `encode_message` gives back byte for byte (rule 27).
"""

from collections.abc import Callable
from typing import assert_never

from consensus.certificates import (
    COUNTER_MAX,
    SIGNATURE_BYTES,
    Head,
    Kind,
    PreparedCertificate,
    Seal,
    Signatures,
    SignedVote,
    Slot,
)
from consensus.config import (
    MAX_BLOCKS_PER_REPLY,
    MAX_BODY_BYTES,
    MAX_MEMBERS,
    MAX_MESSAGE_BYTES,
)
from consensus.errors import MalformedMessage
from consensus.membership import Epoch, Height, MemberIndex, Term, View
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
    Unsigned,
    ViewChange,
)
from crypto.codec import (
    Encodable,
    Value,
    as_bool,
    as_bytes,
    as_int,
    as_list,
    decode,
    encode,
    int_from_bytes,
    int_to_bytes,
)
from crypto.errors import DecodeError
from crypto.hashing import DIGEST_BYTES, Digest, tagged_hash

_VIEW_CHANGE_TAG = b"hearth/pbft/view-change/1"
_NEW_VIEW_TAG = b"hearth/pbft/new-view/1"


def encode_message(message: Message) -> bytes:
    """The one encoding of `message`."""
    return encode(to_value(message))


def decode_message(data: bytes) -> Message:
    """Parse what a peer sent.

    Raises:
        DecodeError: not one of our messages in its canonical bytes; names the field.
    """
    return from_value(decode(data, field="message", max_bytes=MAX_MESSAGE_BYTES))


def view_change_digest(head: Head, prepared: PreparedCertificate | None) -> Digest:
    """What the signature of a VIEW-CHANGE covers beside its slot."""
    return tagged_hash(_VIEW_CHANGE_TAG, encode([_head(head), _certificate_or_none(prepared)]))


def new_view_digest(view_changes: tuple[ViewChange, ...]) -> Digest:
    """What the signature of a NEW-VIEW covers beside its slot."""
    return tagged_hash(_NEW_VIEW_TAG, encode([to_value(m) for m in view_changes]))


def signed_core(message: Signed) -> SignedVote:
    """The signed part of `message` by itself."""
    match message:
        case PrePrepare() | Prepare() | Commit():
            digest = message.digest
        case ViewChange():
            digest = view_change_digest(message.head, message.prepared)
        case NewView():
            digest = new_view_digest(message.view_changes)
        case _:
            assert_never(message)
    return SignedVote(
        kind=Kind(message.TAG),
        slot=message.slot,
        digest=digest,
        sender=message.sender,
        signature=message.signature,
    )


def to_value(message: Message) -> list[Encodable]:
    """The message as a codec value: its tag, then its fields in order."""
    tag = message.TAG
    match message:
        case PrePrepare(slot=slot, digest=digest, sender=sender, signature=signature, body=body):
            return [tag, _slot(slot), digest, sender, signature, body]
        case Prepare() | Commit():
            return [tag, _slot(message.slot), message.digest, message.sender, message.signature]
        case ViewChange(slot=slot, head=head, prepared=prepared):
            certificate = _certificate_or_none(prepared)
            return [tag, _slot(slot), _head(head), certificate, message.sender, message.signature]
        case NewView(slot=slot, view_changes=view_changes):
            inner = [to_value(m) for m in view_changes]
            return [tag, _slot(slot), inner, message.sender, message.signature]
        case _:
            return [tag, *_unsigned_fields(message)]


def _unsigned_fields(
    message: Unsigned,
) -> list[Encodable]:
    match message:
        case Status():
            return [
                _slot(message.slot),
                message.head_digest,
                message.asked,
                message.proposal,
                int_to_bytes(message.prepares),
                int_to_bytes(message.commits),
                message.view_changes,
                message.is_learner,
            ]
        case GetHead(nonce):
            return [nonce]
        case HeadReply():
            yours = [signed_vote_to_value(vote) for vote in message.yours]
            return [message.nonce, message.epoch, _head(message.head), yours]
        case GetBody(digest):
            return [digest]
        case BodyReply(digest, body):
            return [digest, body]
        case GetBlocks(from_height):
            return [from_height]
        case Blocks(blocks):
            return [[sealed_block_to_value(block) for block in blocks]]
        case Shown(vote):
            return [signed_vote_to_value(vote)]
        case _:
            assert_never(message)


def sealed_block_to_value(block: SealedBlock) -> list[Encodable]:
    """A sealed block as a codec value."""
    return [block.height, block.digest, block.body, _seal(block.seal)]


def _slot(slot: Slot) -> list[Encodable]:
    return [slot.epoch, slot.term, slot.view, slot.height]


def _seal(seal: Seal) -> list[Encodable]:
    return [seal.view, seal.signatures]


def _head(head: Head) -> list[Encodable]:
    return [head.height, head.digest, None if head.seal is None else _seal(head.seal)]


def signed_vote_to_value(vote: SignedVote) -> list[Encodable]:
    """A signed vote as a codec value."""
    return [vote.kind, _slot(vote.slot), vote.digest, vote.sender, vote.signature]


def certificate_to_value(certificate: PreparedCertificate) -> list[Encodable]:
    """A prepared certificate as a codec value."""
    return [signed_vote_to_value(certificate.pre_prepare), certificate.prepares]


def _certificate_or_none(certificate: PreparedCertificate | None) -> list[Encodable] | None:
    return None if certificate is None else certificate_to_value(certificate)


# Reading. Each reader takes a decoded value and the name that errors give to it.


def from_value(value: Value) -> Message:
    """Parse a message from a codec value; DecodeError names the field."""
    if not isinstance(value, list) or not value:
        raise DecodeError("message", "must be an array that starts with a tag")
    tag = as_int(value[0], "message.tag", 0, 255)
    reader = _READERS.get(tag)
    if reader is None:
        raise DecodeError("message.tag", f"no message has the tag {tag}")
    length, read = reader
    if len(value) != length + 1:
        raise DecodeError("message", f"tag {tag} has {length} fields, got {len(value) - 1}")
    try:
        return read(value[1:])
    except MalformedMessage as error:
        raise DecodeError("message", str(error)) from None


def _read_digest(value: Value, field: str) -> Digest:
    return Digest(as_bytes(value, field, DIGEST_BYTES))


def _read_slot(value: Value, field: str) -> Slot:
    epoch, term, view, height = as_list(value, field, 4)
    return Slot(
        epoch=Epoch(as_int(epoch, f"{field}.epoch", 0, COUNTER_MAX)),
        term=Term(as_int(term, f"{field}.term", 0, COUNTER_MAX)),
        view=View(as_int(view, f"{field}.view", 0, COUNTER_MAX)),
        height=Height(as_int(height, f"{field}.height", 0, COUNTER_MAX)),
    )


def _read_member(value: Value, field: str) -> MemberIndex:
    return MemberIndex(as_int(value, field, 0, MAX_MEMBERS - 1))


def _read_signature(value: Value, field: str) -> bytes:
    return as_bytes(value, field, SIGNATURE_BYTES)


def _read_signatures(value: Value, field: str) -> Signatures:
    pairs = [as_list(pair, field, 2) for pair in as_list(value, field, max_length=MAX_MEMBERS)]
    return tuple(
        (_read_member(member, f"{field}.member"), _read_signature(signature, f"{field}.signature"))
        for member, signature in pairs
    )


def _read_seal(value: Value, field: str) -> Seal:
    view, signatures = as_list(value, field, 2)
    return Seal(
        view=View(as_int(view, f"{field}.view", 0, COUNTER_MAX)),
        signatures=_read_signatures(signatures, f"{field}.signatures"),
    )


def _read_head(value: Value, field: str) -> Head:
    height, digest, seal = as_list(value, field, 3)
    return Head(
        height=Height(as_int(height, f"{field}.height", 0, COUNTER_MAX)),
        digest=_read_digest(digest, f"{field}.digest"),
        seal=None if seal is None else _read_seal(seal, f"{field}.seal"),
    )


def read_signed_vote(value: Value, field: str) -> SignedVote:
    """Parse a signed vote; DecodeError or MalformedMessage names the field."""
    kind, slot, digest, sender, signature = as_list(value, field, 5)
    return SignedVote(
        kind=Kind(as_int(kind, f"{field}.kind", 1, len(Kind))),
        slot=_read_slot(slot, f"{field}.slot"),
        digest=_read_digest(digest, f"{field}.digest"),
        sender=_read_member(sender, f"{field}.sender"),
        signature=_read_signature(signature, f"{field}.signature"),
    )


def read_certificate(value: Value, field: str) -> PreparedCertificate:
    """Parse a prepared certificate; DecodeError or MalformedMessage names the field."""
    pre_prepare, prepares = as_list(value, field, 2)
    return PreparedCertificate(
        pre_prepare=read_signed_vote(pre_prepare, f"{field}.pre_prepare"),
        prepares=_read_signatures(prepares, f"{field}.prepares"),
    )


def read_sealed_block(value: Value, field: str) -> SealedBlock:
    """Parse a sealed block; DecodeError or MalformedMessage names the field."""
    height, digest, body, seal = as_list(value, field, 4)
    return SealedBlock(
        height=Height(as_int(height, f"{field}.height", 1, COUNTER_MAX)),
        digest=_read_digest(digest, f"{field}.digest"),
        body=as_bytes(body, f"{field}.body", max_length=MAX_BODY_BYTES),
        seal=_read_seal(seal, f"{field}.seal"),
    )


def _read_pre_prepare(fields: list[Value]) -> Message:
    slot, digest, sender, signature, body = fields
    return PrePrepare(
        slot=_read_slot(slot, "slot"),
        digest=_read_digest(digest, "digest"),
        sender=_read_member(sender, "sender"),
        signature=_read_signature(signature, "signature"),
        body=as_bytes(body, "body", max_length=MAX_BODY_BYTES),
    )


def _read_prepare(fields: list[Value]) -> Message:
    slot, digest, sender, signature = fields
    return Prepare(
        slot=_read_slot(slot, "slot"),
        digest=_read_digest(digest, "digest"),
        sender=_read_member(sender, "sender"),
        signature=_read_signature(signature, "signature"),
    )


def _read_commit(fields: list[Value]) -> Message:
    slot, digest, sender, signature = fields
    return Commit(
        slot=_read_slot(slot, "slot"),
        digest=_read_digest(digest, "digest"),
        sender=_read_member(sender, "sender"),
        signature=_read_signature(signature, "signature"),
    )


def read_view_change(fields: list[Value]) -> ViewChange:
    """Parse the fields that follow a VIEW-CHANGE's tag; errors as for the other readers."""
    slot, head, prepared, sender, signature = fields
    return ViewChange(
        slot=_read_slot(slot, "slot"),
        head=_read_head(head, "head"),
        prepared=None if prepared is None else read_certificate(prepared, "prepared"),
        sender=_read_member(sender, "sender"),
        signature=_read_signature(signature, "signature"),
    )


def _read_new_view(fields: list[Value]) -> Message:
    slot, view_changes, sender, signature = fields
    inner: list[ViewChange] = []
    for value in as_list(view_changes, "view_changes", max_length=MAX_MEMBERS):
        parts = as_list(value, "view_changes", 6)
        as_int(parts[0], "view_changes.tag", ViewChange.TAG, ViewChange.TAG)
        inner.append(read_view_change(parts[1:]))
    return NewView(
        slot=_read_slot(slot, "slot"),
        view_changes=tuple(inner),
        sender=_read_member(sender, "sender"),
        signature=_read_signature(signature, "signature"),
    )


def _read_status(fields: list[Value]) -> Message:
    slot, head_digest, asked, proposal, prepares, commits, view_changes, is_learner = fields
    views = as_list(view_changes, "view_changes", max_length=MAX_MEMBERS)
    return Status(
        slot=_read_slot(slot, "slot"),
        head_digest=_read_digest(head_digest, "head_digest"),
        asked=View(as_int(asked, "asked", 0, COUNTER_MAX)),
        proposal=None if proposal is None else _read_digest(proposal, "proposal"),
        prepares=int_from_bytes(prepares, "prepares", MAX_MEMBERS // 8),
        commits=int_from_bytes(commits, "commits", MAX_MEMBERS // 8),
        view_changes=tuple(View(as_int(v, "view_changes", 0, COUNTER_MAX)) for v in views),
        is_learner=as_bool(is_learner, "is_learner"),
    )


def _read_head_reply(fields: list[Value]) -> Message:
    nonce, epoch, head, yours = fields
    votes = as_list(yours, "yours", max_length=len(Kind))
    return HeadReply(
        nonce=_read_digest(nonce, "nonce"),
        epoch=Epoch(as_int(epoch, "epoch", 0, COUNTER_MAX)),
        head=_read_head(head, "head"),
        yours=tuple(read_signed_vote(vote, "yours") for vote in votes),
    )


def _read_body_reply(fields: list[Value]) -> Message:
    digest, body = fields
    return BodyReply(
        _read_digest(digest, "digest"), as_bytes(body, "body", max_length=MAX_BODY_BYTES)
    )


def _read_blocks(fields: list[Value]) -> Message:
    blocks = as_list(fields[0], "blocks", max_length=MAX_BLOCKS_PER_REPLY)
    return Blocks(tuple(read_sealed_block(block, "block") for block in blocks))


_READERS: dict[int, tuple[int, Callable[[list[Value]], Message]]] = {
    PrePrepare.TAG: (5, _read_pre_prepare),
    Prepare.TAG: (4, _read_prepare),
    Commit.TAG: (4, _read_commit),
    ViewChange.TAG: (5, read_view_change),
    NewView.TAG: (4, _read_new_view),
    Status.TAG: (8, _read_status),
    GetHead.TAG: (1, lambda fields: GetHead(_read_digest(fields[0], "nonce"))),
    HeadReply.TAG: (4, _read_head_reply),
    GetBody.TAG: (1, lambda fields: GetBody(_read_digest(fields[0], "digest"))),
    BodyReply.TAG: (2, _read_body_reply),
    GetBlocks.TAG: (
        1,
        lambda fields: GetBlocks(Height(as_int(fields[0], "from_height", 1, COUNTER_MAX))),
    ),
    Blocks.TAG: (1, _read_blocks),
    Shown.TAG: (1, lambda fields: Shown(read_signed_vote(fields[0], "vote"))),
}
"""Tag -> number of fields, reader."""
