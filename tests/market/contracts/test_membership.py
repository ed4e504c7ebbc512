"""Changes of the member set: who may ask, what READYs it takes, and what every block says of it."""

from dataclasses import replace

import pytest

from consensus.membership import Epoch, Height, Membership, Term
from crypto.abi_event import decode_event
from crypto.hashing import Digest
from market.abi import (
    MEMBERSHIP,
    OWN_CHANGES_PER_WINDOW_MAX,
    MembersChanged,
    ProposalKind,
    ProposalStatus,
)
from market.contracts.membership_change import capacity
from tests.market.contracts import members as change
from tests.market.contracts.chain import (
    Chain,
    Reverted,
    account,
    ed25519,
    genesis,
    home,
)
from tests.market.contracts.members import (
    accept,
    activate,
    activation,
    admit,
    build,
    candidate,
    execute,
    members,
    node,
    ready,
    rotation,
)
from tests.market.contracts.test_governance import refused, status
from vm import activation as vm_activation
from vm import gas
from vm.activation import READY_SPAN, ActivationTransaction
from vm.block import Block
from vm.errors import InvalidBlock, InvalidTransaction, TxReason
from vm.members import quorum

NEW = ed25519("new node")


def voted_in(n=4, **params):
    """Return a chain on which the newcomer's proposal 1 is accepted."""
    chain = Chain(n, **params)
    (proposal_id,) = chain.send(home(0), "Membership", "propose", *candidate(chain))
    accept(chain, proposal_id, [home(i) for i in range(n // 2 + 1)])
    chain.accounts[account("new").address] = None
    assert proposal_id == 1
    return chain


def evicted(n=5):
    """Return a chain on which the eviction of member 4 is accepted as proposal 1."""
    chain = Chain(n)
    chain.send(home(0), "Membership", "proposeEviction", home(4).address)
    accept(chain, 1, [home(i) for i in range(n // 2 + 1)])
    return chain


def invalid(chain, tx, field):
    """The builder leaves it out, a block with it is refused, and both name the field."""
    with pytest.raises(InvalidTransaction) as caught:
        chain.machine.check_activation(tx, chain.head, chain.state, chain.now + 1)
    assert caught.value.reason is TxReason.BAD_ACTIVATION
    assert caught.value.field == f"tx.{field}", caught.value
    assert build(chain, tx) is None
    chain.now = max(chain.now, chain.head.time_ms + 1)
    header = replace(
        chain.head, number=chain.head.number + 1, parent_hash=chain.head.hash, time_ms=chain.now
    )
    with pytest.raises(InvalidBlock) as refusal:
        execute(chain, Block(header, (tx.raw,)))
    assert refusal.value.field == f"transactions[0].{field}"


def test_a_newcomer_joins_by_the_ready_of_a_quorum_with_itself():
    chain = voted_in()
    before, height = members(chain), chain.head.number
    assert status(chain, 1) == ProposalStatus.ACCEPTED
    receipt = activate(chain, 1, [NEW, node(0), node(1), node(2)])
    after = members(chain)
    assert after == before.next(height + 1, sorted((*before.keys, NEW.public)))
    assert (after.epoch, after.first_height, after.first_term) == (1, height + 2, 1)
    assert status(chain, 1) == ProposalStatus.ACTIVE
    assert receipt.status == 1
    assert [log.address for log in receipt.logs] == [MEMBERSHIP] * 2
    assert len(chain.one("Membership", "members")) == 5
    assert chain.one("Membership", "threshold") == 3
    chain.send(account("new"), "Membership", "proposeEviction", home(0).address)


def test_the_header_names_the_set_that_consensus_signs_under():
    chain = voted_in()
    for step in (None, [NEW, node(0), node(1), node(3)]):
        if step is not None:
            activate(chain, 1, step)
        now = members(chain)
        theirs = Membership(
            Epoch(now.epoch),
            now.keys,
            first_height=Height(now.first_height),
            first_term=Term(now.first_term),
            term_blocks=now.term_blocks,
        )
        assert chain.head.next_members_hash == theirs.hash()
        row = chain.view("Membership", "epoch")
        expected = [now.epoch, now.first_height, now.first_term, now.term_blocks]
        assert row == [*expected, theirs.quorum.certificate, theirs.hash()]


def test_the_event_says_what_changed():
    chain = voted_in()
    log = activate(chain, 1, [NEW, node(0), node(1), node(2)]).logs[-1]

    decoded = decode_event(MembersChanged.SIGNATURE, log.topics, log.data)
    newcomer = account("new").address
    assert decoded == [1, 1, ProposalKind.ADMIT, newcomer, members(chain).hash()]


# READYs -------------------------------------------------------------------------------------------


def test_fewer_than_a_quorum_of_the_new_set_change_nothing():
    chain = voted_in()
    assert quorum(5) == 4
    invalid(chain, activation(chain, 1, [NEW, node(0), node(1)]), "readies")
    assert members(chain).epoch == 0


def test_the_newcomer_must_be_ready_itself():
    chain = voted_in()
    invalid(chain, activation(chain, 1, [node(i) for i in range(4)]), "readies")


def test_only_members_of_the_new_set_count():
    chain = voted_in()
    signers = sorted([NEW, node(0), node(1), ed25519("stranger")], key=lambda key: key.public)
    place = signers.index(ed25519("stranger"))
    invalid(chain, activation(chain, 1, signers), f"readies[{place}].node_key")
    chain = evicted()
    signers = sorted([node(0), node(1), node(4)], key=lambda key: key.public)
    invalid(chain, activation(chain, 1, signers), f"readies[{signers.index(node(4))}].node_key")


@pytest.mark.parametrize("what", ["chain", "proposal", "keys", "height", "signature"])
def test_a_ready_is_for_one_chain_proposal_set_and_height(what):
    chain = voted_in()
    keys = chain.one("Membership", "nextKeys", 1)
    good = activation(chain, 1, [NEW, node(0), node(1), node(2)])
    signer = next(
        k for k in (NEW, node(0), node(1), node(2)) if k.public == good.readies[0].node_key
    )
    head = chain.head.number
    if what == "chain":
        digest = vm_activation.ready_digest(bytes(32), 1, Digest(bytes(32)), head)
        bad = replace(good.readies[0], signature=signer.sign(digest))
    elif what == "proposal":
        bad = ready(chain, 2, keys, signer)
    elif what == "keys":
        bad = ready(chain, 1, members(chain).keys, signer)
    elif what == "height":
        bad = replace(good.readies[0], height=head - 1)
    else:
        bad = replace(good.readies[0], signature=bytes(64))
    invalid(chain, ActivationTransaction(1, (bad, *good.readies[1:])), "readies[0].signature")


def test_a_ready_is_of_a_recent_sealed_height():
    chain = voted_in()
    signers = [NEW, node(0), node(1), node(2)]
    for _ in range(READY_SPAN):
        chain.send(home(0), "MoneyToken", "transfer", home(1).address, 0)
    head = chain.head.number
    invalid(chain, activation(chain, 1, signers, height=head + 1), "readies[0].height")
    invalid(chain, activation(chain, 1, signers, height=head - READY_SPAN), "readies[0].height")
    oldest = activation(chain, 1, signers, height=head - READY_SPAN + 1)
    chain.machine.check_activation(oldest, chain.head, chain.state, chain.now + 1)
    built = build(chain, oldest)
    change.apply(chain, built)
    assert members(chain).epoch == 1


def test_every_ready_is_checked_also_beyond_the_quorum():
    chain = voted_in()
    good = activation(chain, 1, [NEW, *map(node, range(4))])
    bad = replace(good.readies[4], signature=bytes(64))
    invalid(chain, ActivationTransaction(1, (*good.readies[:4], bad)), "readies[4].signature")
    built = build(chain, good)
    change.apply(chain, built)


def test_all_ready_of_the_largest_set_have_room_in_the_smallest_block():
    limit = 2_000_000
    used = gas.TX_BASE + gas.ED25519_VERIFY * 128
    assert used > limit - gas.deadline_gas(limit), "the price is capped"
    chain = voted_in(block_gas_limit=20_000_000)
    receipt = activate(chain, 1, [NEW, node(0), node(1), node(2)])
    assert receipt.gas_used == gas.TX_BASE + 4 * gas.ED25519_VERIFY


# Place in a block ---------------------------------------------------------------------------------


def test_one_change_in_a_block_and_before_everything_else():
    chain = voted_in(5)
    chain.send(home(0), "Membership", "proposeEviction", home(4).address)
    accept(chain, 2, [home(i) for i in range(3)])
    first = activation(chain, 1, [NEW, *map(node, range(4))])
    second = activation(chain, 2, [*map(node, range(3))])
    built = build(chain, first, second)
    assert built.void_activations == (second,)
    alone = build(chain, second)
    for raws in (
        (*built.block.transactions, second.raw),
        (*alone.block.transactions, first.raw),
        (first.raw, first.raw),
    ):
        with pytest.raises(InvalidBlock) as caught:
            execute(chain, Block(built.block.header, raws))
        assert caught.value.field == "transactions[1].type"
    change.apply(chain, built)
    invalid(chain, second, "readies")
    activate(chain, 2, [NEW, *map(node, range(3))])
    assert members(chain).epoch == 2
    assert NEW.public in members(chain).keys
    assert node(4).public not in members(chain).keys


def test_a_change_happens_once():
    chain = voted_in()
    tx = activation(chain, 1, [NEW, node(0), node(1), node(2)])
    change.apply(chain, build(chain, tx))
    invalid(chain, tx, "proposal_id")


def test_it_stands_behind_due_deadlines_and_before_transactions():
    chain = voted_in(membership={"proposal_windows": 1})
    chain.now = chain.start(2)
    tx = activation(chain, 1, [NEW, node(0), node(1), node(2)])
    vote = chain.transaction(home(3), "Membership", "vote", 1, False)
    built = build(chain, tx, calls=[vote])
    assert [raw[0] for raw in built.block.transactions] == [0x7E, 0x7D, 0x02]
    assert [receipt.status for receipt in built.execution.receipts] == [1, 1, 0]
    first, *rest = built.block.transactions
    for raws in ((rest[0], first, rest[1]), (first, *reversed(rest))):
        with pytest.raises(InvalidBlock) as caught:
            execute(chain, Block(built.block.header, raws))
        assert caught.value.field.startswith("transactions")
    change.apply(chain, built)


def test_a_sealed_block_with_a_change_replays_to_the_same_receipts():
    chain = voted_in()
    tx = activation(chain, 1, [NEW, node(0), node(1), node(2)])
    vote = chain.transaction(home(3), "MoneyToken", "transfer", home(1).address, 0)
    built = build(chain, tx, calls=[vote])
    draft = chain.machine.replay(chain.head, built.block, chain.state)
    receipts = [chain.machine.replay_next(draft, raw) for raw in built.block.transactions]
    assert tuple(receipts) == built.execution.receipts
    assert receipts[1].cumulative_gas == built.block.header.gas_used


def test_garbage_in_its_place_is_refused_by_name():
    chain = voted_in()
    good = activation(chain, 1, [NEW, node(0), node(1), node(2)])
    built = build(chain, good)
    for raw, field in (
        (good.raw[:-1], "transactions[0]"),
        (b"\x7d", "transactions[0]"),
        (b"\x7d\x92\x00\x90", "transactions[0].proposal_id"),
        (b"\x7d\x92\x01\x90", "transactions[0].readies"),
    ):
        with pytest.raises(InvalidBlock) as caught:
            execute(chain, Block(built.block.header, (raw,)))
        assert caught.value.field.startswith(field)


# Kinds --------------------------------------------------------------------------------------------


def test_an_eviction_needs_no_word_of_the_evicted_and_takes_its_vote():
    chain = evicted()
    activate(chain, 1, [node(0), node(1), node(2)])
    assert node(4).public not in members(chain).keys
    assert len(chain.one("Membership", "nodes")) == 4
    refused("NOT_MEMBER", chain, home(4), "Membership", "vote", 1, True)
    refused("NOT_MEMBER", chain, home(4), "Membership", "proposeReincarnation")


def test_who_is_evicted_keeps_its_money_and_may_take_it_out():
    chain = evicted()
    chain.pay_in(home(4), 500)
    activate(chain, 1, [node(0), node(1), node(2)])
    chain.send(home(4), "MoneyToken", "transfer", home(0).address, 100)
    chain.send(home(4), "Ramp", "requestWithdrawal", 400, b"\1" * 32)


def test_who_was_evicted_can_be_admitted_again():
    chain = evicted()
    activate(chain, 1, [node(0), node(1), node(2)])
    admit(chain, "again", map(node, range(4)), key=home(4))
    assert ed25519("again node").public in members(chain).keys
    chain.send(home(4), "Membership", "proposeReincarnation")


def test_four_members_are_the_fewest_an_eviction_waits_for_a_fifth():
    chain = Chain()
    chain.send(home(0), "Membership", "proposeEviction", home(3).address)
    accept(chain, 1, [home(i) for i in range(3)])
    assert status(chain, 1) == ProposalStatus.ACCEPTED
    assert chain.one("Membership", "waiting") == []
    with pytest.raises(Reverted, match="TOO_FEW_MEMBERS"):
        chain.view("Membership", "nextKeys", 1)
    keys = [key for key in members(chain).keys if key != node(3).public]
    invalid(chain, activation(chain, 1, [node(i) for i in range(3)], keys=keys), "proposal_id")
    admit(chain, "new", map(node, range(4)))
    (row,) = chain.one("Membership", "waiting")
    assert row[0] == 1
    activate(chain, 1, [NEW, node(0), node(1)])
    assert members(chain).epoch == 2
    assert len(members(chain).keys) == 4


def test_a_member_rotates_its_node_key_without_a_vote():
    chain = Chain()
    new = ed25519("rotated")
    (proposal_id,) = chain.send(
        home(1), "Membership", "proposeRotation", *rotation(chain, home(1), new, "h.example:7")
    )
    (row,) = chain.one("Membership", "waiting")
    assert row[:7] == (
        proposal_id,
        ProposalKind.ROTATE,
        home(1).address,
        new.public,
        "h.example:7",
        "home 1",
        rotation(chain, home(1), new)[1],
    )
    invalid(
        chain,
        activation(chain, 1, [node(0), node(2), node(3)]),
        "readies",
    )
    activate(chain, 1, [new, node(0), node(2)])
    keys = members(chain).keys
    assert new.public in keys
    assert node(1).public not in keys
    held = {row[0]: row for row in chain.one("Membership", "nodes")}[home(1).address]
    assert held[1:4] == (new.public, "h.example:7", "home 1")


@pytest.mark.parametrize(
    ("code", "index", "value"),
    [
        ("BAD_SIGNATURE", 3, bytes(64)),
        ("BAD_SIGNATURE", 2, "elsewhere:1"),
        ("BAD_ARGUMENT", 2, "nowhere"),
        ("BAD_SIGNATURE", 1, b""),
        ("NODE_KEY_TAKEN", 0, node(2).public),
        ("NODE_KEY_TAKEN", 0, node(1).public),
    ],
)
def test_a_rotation_is_signed_by_the_new_key(code, index, value):
    chain = Chain()
    args = list(rotation(chain, home(1), ed25519("rotated")))
    args[index] = value
    refused(code, chain, home(1), "Membership", "proposeRotation", *args)
    refused(
        "BAD_SIGNATURE",
        chain,
        home(2),
        "Membership",
        "proposeRotation",
        *rotation(chain, home(1), ed25519("rotated")),
    )


def test_two_rotations_to_one_key_cannot_both_become_active():
    chain = Chain()
    new = ed25519("rotated")
    for i in (1, 2):
        args = rotation(chain, home(i), new)
        chain.send(home(i), "Membership", "proposeRotation", *args)
    second = activation(chain, 2, [new, node(0), node(3)])
    activate(chain, 1, [new, node(0), node(3)])
    invalid(chain, second, "proposal_id")
    chain.advance(chain.start(170))
    assert status(chain, 2) == ProposalStatus.EXPIRED


def test_an_incarnation_is_a_new_epoch_of_the_same_keys():
    chain = Chain()
    (proposal_id,) = chain.send(home(2), "Membership", "proposeReincarnation")
    before = members(chain)
    invalid(chain, activation(chain, proposal_id, [node(0), node(1), node(3)]), "readies")
    activate(chain, proposal_id, [node(0), node(1), node(2)])
    after = members(chain)
    assert after.keys == before.keys
    assert after.hash() != before.hash()
    assert after.epoch == 1
    incarnations = {row[0]: row[5] for row in chain.one("Membership", "nodes")}
    assert incarnations == {home(i).address: int(i == 2) for i in range(4)}


def test_a_members_newer_change_replaces_its_older_one():
    chain = Chain()
    args = rotation(chain, home(1), ed25519("rotated"))
    chain.send(home(1), "Membership", "proposeRotation", *args)
    chain.send(home(1), "Membership", "proposeReincarnation")
    assert status(chain, 1) == ProposalStatus.EXPIRED
    assert [row[0] for row in chain.one("Membership", "waiting")] == [2]


def test_own_changes_leave_nothing_in_the_queue_nor_in_the_state():
    chain = Chain()
    args = rotation(chain, home(1), ed25519("rotated"))
    chain.send(home(1), "Membership", "proposeRotation", *args)
    before = sum(map(len, chain.state.values()))
    chain.advance(chain.start(1))
    for _ in range(OWN_CHANGES_PER_WINDOW_MAX):
        chain.send(home(1), "Membership", "proposeRotation", *args)
    assert chain.machine.next_due(chain.state) is None
    assert sum(map(len, chain.state.values())) - before < 150 * OWN_CHANGES_PER_WINDOW_MAX
    chain.advance(chain.start(500))
    assert status(chain, 5) == ProposalStatus.EXPIRED
    assert chain.one("Membership", "waiting") == []
    refused("UNKNOWN_PROPOSAL", chain, home(0), "Membership", "vote", 6, True)


def test_a_member_cannot_make_epochs_without_end():
    chain = Chain()
    for _ in range(OWN_CHANGES_PER_WINDOW_MAX):
        chain.send(home(1), "Membership", "proposeReincarnation")
    refused("TOO_MANY", chain, home(1), "Membership", "proposeReincarnation")
    chain.send(home(2), "Membership", "proposeReincarnation")
    chain.advance(chain.start(1))
    chain.send(home(1), "Membership", "proposeReincarnation")


# Votes and time -----------------------------------------------------------------------------------


def test_votes_are_void_when_somebody_has_come():
    chain = voted_in()
    chain.send(home(0), "Membership", "proposeEviction", home(3).address)
    accept(chain, 2, [home(0), home(1)])
    activate(chain, 1, [NEW, node(0), node(1), node(2)])
    assert chain.view("Membership", "proposal", 2)[3:6] == [0, 0, ProposalStatus.OPEN]
    accept(chain, 2, [home(2)])
    assert status(chain, 2) == ProposalStatus.OPEN, "the two before the change do not count"
    refused("ALREADY_VOTED", chain, home(2), "Membership", "vote", 2, True)
    accept(chain, 2, [home(0), account("new")])
    assert status(chain, 2) == ProposalStatus.ACCEPTED


def test_a_member_cannot_void_the_votes_on_its_eviction():
    chain = Chain(5)
    chain.send(home(0), "Membership", "proposeEviction", home(4).address)
    accept(chain, 1, [home(0), home(1)])
    new = ed25519("rotated")
    chain.send(home(4), "Membership", "proposeRotation", *rotation(chain, home(4), new))
    activate(chain, 2, [new, *map(node, range(4))])
    chain.send(home(4), "Membership", "proposeReincarnation")
    activate(chain, 3, [new, *map(node, range(4))])
    accept(chain, 1, [home(2)])
    assert status(chain, 1) == ProposalStatus.ACCEPTED
    activate(chain, 1, [node(0), node(1), node(2)])
    assert members(chain).keys == tuple(sorted(node(i).public for i in range(4)))


def test_what_is_not_activated_in_time_expires_and_makes_room():
    chain = voted_in(membership={"activation_windows": 2, "proposal_windows": 1})
    tx = activation(chain, 1, [NEW, node(0), node(1), node(2)])
    chain.advance(chain.start(3) - 1)
    assert status(chain, 1) == ProposalStatus.ACCEPTED
    chain.machine.check_activation(tx, chain.head, chain.state, chain.now)
    chain.advance(chain.start(3))
    assert status(chain, 1) == ProposalStatus.EXPIRED
    assert chain.one("Membership", "waiting") == []
    chain.send(home(0), "Membership", "propose", *candidate(chain))


def test_an_activation_at_the_block_of_its_expiry_comes_too_late():
    chain = voted_in(membership={"activation_windows": 1, "proposal_windows": 1})
    tx = activation(chain, 1, [NEW, node(0), node(1), node(2)])
    chain.now = chain.start(2)
    built = build(chain, tx)
    assert built.void_activations == (tx,)
    change.apply(chain, built)
    assert status(chain, 1) == ProposalStatus.EXPIRED


def test_accepted_proposals_count_as_open_until_they_are_over():
    chain = Chain(8)
    for i in range(4):
        chain.send(home(0), "Membership", "proposeEviction", home(1 + i).address)
    accept(chain, 1, [home(i) for i in range(5)])
    refused("TOO_MANY", chain, home(0), "Membership", "proposeEviction", home(7).address)
    activate(chain, 1, [node(i) for i in (0, *range(2, 8))])
    chain.send(home(0), "Membership", "proposeEviction", home(7).address)


def test_the_set_is_bounded_by_what_one_deadline_can_settle():
    assert capacity(genesis()) == 128
    assert capacity(genesis(block_gas_limit=4_000_000)) == 15


# Views --------------------------------------------------------------------------------------------


def test_nodes_stand_as_votes_count_them():
    chain = Chain()
    rows = chain.one("Membership", "nodes")
    assert tuple(row[1] for row in rows) == members(chain).keys
    by_account = {row[0]: row for row in rows}
    for member in genesis().members:
        assert by_account[member.account] == (
            member.account,
            member.node_key,
            member.endpoint,
            member.name,
            b"",
            0,
        )


def test_what_waits_tells_a_node_all_that_it_needs():
    chain = voted_in()
    (row,) = chain.one("Membership", "waiting")
    keys = chain.one("Membership", "nextKeys", 1)
    args = candidate(chain)
    assert keys == sorted((*members(chain).keys, NEW.public))
    assert row == (
        1,
        ProposalKind.ADMIT,
        account("new").address,
        NEW.public,
        "example.org:26600",
        "new",
        args[9],
        change.keys_hash(keys),
        168,
    )
    shown = chain.view("Membership", "candidate", 1)
    assert shown == [NEW.public, "example.org:26600", "new", args[9], args[6], "1HTH00099999"]
    chain.send(home(0), "Membership", "proposeEviction", home(3).address)
    assert chain.view("Membership", "candidate", 2) == [bytes(32), "", "", b"", bytes(20), ""]
    with pytest.raises(Reverted, match="UNKNOWN_PROPOSAL"):
        chain.view("Membership", "candidate", 3)
