"""The keepers of a community, stepped against the real contract: one key for all, whoever fails."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from node.key_keeper import AGAIN_MS, TURN_MS, KeyKeeper, KeyState, deal_args
from tests.market.contracts.chain import Chain, account, ed25519, home
from tests.market.contracts.members import accept, activate, admit, members, node


def state_of(chain, who):
    _, is_due, key_epoch, _, digest, boxes = chain.view("Membership", "communityKey")
    now = members(chain)
    return KeyState(
        epoch=now.epoch,
        members=now.keys,
        is_due=is_due,
        is_barred=chain.one("Membership", "isBarred", now.epoch, who.address),
        key_epoch=key_epoch,
        key_hash=digest if boxes else b"",
        boxes=boxes,
    )


class Community:
    def __init__(self, n=4, seed=1):
        self.chain = Chain(n)
        self.nodes = {home(i): node(i) for i in range(n)}
        self.rng = Random(seed)
        self.keepers = {}
        self.now_ms = 0
        self.calls = []
        self.down = set()
        self.resume()

    def resume(self):
        for who, key in self.nodes.items():
            if who not in self.keepers:
                genesis_hash = self.chain.machine.genesis.hash
                self.keepers[who] = KeyKeeper(
                    key, who.address, genesis_hash, rng=self.rng.randbytes
                )

    def first_key(self, spoil=None):
        now = members(self.chain)
        genesis_hash, rng = self.chain.machine.genesis.hash, self.rng.randbytes
        args = deal_args(genesis_hash, 0, home(0).address, now.keys, rng=rng)
        boxes = bytearray(args[2])
        if spoil is not None:
            boxes[32 + 32 * now.keys.index(node(spoil).public)] ^= 1
        self.chain.send(home(0), "Membership", "rekey", *args[:2], bytes(boxes))

    def run(self, seconds):
        for _ in range(2 * seconds):
            self.now_ms += 500
            for who, keeper in self.keepers.items():
                if who in self.down:
                    continue
                call = keeper.step(state_of(self.chain, who), self.now_ms)
                if call is not None:
                    self.calls.append((who, call.function))
                    self.chain.send(who, "Membership", call.function, *call.args)

    def read_keys(self):
        return {self.keepers[a].key(state_of(self.chain, a)) for a in self.keepers}


def test_nobody_deals_a_key_that_nobody_asked_for():
    community = Community()
    community.run(60)
    assert community.calls == []
    assert community.read_keys() == {None}


def test_one_member_deals_when_the_epoch_changes_and_all_read_it():
    community = Community()
    community.first_key()
    (old,) = community.read_keys()
    assert old is not None
    admit(community.chain, "new", map(node, range(4)))
    community.nodes[account("new")] = ed25519("new node")
    community.resume()
    community.run(1)
    assert [function for _, function in community.calls] == ["rekey"]
    (new,) = community.read_keys()
    assert new not in (old, None)


def test_the_next_in_turn_deals_for_who_is_away():
    community = Community()
    community.first_key()
    community.chain.send(home(0), "Membership", "proposeReincarnation")
    activate(community.chain, 1, map(node, range(4)))
    order = members(community.chain).keys
    by_key = {key.public: who for who, key in community.nodes.items()}
    turns = [by_key[order[(1 + i) % 4]] for i in range(4)]
    community.down = set(turns[:2])
    community.run(2 * TURN_MS // 1000 - 1)
    assert community.calls == []
    community.run(2)
    assert community.calls == [(turns[2], "rekey")]


def test_a_failing_box_is_disputed_and_the_next_deals():
    community = Community()
    community.first_key(spoil=2)
    community.run(2 * TURN_MS // 1000)
    functions = [function for _, function in community.calls]
    assert functions == ["disputeBox", "rekey"]
    assert community.calls[0][0] == home(2)
    assert community.calls[1][0] != home(0), "the dealer is barred"
    assert len(community.read_keys()) == 1
    assert None not in community.read_keys()


def test_after_an_eviction_a_fresh_key_comes_without_the_evicted():
    community = Community(5)
    community.first_key()
    (old,) = community.read_keys()
    chain = community.chain
    chain.send(home(0), "Membership", "proposeEviction", home(4).address)
    accept(chain, 1, [home(i) for i in range(3)])
    activate(chain, 1, map(node, range(4)))
    assert community.read_keys() == {None}
    community.run(1 + 2 * TURN_MS // 1000)
    rest = community.read_keys() - {None}
    assert len(rest) == 1
    assert rest != {old}
    assert community.keepers[home(4)].key(state_of(chain, home(4))) is None
    assert all(who != home(4) for who, _ in community.calls)


def test_a_call_that_was_lost_is_made_again_but_not_at_once():
    community = Community()
    community.first_key(spoil=2)
    keeper, state = community.keepers[home(2)], state_of(community.chain, home(2))
    made = [ms for ms in range(0, 2 * AGAIN_MS, 500) if keeper.step(state, ms) is not None]
    assert made == [0, AGAIN_MS]


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_whoever_is_away_and_whatever_fails_a_key_stands_in_the_end(seed):
    rng = Random(seed)
    community = Community(5, seed=seed)
    community.first_key(spoil=rng.choice([None, 1, 2]))
    for number in range(3):
        who = rng.randrange(5)
        community.down = set(rng.sample(list(community.nodes), rng.randrange(4)))
        community.run(rng.randrange(10))
        community.chain.send(home(who), "Membership", "proposeReincarnation")
        activate(community.chain, number + 1, map(node, range(5)))
    community.down = set()
    community.run(60)
    assert len(community.read_keys()) == 1
    assert None not in community.read_keys()
    assert not state_of(community.chain, home(0)).is_due
