"""Members come, go, rotate and rise again in any order: the chain goes on, and proofs suffice.

Two witnesses follow every schedule: a model that says which activations are valid, and a light
client that knows headers only and is shown a proof of the member set when an epoch begins.
"""

from collections import Counter
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.merkle import Proof, SparseMerkleTree, verify_proof
from market.abi import ProposalKind, ProposalStatus
from tests.market.contracts.chain import Chain, Reverted, account, ed25519, home
from tests.market.contracts.members import (
    activation,
    apply,
    build,
    candidate,
    members,
    node,
    rotation,
)
from vm.members import MEMBERS_KEY, decode_members, quorum

NEWCOMERS = [f"newcomer {i}" for i in range(4)]
SEEN: Counter[str] = Counter()
"""What happened over all schedules: an idle test must not pass for a good one."""


class LightClient:
    """Follows epochs by headers and proofs; has no state."""

    def __init__(self, chain):
        self.members = members(chain)
        self.head = chain.head
        assert self.head.next_members_hash == self.members.hash()

    def follow(self, header, value, proof):
        """Take the next header; `value` is proved under its state root if the set changes."""
        assert header.parent_hash == self.head.hash
        self.head = header
        if header.next_members_hash == self.members.hash():
            return
        verify_proof(header.state_root, MEMBERS_KEY, value, proof)
        new = decode_members(value)
        assert new.hash() == header.next_members_hash
        assert new == self.members.next(header.number, new.keys), "epoch, height and term follow"
        self.members = new
        SEEN["epoch"] += 1


class World:
    def __init__(self, rng, n):
        self.rng = rng
        self.chain = Chain(
            n, checked=False, membership={"proposal_windows": 2, "activation_windows": 2}
        )
        self.light = LightClient(self.chain)
        self.keys = [node(i) for i in range(n)]
        self.keys += [ed25519(f"{who} node") for who in NEWCOMERS]
        self.keys += [ed25519(f"spare {i}") for i in range(3)]
        self.accounts = [*map(home, range(n)), *map(account, NEWCOMERS)]

    def step(self):
        action = self.rng.choice(
            [self.admit, self.evict, self.rotate, self.rise, self.wait]
            + [self.vote] * 8
            + [self.activate] * 3
        )
        action()
        self.check()

    def send(self, what, key, function, *args):
        chain = self.chain
        if not chain.machine.account_info(chain.state, key.address, chain.now).sponsor:
            return
        try:
            chain.send(key, "Membership", function, *args)
            SEEN[what] += 1
        except Reverted as reverted:
            SEEN[reverted.code] += 1
        self.follow()

    def admit(self):
        args = candidate(self.chain, self.rng.choice(NEWCOMERS))
        self.send("admit", self.rng.choice(self.accounts), "propose", *args)

    def evict(self):
        proposer, member = self.rng.choices(self.accounts, k=2)
        self.send("evict", proposer, "proposeEviction", member.address)

    def rotate(self):
        member, key = self.rng.choice(self.accounts), self.rng.choice(self.keys)
        args = rotation(self.chain, member, key)
        self.send("rotate", member, "proposeRotation", *args)

    def rise(self):
        self.send("rise", self.rng.choice(self.accounts), "proposeReincarnation")

    def vote(self):
        (rows,) = self.chain.view("Membership", "proposals")
        still_open = [row[0] for row in rows if row[5] == ProposalStatus.OPEN]
        if still_open:
            voter, yes = self.rng.choice(self.accounts), self.rng.random() < 0.95
            self.send("vote", voter, "vote", self.rng.choice(still_open), yes)

    def wait(self):
        self.chain.now += self.rng.randrange(2 * 9_000)
        while self.chain.machine.is_due(self.chain.state, self.chain.now):
            self.chain.block([])
            self.follow()

    def activate(self):
        """Any proposal by any READYs: it takes effect exactly if the model says so."""
        chain, rng = self.chain, self.rng
        waiting = {row[0]: row for row in chain.one("Membership", "waiting")}
        (rows,) = chain.view("Membership", "proposals")
        if not rows:
            return
        proposal_id = rng.choice([*waiting, rng.choice(rows)[0]])
        row = waiting.get(proposal_id)
        new = chain.one("Membership", "nextKeys", proposal_id) if row else members(chain).keys
        signers = [key for key in self.keys if key.public in new and rng.random() < 0.9]
        if rng.random() < 0.1:
            signers.append(rng.choice([key for key in self.keys if key not in signers]))
        if not signers:
            return
        is_valid = (
            row is not None
            and all(key.public in new for key in signers)
            and len(signers) >= quorum(len(new))
            and (row[3] == bytes(32) or row[3] in [key.public for key in signers])
        )
        before = members(chain)
        tx = activation(chain, proposal_id, signers, keys=new)
        built = build(chain, tx)
        taken = built is not None and not built.void_activations
        assert taken == is_valid, (row, len(signers), len(new))
        SEEN["activated" if taken else "void"] += 1
        if built is None:
            return
        apply(chain, built)
        if taken:
            assert members(chain) == before.next(chain.head.number, new)
            assert chain.view("Membership", "proposal", proposal_id)[5] == ProposalStatus.ACTIVE
            SEEN[ProposalKind(row[1]).name] += 1
        self.follow()

    def follow(self):
        chain = self.chain
        if chain.head == self.light.head:
            return
        tree = SparseMerkleTree(chain.nodes)
        proof = Proof.from_bytes(tree.prove(MEMBERS_KEY).to_bytes())
        self.light.follow(chain.head, chain.state[MEMBERS_KEY], proof)

    def check(self):
        chain, now = self.chain, members(self.chain)
        assert self.light.members == now
        rows = chain.one("Membership", "nodes")
        assert tuple(row[1] for row in rows) == now.keys
        assert len(rows) >= 4
        assert len({row[0] for row in rows}) == len({row[3] for row in rows}) == len(rows)
        (proposals,) = chain.view("Membership", "proposals")
        accepted = {row[0] for row in proposals if row[5] == ProposalStatus.ACCEPTED}
        assert {row[0] for row in chain.one("Membership", "waiting")} <= accepted
        subjects = [row[2] for row in proposals if row[5] in (1, 2) and row[1] in (1, 2)]
        assert len(subjects) == len(set(subjects)), "one vote about an account at a time"
        assert all(row[3] + row[4] <= len(rows) for row in proposals if row[5] == 1)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False), st.integers(4, 6))
def test_nothing_stops_the_chain(rng: Random, n: int):
    run(rng, n, 50)


def run(rng, n, steps):
    world = World(rng, n)
    for _ in range(steps):
        world.step()
    chain = world.chain
    while chain.machine.is_due(chain.state, chain.now):
        chain.block([])
    chain.send(home(0), "MoneyToken", "transfer", home(1).address, 0)


def test_the_schedules_reach_every_change():
    """With seeds of our own, so that it says the same every time."""
    SEEN.clear()
    for seed in range(8):
        run(Random(seed), 5, 150)
    for what in (
        *("ADMIT", "EVICT", "ROTATE", "REINCARNATE", "epoch", "void"),
        *("NOT_MEMBER", "ALREADY_VOTED", "ALREADY_PROPOSED", "NODE_KEY_TAKEN"),
    ):
        assert SEEN[what] > 0, (what, SEEN)
