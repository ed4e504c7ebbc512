"""`hearth chain verify`: the head from genesis or from a kept block, and who is not believed."""

import json
from dataclasses import replace

import pytest

from cli.errors import ExitCode
from consensus.certificates import Seal, SigningDomain
from consensus.light import Attestation, attestation_payload
from consensus.membership import Height
from tests.cli.street import run, run_json

URLS = [f"http://node-{i}" for i in range(4)]
BY_URL = [part for url in URLS for part in ("--rpc", url)]


@pytest.fixture
def attesting(here, monkeypatch):
    """Each question is answered by the next household's node."""
    membership = here.chain.membership()
    asked = []

    def attest(nonce):
        member = len(asked) % membership.n
        asked.append(member)
        head = here.chain.head
        nodes = {each.node.public: each.node for each in here.keys.households}
        key = nodes[membership.members[member]]
        payload = attestation_payload(
            SigningDomain(here.chain.store.digest(0), membership.hash()),
            height=head.number,
            digest=head.hash,
            state_root=head.state_root,
            nonce=nonce,
        )
        return Attestation(
            height=Height(head.number),
            digest=head.hash,
            state_root=head.state_root,
            nonce=nonce,
            member=member,
            signature=key.sign(payload),
        )

    monkeypatch.setattr(here.chain, "attester", attest)
    return here


def test_the_head_is_followed_from_genesis_and_shown_to_be_the_newest(attesting):
    found = run_json("chain", "verify", "--fresh", *BY_URL)
    assert (found["height"], found["hash"]) == (
        attesting.chain.height,
        "0x" + attesting.chain.head.hash.hex(),
    )
    assert found["is_fresh"]
    assert len(found["attested_by"]) == 4
    assert (found["from_height"], found["epoch"], found["lies"]) == (0, 0, [])
    assert found["follows"] is None
    assert "yes, attested by" in run("chain", "verify", *BY_URL).stdout


def test_one_node_does_not_show_that_its_head_is_the_newest(attesting):
    found = run_json("chain", "verify")
    assert (found["is_fresh"], len(found["attested_by"]), found["needed"]) == (False, 1, 3)
    text = run("chain", "verify", "--fresh", code=ExitCode.FAILED)
    assert "1 of the 3 that are needed attest" in text.stdout
    assert "only 1 of 3 members attest" in text.stderr


def test_one_goes_on_from_a_kept_block(attesting, tmp_path):
    kept = tmp_path / "seal.json"
    first = json.loads(run("chain", "verify", "--out", kept, "--json").stdout)
    run_json("wallet", "send", attesting.names[1], "1.5")
    later = run_json("chain", "verify", "--from", kept)
    assert (later["from_height"], later["height"]) == (first["height"], first["height"] + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: {**v, "version": 2}, "version"),
        (lambda v: {**v, "genesis": "0x" + "00" * 32}, "another chain"),
        (lambda v: {**v, "header": v["header"][:-2]}, "192 bytes"),
        (lambda v: {**v, "members": "0x90"}, "members"),
        (lambda v: {**v, "more": 1}, "more"),
    ],
)
def test_a_kept_file_that_was_changed(attesting, tmp_path, change, message):
    kept = tmp_path / "seal.json"
    run("chain", "verify", "--out", kept)
    changed = change(json.loads(kept.read_text()))
    kept.write_text(json.dumps(changed))
    assert message in run("chain", "verify", "--from", kept, code=ExitCode.USAGE).stderr


def test_a_trusted_block_that_never_was(attesting, tmp_path):
    kept = tmp_path / "seal.json"
    run("chain", "verify", "--out", kept)
    value = json.loads(kept.read_text())
    kept.write_text(json.dumps({**value, "header": value["header"][:-2] + "01"}))
    done = run("chain", "verify", "--from", kept, code=ExitCode.FAILED)
    assert "is not the trusted one" in done.stderr


def test_a_node_that_lies_is_named(attesting, monkeypatch):
    run_json("wallet", "send", attesting.names[1], "1.5")
    store = attesting.chain.store
    seal = store.seal(attesting.chain.height)
    shorter = Seal(view=seal.view, signatures=seal.signatures[:-1])
    record = replace(attesting.chain.record(attesting.chain.height), seal=shorter)
    monkeypatch.setattr(attesting.chain, "_record", lambda _: record)
    done = run("chain", "verify", "--rpc", URLS[0], "--json", code=ExitCode.FAILED)
    assert "http://node-0 shows what does not hold: its seal must have 3" in done.stderr
    assert json.loads(done.stdout)["lies"][0]["url"] == URLS[0]


def test_a_node_that_does_not_answer(here, monkeypatch):
    monkeypatch.setattr(here, "is_reachable", False)
    assert "does not answer" in run("chain", "verify", code=ExitCode.UNREACHABLE).stderr
