"""`hearth chain`: what a node answers, in words; proofs that stand without it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli import proof_file
from cli.errors import ExitCode
from cli.proof_file import StateProof, verify
from consensus.certificates import Kind, Seal, SigningDomain, Slot
from crypto.errors import InvalidProof
from crypto.hashing import Digest
from crypto.merkle import Level, Proof, SparseMerkleTree
from market.abi import ENERGY_TOKEN, MONEY_TOKEN
from market.contracts.erc20 import balance_key
from node.hand_over import HandOver, membership_of
from testnet.errors import BadFile
from tests.cli.street import run, run_json
from vm.block import Header
from vm.context import storage_key
from vm.members import MEMBERS_KEY, read_members


def test_head(here):
    head = run_json("chain", "head")
    assert (head["height"], head["hash"]) == (
        here.chain.height,
        f"0x{here.chain.head.hash.hex()}",
    )
    assert head["genesis"] == f"0x{here.genesis.hash.hex()}"
    assert head["hash"] in run("chain", "head").stdout


def test_a_block_by_height_and_by_hash(here):
    sent = run_json("wallet", "send", here.names[1], "1.5")
    block = run_json("chain", "block", sent["block"])
    assert block == run_json("chain", "block", block["hash"])
    (tx,) = block["transactions"]
    assert (tx["hash"], tx["ok"], tx["error"]) == (sent["transaction"], True, None)
    assert tx["call"]["contract"] == "MoneyToken"
    assert tx["call"]["arguments"]["amount"] == 150_000_000
    order = sorted(here.genesis.members, key=lambda member: member.node_key)
    assert block["sealed_by"] == [member.name for member in order[:3]]
    text = run("chain", "block", sent["block"]).stdout
    assert "MoneyToken.transfer" in text
    assert order[2].name in text


def test_the_genesis_block_has_no_seal(here):
    assert run_json("chain", "block", "0")["sealed_by"] == []
    assert "the genesis block" in run("chain", "block", "0").stdout


def test_blocks_that_are_not_there(here):
    assert "head is at height" in run("chain", "block", "99999", code=ExitCode.FAILED).stderr
    assert "height or a hash" in run("chain", "block", "newest", code=ExitCode.USAGE).stderr


def test_a_transaction_with_its_events(here):
    sent = run_json("wallet", "send", here.names[2], "2")
    tx = run_json("chain", "tx", sent["transaction"])
    (event,) = tx["events"]
    assert (event["contract"], event["event"]) == ("MoneyToken", "Transfer")
    assert event["values"]["value"] == 200_000_000
    text = run("chain", "tx", sent["transaction"]).stdout
    assert f"to {here.names[2]}" in text
    assert "200,000,000" in text


def test_why_a_transaction_failed(here):
    digest = here.submit(
        here.household(0), "MoneyToken", "transfer", here.household(1).address, 10**15
    )
    waiting = run_json("chain", "tx", f"0x{digest.hex()}")
    assert waiting["block"] is None
    assert "waits" in run("chain", "tx", f"0x{digest.hex()}").stdout
    here.seal()
    tx = run_json("chain", "tx", f"0x{digest.hex()}")
    assert not tx["ok"]
    assert tx["error"].startswith("INSUFFICIENT_FUNDS: ")


def test_transactions_that_are_not_there(here):
    text = run("chain", "tx", "0x" + "12" * 32, code=ExitCode.FAILED).stderr
    assert "knows no transaction" in text
    assert "64 hex digits" in run("chain", "tx", "0x12", code=ExitCode.USAGE).stderr


def test_deadlines_are_nobodys(here):
    window = here.chain.genesis.window_at(here.now) + 2
    here.advance(here.start(window - 1) + 1)
    here.send(here.household(0), "Market", "enrol", window)
    here.advance(here.start(window + 5))
    texts = [run("chain", "block", height).stdout for height in range(1, here.chain.height + 1)]
    assert any("due deadlines" in text for text in texts)


def test_logs_by_contract_and_name(here):
    minted = run_json("chain", "logs", "--contract", "Ramp", "--event", "DepositMinted")
    assert minted == run_json("chain", "events", "--contract", "Ramp", "--event", "DepositMinted")
    assert len(minted) == 5
    assert {event["contract"] for event in minted} == {"Ramp"}
    first = minted[0]["block"]
    some = run_json("chain", "logs", "--event", "Transfer", "--from", first, "--to", first)
    assert [event["block"] for event in some] == [first]
    assert "DepositMinted" in run("chain", "events", "--contract", "Ramp").stdout


def test_logs_by_topic(here):
    """A topic may be short, as people have addresses; any is any."""
    args = ("chain", "logs", "--contract", "MoneyToken", "--event", "Transfer")
    to = f"0x{here.household(2).address.hex()}"
    found = run_json(*args, "--topic", "any", "--topic", to)
    assert found
    assert {event["values"]["to"].lower() for event in found} == {to}
    everything = run_json(*args)
    assert len(everything) > len(found)
    assert run_json(*args, "--topic", "any") == everything
    for topic in ("0x", "12", "0xzz", "0x" + "1" * 65):
        assert "--topic must be" in run(*args, "--topic", topic, code=2).stderr
    four = ("--topic", "any") * 4
    assert "at most 3 beside" in run(*args, *four, code=2).stderr


def test_logs_of_an_unknown_contract(here):
    """Its events have names only with an ABI."""
    stranger = "0x" + "77" * 20
    assert run_json("chain", "logs", "--contract", stranger) == []
    args = ("chain", "logs", "--contract", stranger, "--event", "Paid")
    assert "none that is known: give --abi" in run(*args, code=2).stderr
    assert "neither an address nor" in run("chain", "logs", "--contract", "Shop", code=2).stderr


def test_unknown_events_are_refused(here):
    text = run("chain", "events", "--event", "Transferred", code=ExitCode.USAGE).stderr
    assert "Transfer" in text
    text = run("chain", "events", "--contract", "Ramp", "--event", "Settled", code=2).stderr
    assert "DepositMinted" in text
    assert "before --from" in run("chain", "events", "--from", "5", "--to", "4", code=2).stderr


# Proofs ------------------------------------------------------------------------------------------


def test_a_balance_is_proven_without_the_node(here, tmp_path):
    out = tmp_path / "proof.json"
    here.send(here.household(2), "MoneyToken", "transfer", here.household(3).address, 5)
    run("chain", "proof", "--balance", here.names[3], "--out", out)
    here.is_reachable = False
    genesis = here.layout.genesis
    result = run_json("chain", "verify-proof", out, "--genesis", genesis)
    assert result["ok"]
    assert result["account"] == here.names[3]
    assert result["height"] == here.chain.height
    assert result["units"] == 20_000_000_005
    assert "200.0000 EUR" in run("chain", "verify-proof", out).stdout


def test_absence_and_raw_keys_are_proven(here, tmp_path):
    out = tmp_path / "proof.json"
    said = run_json(
        "chain", "proof", "--balance", "0x" + "77" * 20, "--token", "energy", "--out", out
    )
    assert (said["file"], said["value"]) == (str(out), None)
    result = run_json("chain", "verify-proof", out)
    assert (result["value"], result["balance"]) == (None, "0 Wh")
    run("chain", "proof", f"0x{MEMBERS_KEY.hex()}", "--out", out)
    assert run_json("chain", "verify-proof", out)["value"] is not None
    assert "give one of KEY, --balance, --slot" in run("chain", "proof", code=2).stderr
    both = run("chain", "proof", "0x6d", "--balance", here.names[0], code=2).stderr
    assert "give one of" in both
    assert "KEY must be hex" in run("chain", "proof", "0xzz", code=2).stderr


def test_an_account_and_a_slot_are_proven(here, tmp_path):
    """A slot that was never written is proven absent: its value is zero."""
    out = tmp_path / "proof.json"
    here.send(here.household(1), "MoneyToken", "transfer", here.household(2).address, 1)
    run("chain", "proof", "--account", here.names[1], "--out", out)
    said = run_json("chain", "verify-proof", out)
    address = here.household(1).address
    nonce = here.chain.machine.next_nonce(here.chain.state(), address)
    assert (said["nonce"], said["code_hash"]) == (nonce, None)
    assert said["sponsor"].lower() == f"0x{address.hex()}"
    run("chain", "proof", "--slot", "0x" + "77" * 20, "0x10", "--out", out)
    said = run_json("chain", "verify-proof", out)
    assert (said["value"], said["slot"], said["number"]) == (None, "16", "0")
    for slot in ("-1", str(2**256), "x"):
        args = ("chain", "proof", "--slot", "0x" + "77" * 20, slot)
        assert "SLOT must be a number" in run(*args, code=2).stderr


def test_a_changed_file_is_refused(here, tmp_path):
    out = tmp_path / "proof.json"
    run("chain", "proof", "--balance", here.names[0], "--out", out)
    claim = json.loads(out.read_text())
    claim["value"] = "0x01"
    out.write_text(json.dumps(claim, indent=1) + "\n")
    text = run("chain", "verify-proof", out, code=ExitCode.FAILED).stderr
    assert "does not hold: shows another value" in text
    out.write_text("{}")
    assert "is missing" in run("chain", "verify-proof", out, code=1).stderr


@pytest.fixture(scope="module")
def claim(street):
    """A proof of the first household's money at the head."""
    street.send(street.household(0), "MoneyToken", "transfer", street.household(1).address, 7)
    key = storage_key(MONEY_TOKEN, balance_key(street.household(0).address))
    chain = street.chain
    return StateProof(
        genesis_hash=street.genesis.hash,
        key=key,
        value=chain.state().get(key),
        proof=Proof.from_bytes(chain.prove(key)),
        header=chain.head,
        seal=chain.seal(chain.height),
    )


def refused(street, claim, words):
    with pytest.raises(InvalidProof, match=words):
        verify(street.genesis, claim)


def test_a_true_claim_is_accepted_and_read_back(street, claim):
    verify(street.genesis, claim)
    assert StateProof.from_json(claim.to_json()) == claim


def test_each_part_is_bound(street, claim):
    energy = storage_key(ENERGY_TOKEN, balance_key(street.household(0).address))
    refused(street, replace(claim, value=b"\x01"), "another value")
    refused(street, replace(claim, value=None), "key is present")
    refused(street, replace(claim, key=energy), "key is absent")
    refused(street, replace(claim, genesis_hash=bytes(32)), "chain with genesis")
    refused(street, replace(claim, header=replace(claim.header, state_root=bytes(32))), "root")
    header = replace(claim.header, time_ms=claim.header.time_ms + 1)
    refused(street, replace(claim, header=header), "signature by member 0 is wrong")
    header = replace(claim.header, next_members_hash=Digest(bytes(32)))
    refused(street, replace(claim, header=header), "signature by member 0 is wrong")


def test_a_proof_holds_after_the_members_have_changed(street, claim):
    """The file leads from the founders to the set that sealed its block, and says who that was."""
    founders = street.chain.membership()
    first = read_members(street.store)
    nodes = {keys.node.public: keys.node for keys in street.keys.households}

    def sealed(header, members):
        slot = Slot(
            epoch=members.epoch, term=members.term(header.number), view=0, height=header.number
        )
        domain = SigningDomain(street.store.digest(0), members.hash())
        payload = domain.payload(Kind.COMMIT, slot, header.hash)
        return Seal(
            view=0,
            signatures=tuple((i, nodes[members.members[i]].sign(payload)) for i in range(3)),
        )

    height = claim.header.number
    following = first.next(height + 1, first.keys)
    last = replace(claim.header, number=height + 1, next_members_hash=following.hash())
    step = HandOver(last, sealed(last, founders), following)
    header = replace(last, number=height + 2)
    later = replace(
        claim, header=header, seal=sealed(header, membership_of(following)), epochs=(step,)
    )
    verify(street.genesis, later)
    assert StateProof.from_json(later.to_json()) == later
    names = {member.node_key: member.name for member in street.genesis.members}
    assert proof_file.describe(street.genesis, later)["sealed_by"] == [
        names[key] for key in first.keys[:3]
    ]
    refused(street, replace(later, epochs=()), "signature by member 0 is wrong")
    refused(street, replace(later, seal=sealed(header, founders)), "signature by member 0 is wrong")
    forged = HandOver(last, later.seal, following)
    refused(street, replace(later, epochs=(forged,)), "epoch|signature")
    refused(street, replace(later, epochs=(step, step)), "does not follow")
    block0 = HandOver.from_bytes(street.store.hand_overs()[0][1])
    refused(street, replace(later, epochs=(block0, step)), "begin with block 0")


def test_a_seal_is_exactly_q_commits_of_one_view(street, claim):
    height, digest = claim.header.number, claim.header.hash

    def sealed(seal):
        return replace(claim, seal=seal)

    verify(street.genesis, sealed(street.make_seal(height, digest, view=3)))
    verify(street.genesis, sealed(street.make_seal(height, digest, signers=(0, 2, 3))))
    refused(street, sealed(None), "has no seal")
    refused(street, sealed(street.make_seal(height, digest, signers=(0, 1))), "3 signatures, got 2")
    full = street.make_seal(height, digest, signers=(0, 1, 2, 3))
    refused(street, sealed(full), "3 signatures, got 4")
    one, two = street.make_seal(height, digest), street.make_seal(height, digest, view=1)
    mixed = Seal(view=one.view, signatures=(*one.signatures[:2], two.signatures[2]))
    refused(street, sealed(mixed), "member 2 is wrong")
    a, b, c = one.signatures
    swapped = Seal(view=one.view, signatures=((0, b[1]), (1, a[1]), c))
    refused(street, sealed(swapped), "member 0 is wrong")
    stranger = Seal(view=one.view, signatures=(a, b, (9, c[1])))
    refused(street, sealed(stranger), "names member 9; there are 4")
    other_height = street.make_seal(height + 1, digest)
    refused(street, sealed(other_height), "is wrong")


def test_block_0_needs_no_seal_but_must_be_this_chains(street, claim):
    first = street.chain.header(0)
    assert first is not None
    genesis_state = street.chain.machine.genesis_execution()
    changes = dict(genesis_state.changes)
    nodes = {k: v for k, v in genesis_state.tree_update.nodes.items() if v is not None}
    tree = SparseMerkleTree(nodes)
    true = replace(
        claim,
        key=MEMBERS_KEY,
        value=changes[MEMBERS_KEY],
        proof=tree.prove(MEMBERS_KEY),
        header=first,
        seal=None,
    )
    verify(street.genesis, true)
    refused(street, replace(true, header=replace(first, gas_used=1)), "not block 0")
    refused(street, replace(true, seal=claim.seal), "not block 0")


HASHES = st.binary(min_size=32, max_size=32).map(Digest)
SIBLINGS = HASHES.filter(any)
"""An empty child is no sibling."""
NUMBERS = st.integers(0, 2**62)
HEADERS = st.builds(
    Header,
    version=NUMBERS,
    number=NUMBERS,
    parent_hash=HASHES,
    time_ms=NUMBERS,
    transactions_root=HASHES,
    state_root=HASHES,
    receipts_root=HASHES,
    next_members_hash=HASHES,
    gas_used=NUMBERS,
)
LEVELS = st.integers(0, 2**16 - 1).flatmap(
    lambda bitmap: st.builds(
        Level,
        bitmap=st.just(bitmap),
        siblings=st.lists(SIBLINGS, min_size=bitmap.bit_count(), max_size=bitmap.bit_count()).map(
            tuple
        ),
    )
)
SIGNATURES = st.dictionaries(
    st.integers(0, 127), st.binary(min_size=64, max_size=64), max_size=4
).map(lambda found: tuple(sorted(found.items())))
CLAIMS = st.builds(
    StateProof,
    genesis_hash=HASHES,
    key=st.binary(max_size=proof_file.KEY_BYTES_MAX),
    value=st.none() | st.binary(min_size=1, max_size=40),
    proof=st.builds(
        Proof,
        levels=st.lists(LEVELS, max_size=3).map(tuple),
        leaf=st.none() | st.binary(min_size=64, max_size=64),
    ),
    header=HEADERS,
    seal=st.none() | st.builds(Seal, view=NUMBERS, signatures=SIGNATURES),
)


@given(claim=CLAIMS)
def test_every_claim_is_read_back(claim):
    assert StateProof.from_json(claim.to_json()) == claim


@given(claim=CLAIMS, data=st.data())
def test_what_is_accepted_is_the_one_text_of_its_claim(claim, data):
    text = bytearray(claim.to_json())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 1))] = data.draw(st.binary(max_size=2))
    try:
        parsed = StateProof.from_json(bytes(text))
    except BadFile:
        return
    assert parsed.to_json() == bytes(text)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"version": 1}, "version"),
        ({"key": "0x" + "00" * 129}, "key"),
        ({"value": "0x"}, "value"),
        ({"value": "0xAB"}, "value"),
        ({"proof": "0xff"}, "proof"),
        ({"header": "0x" + "00" * 183}, "header"),
        ({"seal": {"view": -1, "signatures": []}}, "view"),
        ({"seal": {"view": 0, "signatures": [{"member": 0}]}}, "signature"),
        ({"seal": []}, "seal"),
        ({"genesis": 5}, "genesis"),
        ({"epochs": ["0x00"]}, "hand_over"),
        ({"epochs": {}}, "epochs"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_field_is_named(claim, change, field):
    text = json.dumps({**json.loads(claim.to_json()), **change}, indent=1) + "\n"
    with pytest.raises(BadFile, match=field):
        StateProof.from_json(text.encode())


@pytest.mark.parametrize("answer", [{}, {"header": {"bytes": "0x00"}}, {"header": []}])
def test_a_node_that_answers_nonsense_is_refused(street, answer):
    with pytest.raises(BadFile, match="hearth_getProof"):
        StateProof.from_rpc(street.genesis, answer)
