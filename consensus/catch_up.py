"""Catching up: decided blocks of others, taken by their seals, and bodies that are missing here.

Any message may claim a higher head; nothing follows from that but whom to ask (rule 20).
"""

from consensus.config import MAX_BLOCKS_PER_REPLY
from consensus.events import Reason, Send, ServeBlocks
from consensus.membership import MemberIndex
from consensus.messages import (
    Blocks,
    BodyReply,
    GetBlocks,
    GetBody,
    SealedBlock,
)
from consensus.normal_case import apply
from consensus.recovery import become_learner, doubt
from consensus.state import State
from consensus.verification import is_head_proven
from crypto.hashing import Digest

# Blocks.


def _doubt_by_seal(s: State, block: SealedBlock) -> None:
    """See whether the seal of a fetched block holds an own COMMIT that the log does not know.

    A copy of a data directory that is started in place of the original finds this out while it
    catches up, whoever serves it (rule 25).
    """
    if s.signer is None or all(member != s.me for member, _ in block.seal.signatures):
        return
    if not s.signer.has_committed(block.height, block.seal.view):
        doubt(s, s.term)
        if not s.is_learner:
            become_learner(s)


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


def on_offered(s: State, blocks: tuple[SealedBlock, ...]) -> None:
    """Look at blocks of one who is no member, now and then: one seal costs q checks."""
    patience = s.config.retransmit_ms
    if s.offered_ms is None or s.now_ms - s.offered_ms >= patience:
        s.offered, s.offered_ms = blocks, s.now_ms


def take_block(s: State) -> bool:
    """Apply the block at the height under way from somebody's reply, if its seal verifies.

    Seals are checked one by one, each against the member set of its height, which is known
    only when the block below is applied.
    """
    for member in sorted(s.buffered):
        block = _next_of(s, s.buffered[member])
        if block is None:
            del s.buffered[member]
            continue
        fault = _block_fault(s, block)
        if fault is None:
            return _take(s, block)
        del s.buffered[member]
        s.disbelieve(member)
        s.suspect(member, *fault)
    block = _next_of(s, s.offered)
    if block is None or _block_fault(s, block) is not None:
        s.offered = ()
        return False
    return _take(s, block)


def _next_of(s: State, blocks: tuple[SealedBlock, ...]) -> SealedBlock | None:
    place = s.height - blocks[0].height if blocks else -1
    return blocks[place] if 0 <= place < len(blocks) else None


def _block_fault(s: State, block: SealedBlock) -> tuple[Reason, str] | None:
    if not is_head_proven(s, block.head):
        return (Reason.BAD_CERTIFICATE, f"seal of block {block.height}")
    if s.digest_of(block.body) != block.digest:
        return (Reason.BODY_MISMATCH, f"body of block {block.height}")
    return None


def _take(s: State, block: SealedBlock) -> bool:
    if s.decision is not None and s.decision.digest != block.digest:
        s.halt(f"two sealed blocks at height {s.height}")
    else:
        _doubt_by_seal(s, block)
        apply(s, block)
    return True


def fetch_blocks(s: State) -> None:
    """While others claim to be ahead, ask one of them at a time, in turn (rule 20).

    A single block's lag is normal for a moment: its last COMMITs are on their way. A claim
    that is not honoured in time is forgotten.
    """
    if s.claimed_max <= s.head.height or s.is_resting:
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
