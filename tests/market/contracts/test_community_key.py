"""The community key: first valid one wins, a failing box is proved, the next dealer follows."""

from functools import partial

import pytest

from crypto import community_box, curve
from crypto.hashing import tagged_hash
from tests.market.contracts.chain import Chain, account, ed25519, home
from tests.market.contracts.members import accept, activate, admit, members, node
from tests.market.contracts.test_governance import refused

NONE = [False, True, 0, bytes(20), bytes(32), b""]


def seeded(seed):
    """A source of bytes that repeats itself from run to run."""
    state = [tagged_hash(b"test/rng", seed.encode())]

    def draw(count):
        out = b""
        while len(out) < count:
            state[0] = tagged_hash(b"test/rng", state[0])
            out += state[0]
        return out[:count]

    return draw


def deal(chain, seed="key", *, by=0, spoil=None):
    """Return (key, arguments of `rekey` by home `by`); member `spoil` gets a bad box."""
    now = members(chain)
    context = community_box.deal_context(chain.machine.genesis.hash, now.epoch)
    key = tagged_hash(b"test/key", seed.encode())
    boxes = bytearray(
        community_box.deal(context, home(by).address, key, now.keys, rng=seeded(seed))
    )
    if spoil is not None:
        place = now.keys.index(node(spoil).public)
        boxes[32 + 32 * place] ^= 1
    return key, (now.epoch, community_box.key_hash(context, key), bytes(boxes))


def dispute(chain, epoch, i, *, key=None):
    """Return the arguments of `disputeBox` by node `i`."""
    context = community_box.deal_context(chain.machine.genesis.hash, epoch)
    stored = chain.view("Membership", "communityKey")[5]
    rng = seeded(f"dispute {i}")
    return epoch, *community_box.prove_shared(context, key or node(i), stored[:32], rng=rng)


def opened(chain, node_key):
    """Return what the holder of `node_key` finds in its box of the key that serves."""
    _, _, epoch, _, key_hash, stored = chain.view("Membership", "communityKey")
    context = community_box.deal_context(chain.machine.genesis.hash, epoch)
    rows = {stored[at : at + 32]: stored[at + 32 : at + 64] for at in range(32, len(stored), 64)}
    key = community_box.open_box(context, node_key, stored[:32], rows[node_key.public])
    return key if community_box.key_hash(context, key) == key_hash else None


def refuse(chain, code, i, function, *args):
    refused(code, chain, home(i), "Membership", function, *args)


def test_every_member_reads_the_key_and_the_first_deal_wins():
    chain = Chain()
    assert chain.view("Membership", "communityKey") == [False, False, *NONE[2:]], "nobody asks"
    key, args = deal(chain, by=2)
    chain.send(home(2), "Membership", "rekey", *args)
    assert [opened(chain, node(i)) for i in range(4)] == [key] * 4
    row = chain.view("Membership", "communityKey")
    assert row[:5] == [True, False, 0, home(2).address, args[1]]
    refuse(chain, "ALREADY_DEALT", 1, "rekey", *deal(chain, "other", by=1)[1])


@pytest.mark.parametrize(
    ("code", "index", "value"),
    [
        ("WRONG_EPOCH", 0, 1),
        ("BAD_ARGUMENT", 2, b""),
        ("BAD_ARGUMENT", 2, curve.G + bytes(32 * 7)),
        ("BAD_ARGUMENT", 2, curve.G + bytes(32 * 5)),
        ("BAD_ARGUMENT", 2, curve.IDENTITY + bytes(32 * 6)),
        ("BAD_ARGUMENT", 2, b"\xff" * 32 + bytes(32 * 6)),
        ("BAD_PROOF", 2, curve.G + bytes(32 * 6)),
        ("BAD_PROOF", 2, curve.G + bytes(32 * 4) + curve.G + b"\xff" * 32),
        ("BAD_PROOF", 2, curve.G + bytes(32 * 4) + b"\xff" * 32 + bytes(32)),
        ("BAD_ARGUMENT", 2, (2**255 - 20).to_bytes(32, "little") + bytes(32 * 6)),
    ],
)
def test_a_deal_has_its_form(code, index, value):
    chain = Chain()
    args = list(deal(chain)[1])
    args[index] = value
    refuse(chain, code, 0, "rekey", *args)


def test_a_failing_box_is_proved_and_another_deals():
    chain = Chain()
    _, bad = deal(chain, spoil=3)
    chain.send(home(0), "Membership", "rekey", *bad)
    assert opened(chain, node(3)) is None
    refuse(chain, "BOX_OPENS", 1, "disputeBox", *dispute(chain, 0, 1))
    refuse(chain, "BAD_PROOF", 3, "disputeBox", *dispute(chain, 0, 3, key=node(1)))
    refuse(chain, "NOT_DEALT", 3, "disputeBox", *dispute(chain, 1, 3))
    chain.send(home(3), "Membership", "disputeBox", *dispute(chain, 0, 3))
    assert chain.view("Membership", "communityKey") == NONE
    assert chain.one("Membership", "isBarred", 0, home(0).address)
    refuse(chain, "DEALER_BARRED", 0, "rekey", *deal(chain, "again")[1])
    key, good = deal(chain, "good", by=1)
    chain.send(home(1), "Membership", "rekey", *good)
    assert [opened(chain, node(i)) for i in range(4)] == [key] * 4


def test_nobody_spoils_boxes_under_the_ephemeral_key_of_another():
    """What their holders show to prove it would open their boxes of the other deal, to all."""
    chain = Chain()
    old, args = deal(chain, "old", by=1)
    chain.send(home(1), "Membership", "rekey", *args)
    before = chain.view("Membership", "communityKey")[5]
    admit(chain, "new", map(node, range(4)))
    # The newcomer shall not read what was said before it came.
    _, spoiled = deal(chain, "new", by=0, spoil=3)
    ephemeral, proof = before[:32], args[2][-64:]
    for tail in (spoiled[2][-64:], proof):
        forged = ephemeral + spoiled[2][32:-64] + tail
        for i in (0, 1):
            refuse(chain, "BAD_PROOF", i, "rekey", spoiled[0], spoiled[1], forged)
    # Nor does anybody deal in another's place what that one has only sent.
    _, honest = deal(chain, "honest", by=2)
    refuse(chain, "BAD_PROOF", 0, "rekey", *honest)
    chain.send(home(2), "Membership", "rekey", *honest)
    # So it would have been: one shown point for both deals.
    context = community_box.deal_context(chain.machine.genesis.hash, 0)
    shared, _ = community_box.prove_shared(context, node(3), ephemeral)
    rows = {before[at : at + 32]: before[at + 32 : at + 64] for at in range(32, len(before), 64)}
    public = node(3).public
    assert community_box.open_shared(context, public, ephemeral, rows[public], shared) == old


def test_the_old_key_serves_until_the_next_epochs_stands():
    chain = Chain()
    old, args = deal(chain, "old")
    chain.send(home(0), "Membership", "rekey", *args)
    admit(chain, "new", map(node, range(4)))
    row = chain.view("Membership", "communityKey")
    assert row[:3] == [True, True, 0], "it serves, and a new one is due"
    assert opened(chain, node(1)) == old
    _, bad = deal(chain, "bad", by=2, spoil=1)
    chain.send(home(2), "Membership", "rekey", *bad)
    chain.send(home(1), "Membership", "disputeBox", *dispute(chain, 1, 1))
    assert opened(chain, node(1)) == old, "a disputed key gives way to the one before"
    new, args = deal(chain, "new", by=3)
    chain.send(home(3), "Membership", "rekey", *args)
    assert opened(chain, ed25519("new node")) == new
    refuse(chain, "NOT_DEALT", 1, "disputeBox", *dispute(chain, 0, 1))


def test_after_an_eviction_no_old_key_serves():
    chain = Chain(5)
    chain.send(home(0), "Membership", "rekey", *deal(chain)[1])
    chain.send(home(0), "Membership", "proposeReincarnation")
    activate(chain, 1, map(node, range(5)))
    chain.send(home(0), "Membership", "rekey", *deal(chain, "second")[1])
    chain.send(home(0), "Membership", "proposeEviction", home(4).address)
    accept(chain, 2, [home(i) for i in range(3)])
    activate(chain, 2, map(node, range(4)))
    assert chain.view("Membership", "communityKey") == NONE
    _, bad = deal(chain, "bad", spoil=2)
    chain.send(home(0), "Membership", "rekey", *bad)
    chain.send(home(2), "Membership", "disputeBox", *dispute(chain, 2, 2))
    assert chain.view("Membership", "communityKey") == NONE, "nor behind a disputed one"
    refused("NOT_MEMBER", chain, home(4), "Membership", "rekey", *deal(chain, "evil")[1])


def test_boxes_of_keys_that_serve_no_more_leave_the_state():
    chain = Chain()
    sizes = []
    for epoch in range(4):
        chain.send(home(0), "Membership", "rekey", *deal(chain, f"{epoch}")[1])
        sizes.append(sum(len(value) for value in chain.state.values() if len(value) == 32 + 256))
        chain.send(home(epoch), "Membership", "proposeReincarnation")
        activate(chain, epoch + 1, map(node, range(4)))
    assert sizes == [288, 576, 576, 576]


def test_only_members_deal_and_dispute():
    chain = Chain()
    _, args = deal(chain)
    agent = chain.agent(home(0), "agent")
    refuse_agent = partial(refused, "NOT_MEMBER", chain, agent, "Membership")
    refuse_agent("rekey", *args)
    chain.send(home(0), "Membership", "rekey", *args)
    refuse_agent("disputeBox", *dispute(chain, 0, 0))


def test_a_member_with_another_node_key_has_no_box_to_dispute():
    chain = Chain()
    chain.send(home(0), "Membership", "rekey", *deal(chain)[1])
    admit(chain, "new", map(node, range(4)))
    args = dispute(chain, 0, 0, key=ed25519("new node"))
    refused("NOT_DEALT", chain, account("new"), "Membership", "disputeBox", *args)


def test_the_largest_deal_fits_into_a_transaction():
    chain = Chain(32)
    _, args = deal(chain)
    (receipt,) = chain.block([(home(0), "Membership", "rekey", args)])
    assert receipt.status == 1
    assert receipt.gas_used * 128 // 32 < 10_000_000
