"""Coming back: replay of the vote log, the learner's quarantine, blocks and bodies of others.

A replica that starts, or has fallen behind, follows decisions but signs nothing until q
members, itself included, have shown heads that are not above its own (rule 19). Nobody
else's help is needed after a power cut of all: each brings its own log and head (rule 21).
"""

from collections.abc import Sequence

from consensus.certificates import Kind, SignedVote
from consensus.config import MAX_BLOCKS_PER_REPLY
from consensus.errors import CorruptLog
from consensus.events import Broadcast, Reason, Send, ServeBlocks
from consensus.membership import Height, MemberIndex, Term
from consensus.messages import (
    Blocks,
    BodyReply,
    GetBlocks,
    GetBody,
    GetHead,
    HeadReply,
    SealedBlock,
)
from consensus.normal_case import apply
from consensus.state import State, Verdict
from consensus.verification import is_head_proven, is_signed
from consensus.view_change import Contradiction, choose_proposal, note_seal
from consensus.vote_log import (
    CommitRecord,
    NewViewRecord,
    ProposalRecord,
    Record,
    ViewChangeRecord,
    compact,
    record_slot,
)
from consensus.wire import signed_core
from crypto.hashing import Digest, tagged_hash

_NONCE_TAG = b"hearth/pbft/nonce/1"

# The vote log.


def restore(s: State, records: Sequence[Record]) -> None:
    """Take up where the log ends: own votes, certificate, views asked for and entered.

    A log that is newer than the block store keeps the replica silent until what it binds is
    decided: within the term, up to its heights; beyond it, until its last term or this epoch ends.

    Raises:
        CorruptLog: it holds another member's votes, or contradicts itself.
    """
    s.later_records = ahead = tuple(r for r in records if record_slot(r).epoch > s.epoch)
    if s.me is None:
        return
    # What it signed in this epoch may be compacted away, so that the later one must be reached.
    s.must_reach = max((max(s.height, record_slot(r).height) for r in ahead), default=s.must_reach)
    later = [r.term for r in map(record_slot, records) if r.epoch == s.epoch and r.term > s.term]
    s.forgotten_term = max(later, default=None)
    present = [record for record in records if record_slot(record).epoch <= s.epoch]
    for record in compact(present, epoch=s.epoch, term=s.term, height=s.head.height):
        match record:
            case ProposalRecord():
                _restore_proposal(s, record)
            case CommitRecord(certificate, commit):
                _remember(s, signed_core(commit))
                if commit.slot.height == s.height:
                    s.commits[s.me] = commit
                    s.certificate = certificate
                    s.certificate_body = s.find_body(certificate.digest)
            case ViewChangeRecord(view_change):
                _remember(s, signed_core(view_change))
                if view_change.slot.term == s.term:
                    s.asked = max(s.asked, view_change.slot.view)
                    s.view_changes[s.me] = view_change
            case NewViewRecord():
                _restore_view(s, record)
    own = s.view_changes[s.me]
    if own is not None and own.slot.view <= s.view:
        s.view_changes[s.me] = None
    s.pre_prepares = {v: m for v, m in s.pre_prepares.items() if v == s.view}


def _restore_proposal(s: State, record: ProposalRecord) -> None:
    assert s.me is not None
    vote = record.pre_prepare if record.prepare is None else record.prepare
    _remember(s, signed_core(vote))
    if vote.slot.height == s.height:
        s.pre_prepares = {vote.slot.view: record.pre_prepare}
        s.verdicts[vote.digest] = Verdict.VOTED_BEFORE
        if record.prepare is not None:
            s.prepares[s.me] = record.prepare


def _restore_view(s: State, record: NewViewRecord) -> None:
    new_view = record.new_view
    if new_view.sender == s.me:
        _remember(s, signed_core(new_view))
    if new_view.slot.term != s.term:
        return
    choice = choose_proposal(new_view.view_changes)
    if isinstance(choice, Contradiction):
        raise CorruptLog("the vote log holds a NEW-VIEW that contradicts itself")
    s.set_view(new_view.slot.view)
    s.asked = max(s.asked, s.view)
    s.new_view, s.choice = new_view, choice


def _remember(s: State, vote: SignedVote) -> None:
    assert s.signer is not None
    if vote.sender != s.me:
        raise CorruptLog(f"the vote log holds a vote of member {vote.sender}, we are {s.me}")
    s.signer.remember(vote)
    if vote.kind in (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT) and vote.slot.height > s.height:
        # The block store is older than the log: this height needs no vote of ours again.
        s.must_reach = max(s.must_reach, vote.slot.height)


def begin_epoch(s: State, *, is_witnessed: bool, was_member: bool) -> None:
    """Decide what this replica may sign in the epoch that it has just entered.

    Where this process itself agreed to the change before it took effect, no vote of the epoch
    can have been given by an earlier life of this key: all quarantine is over (rule 25). In an
    epoch that is only replayed, the vote log binds as at a start, and a replica that was no
    member in the former one, and so no learner, becomes one. Whose log is there before its key
    is a member's has lost nothing of it: a newcomer that was started anew while its READY was on
    its way needs no more than others to vote, or a community that has grown by it could stand.
    """
    s.forgotten_term, s.must_reach = None, Height(0)
    if is_witnessed and not s.later_records:  # Else the log knows better.
        s.is_learner, s.nonce, s.is_doubtful, s.later_records = False, None, False, ()
        return
    if not was_member and is_level(s):
        s.is_doubtful = False
    restore(s, s.later_records)
    if not was_member or s.is_learner:
        become_learner(s)


def is_level(s: State) -> bool:
    """Whether f + 1 others claim heads that are not above ours, and at most f claim higher ones."""
    claims = [s.peers[member].claimed_height for member in s.others]
    above = sum(claim > s.head.height for claim in claims)
    return above <= s.f < sum(0 < claim <= s.head.height for claim in claims)


# The learner.


def become_learner(s: State) -> None:
    """Stop voting and ask everybody for a proven head, under a fresh nonce."""
    if s.me is None:
        return
    s.is_learner = True
    s.heads = {}
    s.nonces_used += 1
    s.nonce = tagged_hash(
        _NONCE_TAG,
        s.membership.members[s.me],
        s.now_ms.to_bytes(8, "big"),
        s.nonces_used.to_bytes(8, "big"),
    )
    s.timers.stop()
    s.emit(Broadcast(GetHead(s.nonce)))


def ask_head(s: State, member: MemberIndex) -> None:
    """Put the question to one member, if it is open and that member has not answered."""
    if s.nonce is not None and member != s.me and member not in s.heads:
        s.emit(Send(member, GetHead(s.nonce)))


def ask_heads_again(s: State) -> None:
    """Repeat the question to those who have not answered."""
    for member in s.others:
        ask_head(s, member)


def on_get_head(s: State, sender: MemberIndex, m: GetHead) -> None:
    """Show the own head, and the asker's newest signatures held here, within the quota."""
    if not s.peers[sender].may_serve(m.TAG, s.now_ms, s.config.serve_interval_ms):
        return
    votes = [
        signed_core(vote)
        for vote in (
            next((p for p in s.pre_prepares.values() if p.sender == sender), None),
            s.prepares[sender],
            s.commits[sender],
            s.view_changes[sender],
            s.new_view if s.new_view is not None and s.new_view.sender == sender else None,
        )
        if vote is not None
    ]
    reply = HeadReply(nonce=m.nonce, epoch=s.epoch, head=s.head, yours=tuple(votes))
    s.emit(Send(sender, reply))


def on_head_reply(s: State, sender: MemberIndex, m: HeadReply) -> None:
    """Count the head of a member; follow it if it is proven and above ours (rule 20)."""
    if s.nonce is None or m.nonce != s.nonce or not s.may_check(sender):
        return
    for vote in m.yours:
        _recall(s, sender, vote)
    if m.head.height > s.head.height and not is_head_proven(s, m.head):
        if m.epoch > s.epoch:
            s.claims(sender, m.head.height)  # Sealed by members that we do not know yet.
        else:
            s.suspect(sender, Reason.BAD_CERTIFICATE, "HEAD-REPLY: its head is not proven")
        return
    s.heads[sender] = m.head.height
    s.claims(sender, m.head.height)
    if m.head.height == s.height and m.head.seal is not None:
        note_seal(s, m.head.digest, m.head.seal)


def _recall(s: State, sender: MemberIndex, vote: SignedVote) -> None:
    """An own signature that the log does not know: the log was lost (rule 25).

    What else was signed is unknown, so keep quiet until the term of that vote is over.
    """
    if vote.sender != s.me or s.signer is None or vote.slot.epoch != s.epoch:
        return
    if s.signer.knows(vote) or vote.slot.term < s.term:
        return
    is_for_block = vote.kind in (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT)
    if is_for_block and vote.slot.height < s.height:
        return
    if vote.slot.term == s.term and vote.slot.view < s.asked:
        return  # The log goes further: compacted away, and no vote there will ever be asked for.
    if not is_signed(s, vote):
        s.suspect(sender, Reason.BAD_SIGNATURE, "HEAD-REPLY: not our signature")
    else:
        _doubt(s, vote.slot.term)


def _doubt(s: State, term: Term) -> None:
    """Note an own signature of `term` that the log does not know."""
    s.is_doubtful = True
    s.forgotten_term = max(term, s.forgotten_term or Term(0))


def _doubt_by_seal(s: State, block: SealedBlock) -> None:
    """See whether the seal of a fetched block holds an own COMMIT that the log does not know.

    A copy of a data directory that is started in place of the original finds this out while it
    catches up, whoever serves it (rule 25).
    """
    if s.signer is None or all(member != s.me for member, _ in block.seal.signatures):
        return
    if not s.signer.has_committed(block.height, block.seal.view):
        _doubt(s, s.term)
        if not s.is_learner:
            become_learner(s)


def end_learning(s: State) -> bool:
    """Vote again once q members, this one included, have shown heads not above ours.

    And not before every slot that the log, or a peer, shows us to have signed is decided. A
    replica that cannot trust its log is no witness itself: it needs q others, so that of any q
    that it may have voted with, f + 1 have told it what they hold of it.
    """
    if not s.is_learner or s.applying is not None:
        return False
    if len(level_heads(s)) < heads_needed(s) or s.must_reach > s.head.height:
        return False
    if s.forgotten_term is not None and s.forgotten_term >= s.term:
        return False
    s.is_learner = False
    s.is_doubtful = False
    s.nonce = None
    s.heads = {}
    s.progressed_ms = s.now_ms
    return True


def level_heads(s: State) -> list[MemberIndex]:
    """Learner: the others whose heads do not lie above ours."""
    return [member for member, height in s.heads.items() if height <= s.head.height]


def heads_needed(s: State) -> int:
    """Learner: from how many others a head must have come.

    Before the first block nobody has voted, as far as anybody knows: a community begins with
    new logs.
    """
    return s.q if s.is_doubtful and s.head.height > 0 else s.q - 1


# Blocks.


def on_get_blocks(s: State, sender: MemberIndex, m: GetBlocks) -> None:
    """Serve stored blocks, within the quota."""
    if m.from_height > s.head.height:
        return
    if s.peers[sender].may_serve(m.TAG, s.now_ms, s.config.serve_interval_ms):
        s.emit(ServeBlocks(sender, m.from_height, MAX_BLOCKS_PER_REPLY))


def on_blocks(s: State, sender: MemberIndex, m: Blocks) -> None:
    """Buffer the one reply that this member owes us; anything else is late or unasked for."""
    peer = s.peers[sender]
    if peer.asked_blocks_ms is None:
        return
    peer.asked_blocks_ms = None
    s.buffered[sender] = m.blocks


def take_block(s: State) -> bool:
    """Apply the block at the height under way from somebody's reply, if its seal verifies.

    Seals are checked one by one, each against the member set of its height, which is known
    only when the block below is applied.
    """
    for member in sorted(s.buffered):
        blocks = s.buffered[member]
        place = s.height - blocks[0].height
        if not 0 <= place < len(blocks):
            del s.buffered[member]
            continue
        block = blocks[place]
        if not is_head_proven(s, block.head):
            fault = (Reason.BAD_CERTIFICATE, f"seal of block {block.height}")
        elif s.digest_of(block.body) != block.digest:
            fault = (Reason.BODY_MISMATCH, f"body of block {block.height}")
        elif s.decision is not None and s.decision.digest != block.digest:
            s.halt(f"two sealed blocks at height {s.height}")
            return True
        else:
            _doubt_by_seal(s, block)
            apply(s, block)
            return True
        del s.buffered[member]
        s.disbelieve(member)
        s.suspect(member, *fault)
    return False


def fetch_blocks(s: State) -> None:
    """While others claim to be ahead, ask one of them at a time, in turn (rule 20).

    A single block's lag is normal for a moment: its last COMMITs are on their way. A claim
    that is not honoured in time is forgotten.
    """
    if s.claimed_max <= s.head.height:
        s.behind_since_ms = None
        return
    if s.behind_since_ms is None:
        s.behind_since_ms = s.now_ms
    patience = s.config.retransmit_ms
    _forget_unanswered(s, 2 * patience)
    _learn_if_far_behind(s)
    if s.buffered or s.applying is not None:
        return
    is_close = s.claimed_max == s.head.height + 1 and not s.is_learner and s.me is not None
    if is_close and s.now_ms - s.behind_since_ms < patience:
        return
    for peer in s.peers:
        if peer.asked_blocks_ms is not None and s.now_ms - peer.asked_blocks_ms < patience:
            return
    for step in range(1, s.n + 1):
        member = MemberIndex((s.last_source + step) % s.n)
        peer = s.peers[member]
        if peer.claimed_height > s.head.height and peer.asked_blocks_ms is None:
            s.last_source = member
            peer.asked_blocks_ms = s.now_ms
            s.emit(Send(member, GetBlocks(s.height)))
            return


def _forget_unanswered(s: State, patience_ms: int) -> None:
    for member in s.others:
        asked_ms = s.peers[member].asked_blocks_ms
        if asked_ms is not None and s.now_ms - asked_ms >= patience_ms:
            s.peers[member].asked_blocks_ms = None
            s.disbelieve(member)


def _learn_if_far_behind(s: State) -> None:
    # f + 1 members two blocks ahead: one of them is correct, so a whole block was missed.
    if s.is_learner or s.me is None or s.claimed_max < s.head.height + 2:
        return
    if sum(p.claimed_height >= s.head.height + 2 for p in s.peers) > s.f:
        become_learner(s)


# Bodies.


def wanted_body(s: State) -> tuple[Digest, list[MemberIndex]] | None:
    """The digest whose body this replica needs to go on, and the members that hold it."""
    if s.applying is not None:
        return None
    if s.decision is not None:
        digest = s.decision.digest
        holders = {member for member, _ in s.decision.seal.signatures}
    elif s.carried is not None and s.primary == s.me and s.new_view is not None:
        digest = s.carried.digest
        holders = {member for member, _ in s.carried.prepares}
        holders.add(s.carried.pre_prepare.sender)
        holders.update(
            m.sender
            for m in s.new_view.view_changes
            if m.prepared is not None and m.prepared.digest == digest
        )
    else:
        return None
    if s.find_body(digest) is not None:
        return None
    return digest, sorted(member for member in holders if member != s.me)


def fetch_body(s: State) -> None:
    """Ask the holders of a needed body one after another, each after a while of silence."""
    wanted = wanted_body(s)
    if wanted is None:
        s.body_asked = None
        return
    digest, holders = wanted
    last = -1
    if s.body_asked is not None and s.body_asked[0] == digest:
        _, last, asked_ms = s.body_asked
        if s.now_ms - asked_ms < s.config.retransmit_ms:
            return
    member = next((m for m in holders if m > last), holders[0])
    s.body_asked = (digest, member, s.now_ms)
    s.emit(Send(member, GetBody(digest)))


def on_get_body(s: State, sender: MemberIndex, m: GetBody) -> None:
    """Serve a body that is held for the present slot or the head, within the quota."""
    body = s.find_body(m.digest)
    if body is None:
        return
    if s.peers[sender].may_serve(m.TAG, s.now_ms, s.config.serve_interval_ms):
        s.emit(Send(sender, BodyReply(m.digest, body)))


def on_body_reply(s: State, sender: MemberIndex, m: BodyReply) -> None:
    """Keep a body that is needed and has its digest; ignore one that came too late."""
    wanted = wanted_body(s)
    if wanted is None or wanted[0] != m.digest:
        return
    if s.digest_of(m.body) != m.digest:
        s.suspect(sender, Reason.BODY_MISMATCH, "BODY-REPLY")
        return
    s.fetched = (m.digest, m.body)
