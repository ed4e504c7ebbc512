"""The light client: what is true is accepted, and every lie of a server is caught."""

from dataclasses import replace

import pytest

from consensus.certificates import Kind
from consensus.membership import Membership
from crypto.errors import DecodeError, InvalidProof
from node import light_client
from node.errors import UnsupportedHeader
from node.hand_over import HandOver
from node.light_client import LightClient
from node.rpc import handlers_light
from node.rpc.client import RpcError
from node.rpc.errors import RpcFault
from node.rpc.views import header_json, seal_json
from tests.node.cluster import account_key, node_key
from tests.node.light_rig import (
    GOVERNOR,
    SealedChain,
    Server,
    keys_of,
    make_attester,
    make_seal,
    run,
)
from tests.vm.chain import TOY
from vm.context import storage_key
from vm.members import MEMBERS_KEY
from vm.protocol import PROTOCOL_KEY, Schedule, Step, encode_schedule

BOB = storage_key(TOY, b"b" + account_key(1).address)


@pytest.fixture
def sealed(tmp_path):
    sealed = SealedChain(tmp_path / "chain")
    yield sealed
    sealed.close()


@pytest.fixture
def grown(sealed):
    """Four, then five, then four others; blocks between."""
    sealed.transfer()
    sealed.change_members(0, 1, 2, 3, 4)
    for _ in range(3):
        sealed.transfer()
    sealed.change_members(1, 2, 3, 4)
    sealed.transfer(value=7)
    return sealed


# What is true ------------------------------------------------------------------------------------


def test_epochs_are_followed_to_the_head(grown):
    client, server = grown.client(), Server(grown.chain)
    head = run(client.follow(server))
    assert head.header == grown.chain.head
    assert [(m.epoch, m.first_height, m.members) for m in client.members] == [
        (0, 1, keys_of(0, 1, 2, 3)),
        (1, 3, keys_of(0, 1, 2, 3, 4)),
        (2, 7, keys_of(1, 2, 3, 4)),
    ]
    for height in range(1, grown.chain.height + 1):
        assert run(client.header(server, height)).header == grown.chain.header(height)


def test_epochs_come_in_several_answers(grown, monkeypatch):
    for module in (light_client, handlers_light):
        monkeypatch.setattr(module, "EPOCHS_PER_ANSWER", 1)
    client = grown.client()
    assert run(client.follow(Server(grown.chain))).header == grown.chain.head
    assert len(client.members) == 3


def test_one_goes_on_from_a_block_that_was_proven_before(grown):
    client, server = grown.client(), Server(grown.chain)
    run(client.header(server, 2))
    later = LightClient(client.trust_head())
    grown.change_members(2, 3, 4, 5)
    grown.transfer()
    assert run(later.follow(server)).header == grown.chain.head
    with pytest.raises(InvalidProof, match="lies before what is trusted"):
        run(later.header(server, 1))


def test_blocks_of_unknown_rules_are_proven_and_refused(tmp_path):
    """The version stands in the header, under the seal: no server can hide or invent it."""
    upgraded = SealedChain(tmp_path / "chain", protocols=(1, 2))
    try:
        server = Server(upgraded.chain)
        upgraded.submit(0, GOVERNOR, "setProtocol(uint64,uint64)", 2, 3)
        upgraded.seal()
        upgraded.transfer()
        old, new = upgraded.client(), LightClient(upgraded.trusted(), protocols=(1, 2))
        schedule = Schedule((Step(1, 0), Step(2, 3)))
        assert run(old.header(server)).header.version == 1
        assert run(old.value(server, PROTOCOL_KEY)).value == encode_schedule(schedule)
        upgraded.transfer()
        with pytest.raises(UnsupportedHeader, match="block 3 is made by protocol version 2"):
            run(old.header(server))
        assert old.head.header.number == 2, "what it can read stands"
        assert run(new.header(server)).header.version == 2
        upgraded.change_members(1, 2, 3, 4)
        with pytest.raises(UnsupportedHeader):
            run(old.follow(server))
        lie = replace(upgraded.chain.head, version=1)
        with pytest.raises(InvalidProof, match="signature"):
            old._accept(lie, upgraded.chain.seal(4))
    finally:
        upgraded.close()


def test_the_trusted_block_alone_needs_no_seal(sealed):
    client, server = sealed.client(), Server(sealed.chain)
    assert run(client.follow(server)).header == client.trusted.header


def test_values_and_absences(grown):
    client, server = grown.client(), Server(grown.chain)
    found = run(client.value(server, BOB))
    assert int.from_bytes(found.value, "big") == 1_000_000 + 4 + 7
    assert found.header == grown.chain.head
    absent = storage_key(TOY, b"b" + bytes(20))
    assert run(client.value(server, absent)).value is None
    assert run(client.value(server, MEMBERS_KEY)).value == grown.store.get(MEMBERS_KEY)


def test_receipts_and_all_logs_of_a_block(grown):
    digest = grown.transfer(sender=2, to=1, value=9)
    client, server = grown.client(), Server(grown.chain)
    proven = run(client.receipt(server, digest))
    (log,) = proven.receipt.logs
    assert (proven.header, int.from_bytes(log.data, "big")) == (grown.chain.head, 9)
    block = run(client.block(server, grown.chain.height))
    assert block.logs == ((digest, log),)
    assert block.receipts == grown.chain.receipts(grown.chain.height)
    assert run(client.receipt(server, bytes(32))) is None


def test_an_epoch_that_begins_between_two_questions(grown):
    client, server = grown.client(), Server(grown.chain)
    run(client.follow(server))
    grown.change_members(2, 3, 4, 5)
    grown.transfer()
    assert run(client.value(server, BOB)).header == grown.chain.head
    assert client.members[-1].epoch == 3


# Freshness ---------------------------------------------------------------------------------------


def test_a_quorum_attests_the_newest_block(grown):
    servers = [Server(grown.chain, node_key(i)) for i in (1, 2, 3)]
    fresh = run(grown.client().attest(servers))
    assert fresh.is_fresh
    assert len(fresh.attested_by) == 3
    assert fresh.head.header == grown.chain.head


def test_fewer_than_a_quorum_and_repeats_do_not_show_freshness(grown):
    one = Server(grown.chain, node_key(1))
    stranger = Server(grown.chain, node_key(0))  # A member of an epoch that is over.
    stranger.table["hearth_attest"] = _refuse
    fresh = run(grown.client().attest([one, one, Server(grown.chain, node_key(2)), stranger]))
    assert not fresh.is_fresh
    assert len(fresh.attested_by) == 2


def test_an_attestation_of_another_nonce_or_by_another_key_does_not_count(grown):
    servers = [Server(grown.chain, node_key(i)) for i in (1, 2, 3)]
    old = run(servers[0].call("hearth_attest", "0x" + bytes(32).hex()))
    servers[0].lies["hearth_attest"] = lambda _: old
    servers[1].lies["hearth_attest"] = lambda a: {**a, "member": (a["member"] + 1) % 4}
    fresh = run(grown.client().attest(servers))
    assert len(fresh.attested_by) == 1


def test_who_is_behind_still_says_that_nothing_came_after(tmp_path, grown):
    """It has sent no COMMIT above its own head, so none above a higher one either."""
    behind = SealedChain(tmp_path / "behind")
    for height in range(1, grown.chain.height + 1):
        behind.chain.apply(grown.store.sealed_block(height))
    grown.transfer()
    servers = [Server(grown.chain, node_key(i)) for i in (1, 2)]
    servers.append(Server(behind.chain, node_key(3)))
    fresh = run(grown.client().attest(servers))
    assert fresh.is_fresh
    assert fresh.head.header == grown.chain.head
    behind.close()


def test_a_node_that_committed_above_its_head_stays_silent(grown, monkeypatch):
    server = Server(grown.chain)
    server.attester = make_attester(grown.chain, node_key(1), is_willing=lambda: False)
    monkeypatch.setattr(handlers_light, "ATTEST_WAIT_MS", 1)
    with pytest.raises(RpcError, match="cannot attest"):
        run(server.call("hearth_attest", "0x" + bytes(32).hex()))


# Lies --------------------------------------------------------------------------------------------


def lying(method, lie):
    def make(chain):
        server = Server(chain)
        server.lies[method] = lie
        return server

    return make


def other_header(**changes):
    """The answer's header with other fields, under the same seal."""

    def lie(answer):
        data = bytes.fromhex(answer["header"]["bytes"][2:])
        header = replace(light_client.answers.decode_header(data), **changes)
        return {**answer, "header": header_json(header)}

    return lie


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state_root": bytes(32)}, "signature"),
        ({"time_ms": 1}, "signature"),
        ({"next_members_hash": bytes(32)}, "signature"),
        ({"number": 2}, "signature"),
    ],
)
def test_a_forged_header(grown, changes, message):
    server = lying("hearth_getProof", other_header(**changes))(grown.chain)
    with pytest.raises(InvalidProof, match=message):
        run(grown.client().value(server, BOB))


def forged_seal(change):
    def lie(seal):
        return {**seal, **change(seal)}

    return lie


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda s: {"view": s["view"] + 1}, InvalidProof),
        (lambda s: {"signatures": s["signatures"][:-1]}, InvalidProof),
        (lambda s: {"signatures": [s["signatures"][0]] * 3}, DecodeError),
        (lambda s: {"signatures": s["signatures"] + [{"member": 3, "signature": "0x" + "00" * 64}]},
         InvalidProof),
        (lambda s: {"signatures": [*s["signatures"][:-1], {"member": 3, "signature":
         s["signatures"][-1]["signature"]}]}, InvalidProof),
        (lambda s: {"signatures": [*s["signatures"][:-1], {"member": 99, "signature":
         s["signatures"][-1]["signature"]}]}, InvalidProof),
        (lambda s: {"view": -1}, DecodeError),
    ],
)  # fmt: skip
def test_a_forged_seal(sealed, change, error):
    sealed.transfer()
    server = lying("hearth_getSeal", forged_seal(change))(sealed.chain)
    with pytest.raises(error):
        run(sealed.client().follow(server))


def test_a_seal_that_was_left_out(sealed):
    sealed.transfer()
    server = lying("hearth_getSeal", lambda _: None)(sealed.chain)
    with pytest.raises(InvalidProof, match="has no seal"):
        run(sealed.client().follow(server))


def test_signatures_of_another_kind_are_no_seal(sealed):
    sealed.transfer()
    head = sealed.chain.head
    first = sealed.client().members[0]
    prepares = make_seal(sealed.chain, 1, head.hash, members=first, kind=Kind.PREPARE)
    server = lying("hearth_getSeal", lambda _: seal_json(prepares))(sealed.chain)
    with pytest.raises(InvalidProof, match="signature"):
        run(sealed.client().follow(server))


def test_a_hand_over_that_is_kept_back(grown):
    server = lying("hearth_getEpochs", lambda given: [e for e in given if e["epoch"] == 1])(
        grown.chain
    )
    with pytest.raises(InvalidProof):
        run(grown.client().follow(server))


def test_a_hand_over_that_is_shown_too_late(grown):
    """The last block of an epoch, its hand-over kept back: what follows is not known."""
    server = lying("hearth_getEpochs", lambda _: [])(grown.chain)
    with pytest.raises(InvalidProof, match="was not shown"):
        run(grown.client().header(server, 2))


def test_a_hand_over_to_members_that_the_header_does_not_name(grown):
    def lie(epochs):
        return [{**epochs[0], "members": epochs[1]["members"]}, *epochs[1:]]

    with pytest.raises(DecodeError, match="not the set that the header names"):
        run(grown.client().follow(lying("hearth_getEpochs", lie)(grown.chain)))


def test_a_hand_over_that_only_the_new_members_signed(tmp_path, grown):
    """Strangers found a set of their own and seal it themselves."""
    steps = [HandOver.from_bytes(data) for _, data in grown.store.hand_overs()]
    step = steps[1]
    strangers = replace(step.members, keys=keys_of(6, 7, 8, 9))
    header = replace(step.header, next_members_hash=strangers.hash())
    former = Membership(grown.client().members[0].epoch, keys_of(6, 7, 8, 9))
    seal = make_seal(grown.chain, header.number, header.hash, members=former)
    forged = handlers_light.hand_over_json(HandOver(header, seal, strangers))
    server = lying("hearth_getEpochs", lambda _: [forged])(grown.chain)
    with pytest.raises(InvalidProof, match="signature"):
        run(grown.client().follow(server))


def test_an_epoch_that_is_skipped(grown):
    server = lying("hearth_getEpochs", lambda epochs: epochs[1:])(grown.chain)
    with pytest.raises(InvalidProof, match="does not follow"):
        run(grown.client().follow(server))


def test_another_block_than_was_asked_for(grown):
    client, server = grown.client(), Server(grown.chain)
    other = run(server.call("hearth_getHeader", 3))
    server.lies["hearth_getHeader"] = lambda _: other
    with pytest.raises(InvalidProof, match="asked for block 4, got block 3"):
        run(client.header(server, 4))
    server.lies["hearth_getSealedBlock"] = lambda answer: {**answer, **_sealed(grown.chain, 3)}
    with pytest.raises(InvalidProof, match="asked for block 4"):
        run(client.block(server, 4))


@pytest.mark.parametrize("value", ["0x01", None])
def test_another_value(grown, value):
    server = lying("hearth_getProof", lambda a: {**a, "value": value})(grown.chain)
    with pytest.raises(InvalidProof):
        run(grown.client().value(server, BOB))


def test_a_value_where_there_is_none(grown):
    absent = storage_key(TOY, b"b" + bytes(20))
    server = lying("hearth_getProof", lambda a: {**a, "value": "0x01"})(grown.chain)
    with pytest.raises(InvalidProof, match="absent"):
        run(grown.client().value(server, absent))


def test_a_proof_of_another_key(grown):
    client, server = grown.client(), Server(grown.chain)
    other = run(server.call("hearth_getProof", "0x" + MEMBERS_KEY.hex()))
    server.lies["hearth_getProof"] = lambda a: {**a, "proof": other["proof"]}
    with pytest.raises(InvalidProof):
        run(client.value(server, BOB))


@pytest.mark.parametrize("field", ["receipt", "receiptPath", "index", "count", "transaction"])
def test_a_forged_receipt(grown, field):
    first, second = (
        grown.submit(i, TOY, "transfer(address,uint256)", account_key(3).address, i + 1)
        for i in (1, 2)
    )
    grown.seal()
    client, server = grown.client(), Server(grown.chain)
    other = run(server.call("hearth_getReceiptProof", "0x" + second.hex()))
    wrong = {"count": 1}.get(field, other[field])
    server.lies["hearth_getReceiptProof"] = lambda a: {**a, field: wrong}
    with pytest.raises(InvalidProof):
        run(client.receipt(server, first))


@pytest.mark.parametrize("field", ["receipts", "transactions"])
def test_a_block_with_a_log_left_out_or_moved(grown, field):
    for i in (1, 2):
        grown.submit(i, TOY, "transfer(address,uint256)", account_key(3).address, i)
    grown.seal()
    for lie in (
        lambda a: {**a, field: a[field][:1]},
        lambda a: {**a, field: a[field][::-1]},
        lambda a: {**a, "receipts": a["receipts"][:1], "transactions": a["transactions"][:1]},
    ):
        server = lying("hearth_getSealedBlock", lie)(grown.chain)
        with pytest.raises(InvalidProof, match="are not the block's"):
            run(grown.client().block(server, grown.chain.height))


def test_two_sealed_blocks_at_one_height_are_noticed(tmp_path):
    """Enough members sign twice: no client is fooled into both."""
    chains = [SealedChain(tmp_path / name) for name in ("one", "two")]
    client = chains[0].client()
    for chain, value in zip(chains, (1, 2), strict=True):
        chain.transfer(value=value)
    run(client.follow(Server(chains[0].chain)))
    with pytest.raises(InvalidProof, match="two blocks are sealed at height 1"):
        run(client.follow(Server(chains[1].chain)))
    for chain in chains:
        chain.close()


def test_the_trusted_block_is_not_forgotten(tmp_path, monkeypatch):
    """However many blocks are seen after it, another one of its height is noticed."""
    monkeypatch.setattr("node.light_client.KNOWN_MAX", 2)
    chains = [SealedChain(tmp_path / name) for name in ("one", "two")]
    for chain, value in zip(chains, (1, 2), strict=True):
        chain.transfer(value=value)
    first = chains[0].client()
    run(first.follow(Server(chains[0].chain)))
    client = LightClient(first.trust_head())
    for height in range(2, 6):
        chains[0].transfer(value=1)
        run(client.header(Server(chains[0].chain), height))
    with pytest.raises(InvalidProof, match="block 1 is sealed, and is not the trusted one"):
        run(client.header(Server(chains[1].chain), 1))
    for chain in chains:
        chain.close()


def test_another_chain(tmp_path, sealed):
    sealed.transfer()
    other = SealedChain(
        tmp_path / "other", genesis=replace(sealed.genesis, time_ms=sealed.genesis.time_ms + 1)
    )
    other.transfer()
    with pytest.raises(InvalidProof):
        run(sealed.client().follow(Server(other.chain)))
    other.close()


@pytest.mark.parametrize(
    "answer", [None, [], 7, "x", {}, {"header": {}}, {"header": {"bytes": "0x00"}}, {"bytes": 1}]
)
@pytest.mark.parametrize(
    "method",
    ["hearth_getHeader", "hearth_getProof", "hearth_getSealedBlock", "hearth_getReceiptProof"],
)
def test_answers_of_any_form_are_refused(grown, method, answer):
    client = grown.client()
    server = lying(method, lambda _: answer)(grown.chain)
    asks = {
        "hearth_getHeader": lambda: client.follow(server),
        "hearth_getProof": lambda: client.value(server, BOB),
        "hearth_getSealedBlock": lambda: client.block(server, 2),
        "hearth_getReceiptProof": lambda: client.receipt(server, bytes(32)),
    }
    if (method, answer) == ("hearth_getReceiptProof", None):
        return  # It says that there is none.
    with pytest.raises(DecodeError):
        run(asks[method]())


def test_the_wrong_start_is_refused(grown):
    trusted = grown.client().trusted
    with pytest.raises(DecodeError, match="not the set"):
        replace(trusted, members=replace(trusted.members, epoch=1))
    with pytest.raises(DecodeError, match="not block 0"):
        replace(trusted, genesis_digest=bytes(32))


def _sealed(chain, height):
    return {"header": header_json(chain.header(height)), "seal": seal_json(chain.seal(height))}


def _refuse(_):
    raise RpcFault(-32000, "this node does not vote")
