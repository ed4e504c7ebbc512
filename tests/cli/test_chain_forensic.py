"""`hearth chain seal` and `forensic`: a fork that two of four households made on purpose."""

import asyncio
import json
from dataclasses import replace

import pytest

from cli.chain_forensic import members_at
from cli.errors import ExitCode
from consensus.certificates import Head, Kind, SigningDomain, Slot
from consensus.evidence import decode_evidence
from consensus.membership import Membership
from consensus.messages import NewView, ViewChange
from consensus.wire import encode_message, new_view_digest, view_change_digest
from node.rpc.client import Unreachable
from tests.cli.street import run, run_json
from tests.node.light_rig import SealedChain, Server

HEIGHT = 1


@pytest.fixture
def fork(here, tmp_path):
    """The street's first block, and another one for its height, sealed in view 3."""
    chain = here.chain
    membership = chain.membership_at(HEIGHT)
    nodes = {each.node.public: each.node for each in here.keys.households}
    signers = [nodes[key] for key in membership.members]
    header = chain.header(HEIGHT)
    other = replace(header, time_ms=header.time_ms + 1)
    domain = SigningDomain(chain.store.digest(0), membership.hash())
    files = {}
    for name, block, view, members in (("a", header, 0, (0, 1, 2)), ("b", other, 3, (0, 1, 3))):
        slot = Slot(epoch=0, term=membership.term(HEIGHT), view=view, height=HEIGHT)
        payload = domain.payload(Kind.COMMIT, slot, block.hash)
        seal = {
            "view": view,
            "signatures": [
                {"member": i, "signature": "0x" + signers[i].sign(payload).hex()} for i in members
            ],
        }
        value = {"header": "0x" + block.to_bytes().hex(), "seal": seal}
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(json.dumps(value))
    files["new_views"] = tmp_path / "new-views"
    files["new_views"].mkdir()
    message = new_view(chain, membership, domain, signers)
    (files["new_views"] / "0-0-3.newview").write_bytes(encode_message(message))
    files["culprits"] = {
        member.name for member in here.genesis.members if member.node_key in membership.members[:2]
    }
    return files


def new_view(chain, membership: Membership, domain: SigningDomain, signers) -> NewView:
    """Members 0 and 1 hide what they committed to; member 3 knows no better."""
    head = Head(height=0, digest=chain.store.digest(0), seal=None)
    slot = Slot(epoch=0, term=membership.term(HEIGHT), view=3, height=0)
    payload = domain.payload(Kind.VIEW_CHANGE, slot, view_change_digest(head, None))
    asked = tuple(
        ViewChange(
            slot=slot, head=head, prepared=None, sender=i, signature=signers[i].sign(payload)
        )
        for i in (0, 1, 3)
    )
    digest = new_view_digest(asked)
    return NewView(
        slot=slot,
        view_changes=asked,
        sender=3,
        signature=signers[3].sign(domain.payload(Kind.NEW_VIEW, slot, digest)),
    )


def test_both_culprits_are_named_with_their_evidence(fork):
    found = run_json("chain", "forensic", fork["a"], fork["b"], "--new-views", fork["new_views"])
    assert found["complete"]
    assert {culprit["member"] for culprit in found["culprits"]} == fork["culprits"]
    for culprit in found["culprits"]:
        decode_evidence(bytes.fromhex(culprit["evidence"][2:]))
    text = run("chain", "forensic", fork["a"], fork["b"], "--new-views", fork["new_views"]).stdout
    assert "hid that when it asked for view 3" in text


def test_without_the_new_view_it_says_what_is_missing(fork):
    done = run("chain", "forensic", fork["a"], fork["b"], code=ExitCode.FAILED)
    assert "nobody is named" in done.stdout
    assert "no NEW-VIEW was given for views 1, 2, 3" in done.stdout


def test_files_that_are_no_seals_are_refused(fork, tmp_path):
    bad = tmp_path / "bad.json"
    for text in ("{", "[]", '{"header": "0x00", "seal": {}}', "{}", "[" * 100_000):
        bad.write_text(text)
        run("chain", "forensic", fork["a"], bad, code=ExitCode.USAGE)
    noise = tmp_path / "noise.newview"
    noise.write_bytes(b"\x93")
    run("chain", "forensic", fork["a"], fork["b"], "--new-views", noise, code=ExitCode.USAGE)
    assert "no fork" in run("chain", "forensic", fork["a"], fork["a"], code=ExitCode.FAILED).output


def test_a_seal_is_written_as_the_node_has_it(here, tmp_path):
    out = tmp_path / "seal.json"
    run("chain", "seal", "1", "--out", out)
    value = json.loads(out.read_text())
    assert value["header"] == "0x" + here.chain.header(1).to_bytes().hex()
    assert len(value["seal"]["signatures"]) == 3


def test_the_members_are_those_of_the_height(tmp_path):
    """Not the founders for ever: a fork is judged by the set that sealed its height."""
    sealed = SealedChain(tmp_path / "chain")
    sealed.change_members(0, 1, 2, 3, 4)
    sealed.transfer()
    sealed.change_members(1, 2, 3, 4)
    server, trusted = Server(sealed.chain), sealed.client().trusted
    found = [asyncio.run(members_at(trusted, server, height)).epoch for height in (1, 2, 3, 4)]
    assert found == [0, 1, 1, 2]
    sealed.close()


def test_without_a_node_the_founders_are_taken(fork, monkeypatch):
    async def nobody(*_):
        raise Unreachable("nobody listens")

    monkeypatch.setattr("cli.chain_forensic.members_at", nobody)
    done = run("chain", "forensic", fork["a"], fork["b"], "--new-views", fork["new_views"])
    assert "the founders are taken" in done.stderr
