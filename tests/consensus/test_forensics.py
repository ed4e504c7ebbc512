"""A fork names at least f + 1 of those who made it, and nobody else.

Each history runs correct replicas against a coalition that holds its members' keys: the smallest
that can fork a chain of n, 2q - n. The correct ones are the witnesses, as in life.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.certificates import Head, Kind, PreparedCertificate, Seal, Slot
from consensus.evidence import DoubleVote, HiddenCertificate, SplitVote, verify_evidence
from consensus.forensics import NoConflict, in_words, investigate
from consensus.messages import Commit, GetHead, HeadReply, NewView, ViewChange
from consensus.quorum import Quorum
from consensus.sim.app import GENESIS_DIGEST, digest_of
from consensus.sim.stage import Stage
from consensus.wire import new_view_digest, signed_core, view_change_digest


@dataclass
class Fork:
    """Two seals and what the second one's correct supporters keep."""

    stage: Stage
    coalition: tuple[int, ...]
    one: Head
    two: Head
    new_views: list[NewView]

    def investigate(self, *, new_views: Sequence[NewView] | None = None):
        return investigate(
            self.one,
            self.two,
            self.new_views if new_views is None else new_views,
            genesis_hash=GENESIS_DIGEST,
            membership=self.stage.cluster.membership,
            keyring=self.stage.cluster.keys.keyring(0),
        )


class Plot:
    """A coalition against the rest of `n`, which is parted into two groups that never talk."""

    def __init__(self, n: int, chooses) -> None:
        self.n, self.q = n, Quorum(n).certificate
        order = chooses(n)
        size = 2 * self.q - n
        self.coalition = tuple(sorted(order[:size]))
        honest = order[size:]
        self.ours, self.theirs = honest[: self.q - size], honest[self.q - size :]
        self.stage = Stage(n, puppets=self.coalition)
        self.stage.cluster.checkers.validity.submitted.update((1, 2))
        self._greet()
        self.bodies = (self.stage.body(1, 1), self.stage.body(1, 2, salt=7))

    def _greet(self):
        """The coalition shows its heads: the correct members begin to vote (rule 19)."""
        asked = [(i, m.nonce) for i, m in self.stage.sent if isinstance(m, GetHead)]
        head = Head(height=0, digest=GENESIS_DIGEST, seal=None)
        for i, nonce in asked:
            for puppet in self.coalition:
                reply = HeadReply(nonce=nonce, epoch=0, head=head, yours=())
                self.stage.deliver(puppet, i, reply)
        self.stage.settle()

    def inside(self, group):
        return lambda a, b, _message: a in group and b in group

    def propose(self, view, body, group):
        """The coalition's primary proposes to a group, or a correct primary in it does."""
        stage, primary = self.stage, view % self.n
        slot = stage.slot(view, 1)
        if primary in self.coalition:
            for i in group:
                stage.deliver(primary, i, stage.pre_prepare(primary, slot, body))
            stage.settle(self.inside(group))
            return body
        stage.submit(2, [primary])
        stage.settle(self.inside(group))
        return stage.instance(primary).replica._s.pre_prepares[view].body

    def agree(self, view, body, group):
        """The coalition votes with a group, whose members commit; the seal that comes of it.

        The correct members do not get the coalition's COMMITs: one that hears of both seals
        halts, and the simulator reports the fork as soon as two have decided.
        """
        stage, slot = self.stage, self.stage.slot(view, 1)
        primary = view % self.n
        for puppet in self.coalition:
            if puppet != primary:
                for i in group:
                    stage.deliver(puppet, i, stage.prepare(puppet, slot, body))
        stage.settle(self.inside(group))
        commits = {
            m.sender: m.signature
            for sender, m in stage.sent
            if isinstance(m, Commit) and sender in group and m.slot.view == view
        }
        assert sorted(commits) == sorted(group), "each correct member of the group commits"
        for puppet in self.coalition:
            commits[puppet] = stage.commit(puppet, slot, body).signature
        seal = Seal(view=view, signatures=tuple(sorted(commits.items())[: self.q]))
        return Head(height=1, digest=digest_of(body), seal=seal)

    def asks(self, member, view, prepared):
        plain = self.stage.view_change(member, view)
        digest = view_change_digest(plain.head, prepared)
        signature = self.stage.signature(member, Kind.VIEW_CHANGE, plain.slot, digest)
        return replace(plain, prepared=prepared, signature=signature)

    def enter(self, view, group, prepared):
        """The coalition asks for a view, showing `prepared`, and takes the group along."""
        stage, primary = self.stage, view % self.n
        asked = [self.asks(i, view, prepared) for i in self.coalition]
        for message in asked:
            for i in group:
                stage.deliver(message.sender, i, message)
        stage.settle(self.inside(group))
        if primary in self.coalition:
            asked += [
                m
                for sender, m in stage.sent
                if isinstance(m, ViewChange) and sender in group and m.slot.view == view
            ]
            proof = tuple(sorted(asked, key=lambda m: m.sender)[: self.q])
            slot = replace(stage.slot(view, 1), height=0)
            signature = stage.signature(primary, Kind.NEW_VIEW, slot, new_view_digest(proof))
            message = NewView(slot=slot, view_changes=proof, sender=primary, signature=signature)
            for i in group:
                stage.deliver(primary, i, message)
            stage.settle(self.inside(group))
        return [stage.instance(i).replica._s.new_view for i in group]

    def fork(self, one, two, new_views=()):
        return Fork(self.stage, self.coalition, one, two, list(new_views))


def in_one_view(n, chooses):
    plot = Plot(n, chooses)
    one, two = plot.bodies
    heads = []
    for body, group in ((one, plot.ours), (two, plot.theirs)):
        plot.propose(0, body, group)
        heads.append(plot.agree(0, body, group))
    return plot.fork(*heads)


def by_silence(n, chooses, view):
    """Seal in view 0; then the coalition asks for a later view as if it had never committed."""
    plot = Plot(n, chooses)
    body = plot.propose(0, plot.bodies[0], plot.ours)
    one = plot.agree(0, body, plot.ours)
    new_views = plot.enter(view, plot.theirs, None)
    body = plot.propose(view, plot.bodies[1], plot.theirs)
    return plot.fork(one, plot.agree(view, body, plot.theirs), new_views)


def by_two_certificates(n, chooses, view):
    """The other block was prepared in view 0 as well, and is what the coalition shows."""
    plot = Plot(n, chooses)
    one, two = plot.bodies
    plot.propose(0, one, plot.ours)
    sealed = plot.agree(0, one, plot.ours)
    slot, digest = plot.stage.slot(0, 1), digest_of(two)
    plot.propose(0, two, plot.theirs)
    prepared = certificate(plot, slot, two)
    assert prepared.digest == digest
    new_views = plot.enter(view, plot.theirs, prepared)
    if view % n in plot.coalition:
        body = plot.propose(view, two, plot.theirs)
    else:
        body = plot.stage.instance(view % n).replica._s.pre_prepares[view].body
    assert body == two, "the new view is bound to what was prepared"
    return plot.fork(sealed, plot.agree(view, two, plot.theirs), new_views)


def certificate(plot: Plot, slot: Slot, body: bytes) -> PreparedCertificate:
    stage = plot.stage
    by = {i: stage.prepare(i, slot, body).signature for i in plot.coalition if i}
    by |= {i: m.signature for i, m in stage.sent if i in plot.theirs and m.TAG == Kind.PREPARE}
    pre_prepare = signed_core(stage.pre_prepare(0, slot, body))
    pairs = tuple(sorted((i, s) for i, s in by.items() if i != 0))[: plot.q - 1]
    return PreparedCertificate(pre_prepare=pre_prepare, prepares=pairs)


def with_first(n: int, first: int, dice):
    """An order of the members in which `first` comes first: the coalition has its key."""
    rest = [i for i in range(n) if i != first]
    dice.shuffle(rest)
    return [first, *rest]


def require_justice(fork: Fork) -> None:
    findings = fork.investigate()
    assert findings.faulty == ()
    assert findings.is_complete
    assert len(findings.culprits) >= Quorum(fork.stage.cluster.membership.n).one_correct
    assert set(findings.culprits) <= set(fork.coalition), "an innocent is accused"
    for member, proof in findings.culprits.items():
        key = verify_evidence(
            proof,
            genesis_hash=GENESIS_DIGEST,
            membership=fork.stage.cluster.membership,
            keyring=fork.stage.cluster.keys.keyring(0),
        )
        assert key == fork.stage.cluster.membership.members[member]
        assert in_words(proof)


sizes = st.sampled_from((4, 5, 6, 7, 8, 10))
dice = st.randoms(use_true_random=False)


@settings(max_examples=25, deadline=None)
@given(sizes, dice)
def test_two_seals_of_one_view_name_all_that_committed_twice(n, rng):
    fork = in_one_view(n, lambda n: with_first(n, 0, rng))
    require_justice(fork)
    proofs = fork.investigate().culprits
    assert set(proofs) == set(fork.coalition)
    assert all(isinstance(proof, DoubleVote) for proof in proofs.values())


@settings(max_examples=40, deadline=None)
@given(sizes, dice, st.integers(1, 3))
def test_who_hides_a_certificate_is_named_by_the_new_view(n, rng, view):
    fork = by_silence(n, lambda n: _where_view_can_begin(n, rng, view), view)
    require_justice(fork)
    proofs = fork.investigate().culprits.values()
    assert all(isinstance(proof, HiddenCertificate) for proof in proofs)


@settings(max_examples=40, deadline=None)
@given(sizes, dice, st.integers(1, 3))
def test_who_shows_another_certificate_of_the_view_is_named(n, rng, view):
    fork = by_two_certificates(n, lambda n: _where_view_can_begin(n, rng, view), view)
    require_justice(fork)
    kinds = {type(proof) for proof in fork.investigate().culprits.values()}
    assert kinds <= {SplitVote, HiddenCertificate, DoubleVote}


def _where_view_can_begin(n, rng, view):
    """View 0 is the coalition's, so is `view` where chance would give it to the other group."""
    order = with_first(n, 0, rng)
    size = 2 * Quorum(n).certificate - n
    ours = order[size : Quorum(n).certificate]
    if view % n in ours:
        at = order.index(view % n)
        order[1], order[at] = order[at], order[1]
    return order


def test_the_new_views_of_others_do_not_shift_the_blame():
    """A lying primary may have begun the view twice; each witness tells the truth."""
    fork = by_silence(4, lambda _n: [0, 1, 2, 3], 1)
    twice = replace(fork.new_views[0], view_changes=fork.new_views[0].view_changes[:2])
    findings = fork.investigate(new_views=[twice, *fork.new_views])
    assert set(findings.culprits) == {0, 1}


def test_without_the_new_view_nobody_is_named_and_the_view_is():
    fork = by_silence(4, lambda _n: [0, 1, 2, 3], 1)
    findings = fork.investigate(new_views=[])
    assert findings.culprits == {}
    assert not findings.is_complete
    assert findings.unseen == (1,)


def test_seals_that_are_too_small_prove_a_bug_and_accuse_nobody():
    """What the mutant `quorum_one_too_small` makes: no member need have voted twice."""
    fork = in_one_view(4, lambda _n: [0, 3, 1, 2])
    pairs = fork.one.seal.signatures, fork.two.seal.signatures
    small = [
        replace(head, seal=Seal(view=0, signatures=tuple(p for p in part if p[0] in keep)))
        for head, part, keep in zip((fork.one, fork.two), pairs, ((0, 1), (2, 3)), strict=True)
    ]
    findings = replace(fork, one=small[0], two=small[1]).investigate()
    assert findings.culprits == {}
    assert len(findings.faulty) == 2


def test_forged_signatures_accuse_nobody():
    fork = in_one_view(4, lambda _n: [0, 3, 1, 2])
    forged = Seal(view=0, signatures=tuple((i, bytes(64)) for i in range(3)))
    findings = replace(fork, two=replace(fork.two, seal=forged)).investigate()
    assert findings.culprits == {}
    assert "do not verify" in findings.faulty[0]


def test_seals_that_agree_are_no_case():
    fork = in_one_view(4, lambda _n: [0, 3, 1, 2])
    with pytest.raises(NoConflict, match="same block"):
        replace(fork, two=fork.one).investigate()
    with pytest.raises(NoConflict, match="heights"):
        replace(fork, two=replace(fork.two, height=2)).investigate()
    genesis = Head(height=0, digest=GENESIS_DIGEST, seal=None)
    with pytest.raises(NoConflict):
        replace(fork, one=genesis, two=replace(genesis, digest=b"x" * 32)).investigate()
