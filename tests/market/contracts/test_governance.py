"""Membership, registry, ramp and meters: who may do what, once, and with how many votes."""

import pytest

from crypto.node_certificate import node_certificate
from market.abi import (
    PROPOSALS_OPEN_PER_MEMBER_MAX,
    ProposalKind,
    ProposalStatus,
)
from tests.market.contracts.chain import (
    EUR,
    EXTERNAL,
    OPERATOR,
    Chain,
    Reverted,
    account,
    ed25519,
    genesis,
    home,
    meter,
)
from tests.market.contracts.members import candidate

ZERO = bytes(20)
REFERENCE = b"\5" * 32


def refused(code, chain, key, contract, function, *args):
    with pytest.raises(Reverted) as caught:
        chain.send(key, contract, function, *args)
    assert caught.value.code == code, str(caught.value)


def status(chain, proposal_id):
    return chain.view("Membership", "proposal", proposal_id)[5]


def test_members_are_those_of_genesis():
    chain = Chain()
    (rows,) = chain.view("Membership", "members")
    expected = [
        (member.account, member.node_key, member.endpoint, member.meter.account)
        for member in genesis().members
    ]
    assert rows == expected


@pytest.mark.parametrize(
    ("n", "percent", "votes"), [(4, 50, 3), (5, 50, 3), (8, 50, 5), (6, 66, 4)]
)
def test_more_than_the_share_of_votes_is_needed(n, percent, votes):
    chain = Chain(n, membership={"votes_needed_percent": percent})
    assert chain.one("Membership", "threshold") == votes
    (proposal_id,) = chain.send(home(0), "Membership", "proposeEviction", home(1).address)
    for i in range(votes):
        assert status(chain, proposal_id) == ProposalStatus.OPEN
        chain.send(home(i), "Membership", "vote", proposal_id, True)
    assert status(chain, proposal_id) == ProposalStatus.ACCEPTED


def test_a_newcomer_proposes_itself_and_a_member_carries_it_in():
    chain = Chain()
    args = candidate(chain)
    (proposal_id,) = chain.send(home(2), "Membership", "propose", *args)
    row = chain.view("Membership", "proposal", proposal_id)
    assert row == [1, ProposalKind.ADMIT, args[1], 0, 0, ProposalStatus.OPEN, 168]
    refused("ALREADY_PROPOSED", chain, home(1), "Membership", "propose", *args)
    assert chain.view("Membership", "proposals") == [[tuple(row)]]


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("BAD_SIGNATURE", {"endpoint": "example.org:1"}),
        ("BAD_SIGNATURE", {"nodeSignature": b"\0" * 64}),
        ("BAD_SIGNATURE", {"nodeSignature": b""}),
        ("BAD_SIGNATURE", {"accountSignature": b"\1" * 65}),
        ("BAD_SIGNATURE", {"accountSignature": b""}),
        ("BAD_SIGNATURE", {"ringProof": b"\1" * 64}),
        ("BAD_ARGUMENT", {"ringProof": b"\1" * 63}),
        ("BAD_ARGUMENT", {"wallet": b"\3" * 63}),
        ("BAD_ARGUMENT", {"endpoint": ""}),
        ("BAD_ARGUMENT", {"endpoint": "x" * 129}),
        ("BAD_ARGUMENT", {"meterId": ""}),
        ("BAD_ARGUMENT", {"meter": ZERO}),
        ("BAD_ARGUMENT", {"endpoint": "no port"}),
        ("BAD_ARGUMENT", {"endpoint": "host:070"}),
        ("BAD_ARGUMENT", {"endpoint": "höst:1"}),
        ("BAD_ARGUMENT", {"name": ""}),
        ("BAD_ARGUMENT", {"name": "x" * 65}),
        ("BAD_ARGUMENT", {"name": "Zoë"}),
        ("BAD_ARGUMENT", {"name": "a\nb"}),
        ("BAD_ARGUMENT", {"signed": {"certificate": b""}}),
        ("BAD_ARGUMENT", {"signed": {"certificate": bytes(2049)}}),
        ("BAD_ARGUMENT", {"signed": {"certificate": node_certificate(ed25519("other"))}}),
        ("BAD_SIGNATURE", {"certificate": node_certificate(ed25519("other"))}),
        ("BAD_SIGNATURE", {"name": "another"}),
        ("NAME_TAKEN", {"name": "home 2"}),
        ("NODE_KEY_TAKEN", {"nodeKey": ed25519("node 2").public}),
        ("RING_KEY_TAKEN", {"ringKey": ed25519("ring 2").public}),
        ("ALREADY_REGISTERED", {"account": OPERATOR.address}),
        ("ALREADY_REGISTERED", {"account": meter(0).address}),
        ("ALREADY_MEMBER", {"account": home(1).address}),
    ],
)
def test_a_candidate_that_is_not_as_it_signed_is_refused(code, changes):
    chain = Chain()
    refused(code, chain, home(0), "Membership", "propose", *candidate(chain, **changes))


def test_one_vote_for_each_member_and_none_for_agents_and_services():
    chain = Chain()
    agent = chain.agent(home(0), "agent")
    refused("NOT_MEMBER", chain, agent, "Membership", "proposeEviction", home(3).address)
    (proposal_id,) = chain.send(home(0), "Membership", "proposeEviction", home(3).address)
    refused("NOT_MEMBER", chain, agent, "Membership", "vote", proposal_id, True)
    refused("NOT_MEMBER", chain, OPERATOR, "Membership", "vote", proposal_id, True)
    refused("NOT_MEMBER", chain, OPERATOR, "Membership", "proposeEviction", home(3).address)
    refused("NOT_MEMBER", chain, home(0), "Membership", "proposeEviction", OPERATOR.address)
    refused("UNKNOWN_PROPOSAL", chain, home(0), "Membership", "vote", 9, True)
    chain.send(home(0), "Membership", "vote", proposal_id, True)
    refused("ALREADY_VOTED", chain, home(0), "Membership", "vote", proposal_id, False)


def test_a_proposal_that_cannot_pass_any_more_is_rejected():
    chain = Chain()
    (proposal_id,) = chain.send(home(0), "Membership", "proposeEviction", home(3).address)
    chain.send(home(1), "Membership", "vote", proposal_id, False)
    assert status(chain, proposal_id) == ProposalStatus.OPEN
    chain.send(home(2), "Membership", "vote", proposal_id, False)
    assert status(chain, proposal_id) == ProposalStatus.REJECTED
    refused("PROPOSAL_DECIDED", chain, home(3), "Membership", "vote", proposal_id, True)
    chain.send(home(0), "Membership", "proposeEviction", home(3).address)


def test_proposals_expire_and_make_room():
    chain = Chain(8, membership={"proposal_windows": 2})
    for i in range(PROPOSALS_OPEN_PER_MEMBER_MAX):
        chain.send(home(0), "Membership", "proposeEviction", home(1 + i).address)
    refused("TOO_MANY", chain, home(0), "Membership", "proposeEviction", home(7).address)
    chain.advance(chain.start(3) - 1)
    assert status(chain, 1) == ProposalStatus.OPEN
    chain.advance(chain.start(3))
    assert status(chain, 1) == ProposalStatus.EXPIRED
    refused("PROPOSAL_DECIDED", chain, home(1), "Membership", "vote", 1, True)
    chain.send(home(0), "Membership", "proposeEviction", home(1).address)


def test_quota_is_the_households():
    chain = Chain()
    agent = chain.agent(home(0), "agent")
    used, limit, window = chain.view("Membership", "quota", agent.address)
    assert used == chain.receipts[0].gas_used
    assert (limit, window) == (10**12, 0)
    assert chain.view("Membership", "quota", account("nobody").address) == [0, 0, 0]


# Registry ----------------------------------------------------------------------------------------


def test_agents_are_registered_by_their_own_consent_and_revoked():
    chain = Chain()
    agent = chain.agent(home(0), "agent")
    assert chain.one("Registry", "householdOf", agent.address) == home(0).address
    assert chain.one("Registry", "agentsOf", home(0).address) == [agent.address]
    consent = agent.sign65(b"\1" * 32)
    refused(
        "ALREADY_REGISTERED", chain, home(1), "Registry", "registerAgent", agent.address, consent
    )
    refused("NOT_REGISTERED", chain, home(1), "Registry", "revokeAgent", agent.address)
    refused("NOT_HOUSEHOLD", chain, agent, "Registry", "revokeAgent", agent.address)
    other = account("other").address
    refused("BAD_SIGNATURE", chain, home(0), "Registry", "registerAgent", other, consent)
    refused("NOT_HOUSEHOLD", chain, agent, "Registry", "registerAgent", other, consent)
    refused("BAD_RECIPIENT", chain, home(0), "Registry", "registerAgent", ZERO, consent)
    chain.send(agent, "Registry", "publishInfo", b"\6" * 32, b"sealed", "")
    chain.send(home(0), "Registry", "revokeAgent", agent.address)
    assert chain.one("Registry", "householdOf", agent.address) == ZERO
    assert chain.view("Registry", "info", agent.address) == [bytes(32), b"", ""]
    with pytest.raises(AssertionError, match="nothing was executable"):
        chain.send(agent, "MoneyToken", "transfer", home(0).address, 0)


def test_a_household_has_at_most_sixteen_agents():
    chain = Chain()
    for i in range(16):
        chain.agent(home(0), f"agent {i}")
    with pytest.raises(Reverted, match="TOO_MANY"):
        chain.agent(home(0), "agent 16")


def test_info_is_published_once():
    chain = Chain()
    publish = (chain, home(0), "Registry", "publishInfo")
    refused("BAD_ARGUMENT", *publish, bytes(32), b"", "")
    refused("BAD_ARGUMENT", *publish, b"\6" * 32, b"x" * 257, "")
    refused("BAD_ARGUMENT", *publish, b"\6" * 32, b"", "x" * 129)
    chain.send(*publish[1:], b"\6" * 32, b"sealed", "host:1")
    refused("ALREADY_PUBLISHED", *publish, b"\6" * 32, b"", "")
    assert chain.view("Registry", "info", home(0).address) == [b"\6" * 32, b"sealed", "host:1"]


def test_keys_of_members():
    chain = Chain()
    first = genesis().members[0]
    assert chain.view("Registry", "keysOf", first.account) == [first.ring_key, first.wallet]
    assert chain.view("Registry", "keysOf", OPERATOR.address) == [bytes(32), b""]


# Ramp --------------------------------------------------------------------------------------------


def attest(chain, i, to=None, amount=500, reference=REFERENCE):
    target = (to or home(3)).address
    chain.send(home(i), "Ramp", "attestDeposit", reference, target, amount)


def test_money_is_minted_once_by_more_than_half():
    chain = Chain()
    attest(chain, 0)
    attest(chain, 1)
    refused(
        "ALREADY_VOTED", chain, home(0), "Ramp", "attestDeposit", REFERENCE, home(3).address, 500
    )
    assert chain.view("Ramp", "deposit", REFERENCE) == [False, ZERO, 0]
    assert chain.money(home(3)) == 0
    attest(chain, 2)
    assert chain.money(home(3)) == 500
    assert chain.view("Ramp", "deposit", REFERENCE) == [True, home(3).address, 500]
    refused(
        "REFERENCE_USED", chain, home(3), "Ramp", "attestDeposit", REFERENCE, home(3).address, 500
    )
    assert chain.one("MoneyToken", "totalSupply") == 500


def test_of_two_versions_of_a_deposit_the_first_with_enough_votes_wins():
    chain = Chain(5)
    attest(chain, 0, amount=500)
    attest(chain, 1, amount=500)
    attest(chain, 2, amount=5_000)
    attest(chain, 3, to=home(4))
    attest(chain, 0, amount=5_000)
    assert chain.one("MoneyToken", "totalSupply") == 0, "votes for other contents do not add up"
    attest(chain, 1, amount=5_000)
    assert chain.money(home(3)) == 5_000


def test_agents_neither_make_money_nor_take_it_out():
    chain = Chain()
    chain.pay_in(home(0), 500)
    agent = chain.agent(home(0), "agent")
    refused("NOT_MEMBER", chain, agent, "Ramp", "attestDeposit", REFERENCE, agent.address, 500)
    refused("NOT_HOUSEHOLD", chain, agent, "Ramp", "requestWithdrawal", 500, b"\1" * 32)
    chain.send(home(0), "Ramp", "requestWithdrawal", 500, b"\1" * 32)
    refused("NOT_MEMBER", chain, agent, "Ramp", "confirmPayout", 1, REFERENCE)


def test_deposits_are_checked():
    chain = Chain()

    def refuse(code, key, to, amount):
        refused(code, chain, key, "Ramp", "attestDeposit", REFERENCE, to, amount)

    refuse("NOT_MEMBER", OPERATOR, home(3).address, 500)
    refuse("BAD_ARGUMENT", home(0), home(3).address, 0)
    refuse("BAD_ARGUMENT", home(0), home(3).address, 2**63)
    refuse("BAD_RECIPIENT", home(0), ZERO, 500)


def test_the_supply_is_bounded():
    chain = Chain()
    for i in range(3):
        attest(chain, i, amount=2**63 - 1)
    other = b"\6" * 32
    attest(chain, 0, amount=1, reference=other)
    attest(chain, 1, amount=1, reference=other)
    refused("BAD_ARGUMENT", chain, home(2), "Ramp", "attestDeposit", other, home(3).address, 1)


def test_a_withdrawal_burns_first_and_is_paid_by_votes():
    chain = Chain()
    chain.pay_in(home(0), 5 * EUR)
    refused("INSUFFICIENT_FUNDS", chain, home(0), "Ramp", "requestWithdrawal", 6 * EUR, b"\1" * 32)
    refused("BAD_ARGUMENT", chain, home(0), "Ramp", "requestWithdrawal", 0, b"\1" * 32)
    assert chain.send(home(0), "Ramp", "requestWithdrawal", 2 * EUR, b"\1" * 32) == [1]
    assert chain.send(home(0), "Ramp", "requestWithdrawal", EUR, b"\2" * 32) == [2]
    assert chain.one("MoneyToken", "totalSupply") == 2 * EUR
    assert [row[0] for row in chain.one("Ramp", "pending")] == [1, 2]
    paid = (chain, "Ramp", "confirmPayout")
    refused("NOT_MEMBER", chain, EXTERNAL, "Ramp", "confirmPayout", 1, REFERENCE)
    refused("UNKNOWN_WITHDRAWAL", chain, home(0), "Ramp", "confirmPayout", 3, REFERENCE)
    for i in range(3):
        assert not chain.view("Ramp", "withdrawal", 1)[5]
        paid[0].send(home(i), *paid[1:], 1, REFERENCE)
    assert chain.view("Ramp", "withdrawal", 1) == [1, home(0).address, 2 * EUR, b"\1" * 32, 3, True]
    refused("ALREADY_PAID", chain, home(3), "Ramp", "confirmPayout", 1, REFERENCE)
    refused("REFERENCE_USED", chain, home(3), "Ramp", "confirmPayout", 2, REFERENCE)
    assert [row[0] for row in chain.one("Ramp", "pending")] == [2]


# Meters ------------------------------------------------------------------------------------------


def test_the_operator_certifies_audits_and_revokes():
    chain = Chain()
    new = account("new meter")
    certify = (new.address, home(0).address, b"\1" * 32, "1HTH00012345", 50)
    refused("NOT_OPERATOR", chain, home(0), "Meters", "certify", *certify)
    refused("ALREADY_CERTIFIED", chain, OPERATOR, "Meters", "certify", *certify)
    refused("NOT_OPERATOR", chain, home(0), "Meters", "revoke", meter(0).address)
    chain.send(OPERATOR, "Meters", "revoke", meter(0).address)
    assert chain.one("Meters", "meterOf", home(0).address) == ZERO
    refused("UNKNOWN_METER", chain, OPERATOR, "Meters", "revoke", meter(0).address)
    refused("UNKNOWN_METER", chain, OPERATOR, "Meters", "audit", meter(0).address, 10**7)
    chain.send(OPERATOR, "Meters", "certify", *certify)
    row = chain.view("Meters", "meter", new.address)
    assert row == [home(0).address, b"\1" * 32, "1HTH00012345", 50, *[0] * 8]
    chain.send(new, "Meters", "anchor", 0, b"\2" * 32)
    refused("BAD_ARGUMENT", chain, OPERATOR, "Meters", "audit", new.address, 50)
    refused("NOT_OPERATOR", chain, home(0), "Meters", "audit", new.address, 51)
    chain.send(OPERATOR, "Meters", "audit", new.address, 51)
    assert chain.view("Meters", "meter", new.address)[3] == 51
    refused("UNKNOWN_METER", chain, OPERATOR, "Meters", "audit", home(0).address, 51)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("NOT_MEMBER", {1: OPERATOR.address}),
        ("BAD_RECIPIENT", {0: ZERO}),
        ("ALREADY_CERTIFIED", {0: meter(0).address}),
        ("ALREADY_REGISTERED", {0: home(1).address}),
        ("BAD_ARGUMENT", {3: ""}),
        ("BAD_ARGUMENT", {3: "x" * 65}),
        ("CERTIFICATE_EXPIRED", {4: 0}),
    ],
)
def test_certificates_are_checked(code, changes):
    chain = Chain()
    chain.send(OPERATOR, "Meters", "revoke", meter(0).address)
    chain.advance(chain.start(1))
    args = [account("new meter").address, home(0).address, b"\1" * 32, "1HTH00012345", 50]
    for index, value in changes.items():
        args[index] = value
    refused(code, chain, OPERATOR, "Meters", "certify", *args)


def test_a_batch_is_anchored_once_for_a_household_and_window():
    chain = Chain(valid_until=0)
    refused("WRONG_PHASE", chain, home(0), "Meters", "anchor", 1, b"\1" * 32)
    refused("BAD_ARGUMENT", chain, home(0), "Meters", "anchor", 0, bytes(32))
    refused("NOT_MEMBER", chain, OPERATOR, "Meters", "anchor", 0, b"\1" * 32)
    chain.send(meter(0), "Meters", "anchor", 0, b"\1" * 32)
    refused("ALREADY_ANCHORED", chain, home(0), "Meters", "anchor", 0, b"\2" * 32)
    assert chain.one("Meters", "batchOf", home(0).address, 0) == b"\1" * 32
    chain.advance(chain.start(1))
    refused("CERTIFICATE_EXPIRED", chain, meter(0), "Meters", "anchor", 1, b"\1" * 32)
    chain.send(home(0), "Meters", "anchor", 1, b"\1" * 32)
