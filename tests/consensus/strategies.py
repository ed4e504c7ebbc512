"""Hypothesis strategies for every message, range-checked as the values are."""

from hypothesis import strategies as st

from consensus.certificates import Head, Kind, PreparedCertificate, Seal, SignedVote, Slot
from consensus.config import MAX_MEMBERS
from consensus.messages import (
    Blocks,
    BodyReply,
    Commit,
    GetBlocks,
    GetBody,
    GetHead,
    HeadReply,
    NewView,
    Prepare,
    PrePrepare,
    SealedBlock,
    Shown,
    Status,
    ViewChange,
)

counters = st.integers(0, 5) | st.integers(0, 2**62)
heights = st.integers(1, 5) | st.integers(1, 2**62)
digests = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=64, max_size=64)
members = st.integers(0, MAX_MEMBERS - 1)
bodies = st.binary(max_size=40)


def slots(height=heights, view=counters):
    return st.builds(Slot, epoch=counters, term=counters, view=view, height=height)


signature_lists = st.dictionaries(members, signatures, max_size=5).map(
    lambda d: tuple(sorted(d.items()))
)
seals = st.builds(Seal, view=counters, signatures=signature_lists)
heads = st.builds(Head, height=heights, digest=digests, seal=seals) | st.builds(
    Head, height=st.just(0), digest=digests, seal=st.none()
)
vote_fields = {"slot": slots(), "digest": digests, "sender": members, "signature": signatures}
signed_votes = st.builds(
    SignedVote, kind=st.sampled_from(Kind), **(vote_fields | {"slot": slots(height=counters)})
)
certificates = st.builds(
    PreparedCertificate,
    pre_prepare=st.builds(SignedVote, kind=st.just(Kind.PRE_PREPARE), **vote_fields),
    prepares=signature_lists,
)


@st.composite
def view_changes(draw, sender=members):
    head = draw(heads)
    views = st.integers(1, 2**62)
    return ViewChange(
        slot=draw(slots(height=st.just(head.height), view=views)),
        head=head,
        prepared=draw(st.none() | certificates),
        sender=draw(sender),
        signature=draw(signatures),
    )


@st.composite
def new_views(draw):
    senders = sorted(draw(st.sets(members, max_size=3)))
    return NewView(
        slot=draw(slots(height=st.just(0))),
        view_changes=tuple(draw(view_changes(sender=st.just(i))) for i in senders),
        sender=draw(members),
        signature=draw(signatures),
    )


@st.composite
def statuses(draw):
    slot = draw(slots(height=counters))
    return Status(
        slot=slot,
        head_digest=draw(digests),
        asked=draw(st.integers(slot.view, 2**62)),
        proposal=draw(st.none() | digests),
        prepares=draw(st.integers(0, 2**MAX_MEMBERS - 1)),
        commits=draw(st.integers(0, 15)),
        view_changes=tuple(draw(st.lists(counters, max_size=5))),
        is_learner=draw(st.booleans()),
    )


@st.composite
def head_replies(draw):
    kinds = sorted(draw(st.sets(st.sampled_from(Kind))))
    yours = tuple(draw(st.builds(SignedVote, kind=st.just(kind), **vote_fields)) for kind in kinds)
    return HeadReply(nonce=draw(digests), epoch=draw(counters), head=draw(heads), yours=yours)


@st.composite
def block_lists(draw):
    first = draw(st.integers(1, 2**40))
    count = draw(st.integers(1, 3))
    return Blocks(
        tuple(
            SealedBlock(height=first + i, digest=draw(digests), body=draw(bodies), seal=draw(seals))
            for i in range(count)
        )
    )


messages = st.one_of(
    st.builds(PrePrepare, body=bodies, **vote_fields),
    st.builds(Prepare, **vote_fields),
    st.builds(Commit, **vote_fields),
    view_changes(),
    new_views(),
    statuses(),
    st.builds(GetHead, digests),
    head_replies(),
    st.builds(GetBody, digests),
    st.builds(BodyReply, digests, bodies),
    st.builds(GetBlocks, heights),
    block_lists(),
    st.builds(
        Shown,
        st.builds(
            SignedVote,
            kind=st.just(Kind.PRE_PREPARE),
            **(vote_fields | {"slot": slots(height=counters)}),
        ),
    ),
)
