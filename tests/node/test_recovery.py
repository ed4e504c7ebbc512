"""A community that lost its quorum: every refusal by name, and a new chain that all compute."""

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus.vote_log import encode_frame
from crypto.errors import DecodeError, InvalidProof
from crypto.hashing import Digest
from node import recovery
from node.app import open_node
from node.errors import ConfigError, StorageError
from node.home import Home, load_config, load_genesis
from node.light_client import LightClient, TrustedBlock
from node.natives import NATIVES
from node.recovery import RecoveryRefused
from node.recovery_file import (
    RecoveryFile,
    survivors_needed,
    verify_proposal,
    verify_signatures,
)
from node.storage.vote_log import VoteLogFile
from tests.consensus.test_vote_log import records_of
from tests.market.contracts.chain import ed25519, home
from tests.market.contracts.recovered import record
from tests.node.village import NEW, Village, keys_file, make_seal, send
from vm.first_block import founders
from vm.machine import Machine
from vm.members import quorum

GONE = (3, 4, 5)
"""Of six, whose quorum is four."""
STAY = (0, 1, 2)


@pytest.fixture
def village(tmp_path):
    village = Village(tmp_path)
    village.work()
    return village


@pytest.fixture
def proposed(village):
    made = village.settle(0)
    return made, village.propose(made, *GONE)


def refuses(words, function, *args, **options):
    with pytest.raises(RecoveryRefused, match=words):
        function(*args, **options)


# The way.


def test_all_survivors_begin_the_same_chain(village, proposed):
    made, file = proposed
    homes = [made, village.settle(1), village.settle(2)]
    for each in homes[1:]:
        with recovery.opened(each, NATIVES) as chain:
            recovery.check(chain, file)
    file = village.signed(file, *STAY)
    begun = [village.apply(each, file, f"home {i}") for i, each in enumerate(homes)]
    heads = set()
    for each in begun:
        genesis = load_genesis(each.genesis)
        load_config(each, genesis)
        chain = village.chain(each.chain, genesis)
        assert chain.height == 0
        assert chain.tree.root == chain.head.state_root
        heads.add((genesis.hash, chain.head.hash, chain.membership().hash()))
        chain.store.close()
    assert len(heads) == 1
    assert made.chain.exists(), "the old home is kept"


def test_the_new_chain_seals_blocks_and_a_light_client_follows_from_the_old_genesis(
    village, proposed
):
    made, file = proposed
    file = village.signed(file, *STAY)
    new = village.apply(made, file, "home 0")
    genesis = recovery.successor(village.genesis, file, NATIVES)
    assert genesis == load_genesis(new.genesis)
    chain = village.chain(new.chain, genesis)
    send(chain, home(0), "MoneyToken", "approve", home(2).address, 7)
    seal_ = chain.seal(1)
    header = Machine(genesis, NATIVES).first_header
    client = LightClient(TrustedBlock(header.hash, header, founders(genesis)))
    client._accept(chain.head, seal_)
    assert client.head.header.number == 1
    chain.store.close()
    again = village.chain(new.chain, genesis)
    assert again.height == 1
    again.store.close()


def test_who_is_behind_and_who_is_new_begin_with_a_survivors_backup(village):
    behind = village.settle(2)
    village.work(2)
    ahead = village.settle(0)
    file = village.propose(ahead, *GONE)
    backup = village.backup(ahead)
    with recovery.opened(behind, NATIVES) as chain:
        refuses("name the backup", recovery.check, chain, file)
    with recovery.opened(behind, NATIVES, backup) as chain:
        recovery.check(chain, file)
    file = village.signed(file, *STAY)
    newcomer = village.bare("late")
    with pytest.raises(RecoveryRefused, match="has no chain"), recovery.opened(newcomer, NATIVES):
        pass
    made = [
        village.apply(behind, file, "home 2", backup),
        village.apply(newcomer, file, "late", backup),
    ]
    roots = []
    for each in made:
        chain = village.chain(each.chain, load_genesis(each.genesis))
        roots.append(chain.tree.root)
        chain.store.close()
    assert roots == [file.state_root] * 2
    assert not [each for each in behind.path.iterdir() if each.name.startswith("recover-")]


def test_the_set_that_lost_its_quorum_may_be_younger_than_genesis(village):
    village.evict(5, voters=(0, 1, 2, 3))
    made = village.settle(0)
    file = village.signed(village.propose(made, 2, 3, 4, 5, new=(NEW, record("later"))), 0, 1)
    assert len(file.epochs) == 2
    genesis = load_genesis(village.apply(made, file, "home 0").genesis)
    assert genesis.recovered.epoch == 2


def test_a_recovered_chain_can_be_recovered(village, proposed):
    made, file = proposed
    once = village.apply(made, village.signed(file, *STAY), "home 0")
    genesis = load_genesis(once.genesis)
    chain = village.chain(once.chain, genesis)
    send(chain, home(0), "MoneyToken", "approve", home(2).address, 7)
    members = [m for m in genesis.members if m.name in ("home 0", "late")]
    members += [record("later"), record("last")]
    file = recovery.propose(chain, members).signed(ed25519("node 0")).signed(ed25519("late node"))
    chain.store.close()
    twice = village.apply(once, file, "home 0")
    assert load_genesis(twice.genesis).recovered.genesis_hash == genesis.hash


# Refusals.


def test_whoever_holds_a_newer_block_does_not_sign(village):
    file = village.propose(village.settle(0), *GONE)
    village.work(1)
    refuses("holds block 4", recovery.require_not_newer, village.settle(1), NATIVES, file)


def test_two_sealed_blocks_at_the_checkpoint_stop_everything(village, proposed):
    _, file = proposed
    other = Village(village.folder / "other")
    other.folder.mkdir()
    other.work(2)
    chain = other.chain()
    send(chain, home(1), "MoneyToken", "approve", home(0).address, 9)
    chain.store.close()
    refuses("two blocks are sealed", recovery.require_not_newer, other.settle(1), NATIVES, file)


def test_a_quorum_does_not_recover_unless_told_to(village):
    made = village.settle(0)
    refuses("are a quorum", village.propose, made, 4, 5)
    assert village.propose(made, 4, 5, despite_quorum=True).survivors


def test_too_few_survivors_cannot_go_on(village):
    """Two of six hold f + 1, but the other four are a quorum."""
    assert survivors_needed(6) == 3
    new = (NEW, record("later"))
    refuses("3 must go on", village.propose, village.settle(0), 2, *GONE, new=new)


@pytest.mark.parametrize("n", range(4, 60))
def test_survivors_have_a_correct_member_and_leave_no_quorum(n):
    f = (n - 1) // 3
    k = survivors_needed(n)
    assert k >= f + 1
    assert n - k < quorum(n)
    assert k == f + 1 or n - (k - 1) >= quorum(n), "no more than needed"
    assert k <= n


def test_nothing_is_recovered_of_a_chain_without_a_block(tmp_path):
    village = Village(tmp_path)
    village.chain().store.close()
    refuses("nothing was sealed", village.propose, village.settle(0), *GONE)


def test_every_survivor_signs_and_nobody_else(village, proposed):
    _, file = proposed
    with pytest.raises(InvalidProof, match="not signed by home 2"):
        verify_signatures(village.signed(file, 0, 1))
    with pytest.raises(InvalidProof, match="no survivor"):
        verify_signatures(village.signed(file, *STAY, 5))
    with pytest.raises(InvalidProof, match="no survivor"):
        verify_signatures(village.signed(file, *STAY).signed(ed25519("late node")))
    good = village.signed(file, *STAY)
    (key, signature), *others = good.signatures
    forged = replace(good, signatures=((key, signature[:-1] + bytes([signature[-1] ^ 1])), *others))
    with pytest.raises(InvalidProof, match="is wrong"):
        verify_signatures(forged)
    twice = replace(good, signatures=(good.signatures[0], *good.signatures))
    with pytest.raises(InvalidProof, match="distinct"):
        verify_signatures(twice)
    verify_signatures(good)


def test_a_signature_is_for_one_file(village, proposed):
    """Whatever is changed after the signatures makes another file."""
    _, file = proposed
    good = village.signed(file, *STAY)
    for changed in (
        replace(good, state_root=Digest(bytes(32))),
        replace(good, protocol_version=2),
        replace(good, members=(*good.members[:-1], record("other"))),
    ):
        with pytest.raises(InvalidProof, match="is wrong"):
            verify_signatures(changed)


def test_copies_are_signed_side_by_side(village, proposed):
    _, file = proposed
    one, other = village.signed(file, 0), village.signed(file, 1, 2)
    verify_signatures(one.merged(other))
    assert one.merged(other) == other.merged(one)
    with pytest.raises(DecodeError, match="copy"):
        one.merged(replace(other, protocol_version=2))


ZERO = Digest(bytes(32))
FORGERIES = {
    "unsealed": lambda f, _: {"header": replace(f.header, state_root=ZERO)},
    "thin seal": lambda f, _: {"seal": replace(f.seal, signatures=f.seal.signatures[1:])},
    "seal of another block": lambda _, chain: {"seal": chain.seal(2)},
    "seal of another view": lambda f, _: {"seal": replace(f.seal, view=f.seal.view + 1)},
    "stale with the new seal": lambda _, chain: {"header": chain.header(2)},
    "genesis": lambda _, chain: {"header": chain.header(0)},
    "no hand-over": lambda f, _: {"epochs": f.epochs * 2},
    "other chain": lambda *_: {"genesis_hash": bytes(32)},
    "unsorted": lambda f, _: {"members": tuple(reversed(f.members))},
    "member twice": lambda f, _: {"members": (f.members[0], *f.members)},
    "few": lambda f, _: {"members": f.members[:3]},
    "certificate": lambda f, _: {
        "members": (replace(f.members[0], certificate=f.members[1].certificate), *f.members[1:])
    },
    "endpoint taken": lambda f, _: {
        "members": (*f.members[:-1], replace(f.members[-1], endpoint=f.members[0].endpoint))
    },
}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("unsealed", "signature by member"),
        ("thin seal", "must have 4 signatures"),
        ("seal of another block", "signature by member"),
        ("seal of another view", "signature by member"),
        ("stale with the new seal", "signature by member"),
        ("genesis", "found the community anew"),
        ("no hand-over", "begins twice"),
        ("other chain", "is about the chain"),
        ("unsorted", "ascending"),
        ("member twice", "ascending"),
        ("few", "at least 4"),
        ("certificate", "certificate"),
        ("endpoint taken", "makes no genesis file"),
    ],
)
def test_a_proposal_that_does_not_hold_is_refused_by_name(village, proposed, what, words):
    made, file = proposed
    with recovery.opened(made, NATIVES) as chain:
        forged = replace(file, **FORGERIES[what](file, chain))
        with pytest.raises(InvalidProof, match=words):
            verify_proposal(forged, village.genesis, chain.machine.first_header)
        refuses(words, recovery.check, chain, forged)


def test_the_hand_overs_lead_from_block_0_to_the_set_that_follows_and_no_further(village):
    village.evict(5, voters=(0, 1, 2, 3))
    made = village.settle(0)
    file = village.propose(made, 3, 4, 5)
    with recovery.opened(made, NATIVES) as chain:
        first = chain.machine.first_header
        below = {"header": chain.header(chain.height - 1), "seal": chain.seal(chain.height - 1)}
    verify_proposal(file, village.genesis, first)
    for changes, words in (
        ({"epochs": file.epochs[1:]}, "does not begin with block 0"),
        ({"epochs": file.epochs[:1]}, "has not the set that follows"),
        (below, "has epochs above the checkpoint"),
    ):
        with pytest.raises(InvalidProof, match=words):
            verify_proposal(replace(file, **changes), village.genesis, first)


def test_a_genesis_file_that_this_program_cannot_run_is_named(village):
    made = village.bare("home 0")
    made.genesis.write_bytes(replace(village.genesis, contracts={"elsewhere": {}}).to_json())
    with pytest.raises(ConfigError, match="elsewhere"), recovery.opened(made, NATIVES):
        pass


def test_a_state_root_that_does_not_follow_is_refused(village, proposed):
    """Also where all survivors have signed it."""
    made, file = proposed
    file = village.signed(replace(file, state_root=Digest(b"\1" * 32)), *STAY)
    refuses("state_root must be", village.apply, made, file, "home 0")
    assert not (village.folder / "home-0-anew").exists()


def test_a_survivor_is_carried_over_as_it_is(village, proposed):
    made, file = proposed
    other = replace(file.members[0], wallet=b"\3" * 64)
    forged = replace(file, members=(other, *file.members[1:]))
    with recovery.opened(made, NATIVES) as chain:
        refuses("as in the state", recovery.check, chain, forged)


def test_an_older_block_with_its_own_seal_is_stale(village, proposed):
    """It is certified, but each survivor that has signed sees that it holds a newer one."""
    made, file = proposed
    with recovery.opened(made, NATIVES) as chain:
        stale = replace(file, header=chain.header(2), seal=chain.seal(2))
        verify_proposal(stale, village.genesis, chain.machine.first_header)
        refuses("the checkpoint is block 2", recovery.check, chain, stale)
    refuses("holds block 3", recovery.require_not_newer, made, NATIVES, stale)


def test_tampered_state_is_not_carried_over(village, proposed):
    made, file = proposed
    with recovery.opened(made, NATIVES) as chain:
        row = next(iter(chain.store._db.iterator(prefix=b"s")))
        chain.store._db.put(row[0], row[1][:-1] + bytes([row[1][-1] ^ 1]))
        signed = village.signed(file, *STAY)
        new = village.folder / "new"
        config = village.config("home 0")
        with pytest.raises((StorageError, RecoveryRefused)):
            recovery.apply(chain, signed, new, NATIVES, home=made, config=config)
        assert not new.exists()


def test_an_unsigned_file_makes_no_home_and_nothing_is_overwritten(village, proposed):
    made, file = proposed
    refuses("not signed by", village.apply, made, file, "home 0")
    file = village.signed(file, *STAY)
    village.apply(made, file, "home 0")
    refuses("is there already", village.apply, made, file, "home 0")
    made.path.rename(village.folder / "moved")
    refuses("not among the members", village.apply, Home(village.folder / "moved"), file, "home 5")


def test_what_a_crash_left_half_done_is_done_again(village, proposed):
    made, file = proposed
    (village.folder / "home-0-anew.part" / "data").mkdir(parents=True)
    (village.folder / "home-0-anew.part" / "genesis.json").write_text("half")
    village.apply(made, village.signed(file, *STAY), "home 0")


def test_who_has_signed_seals_no_more_on_the_old_chain(village, proposed):
    made, file = proposed
    refuses("not among the survivors", recovery.sign, made, file, ed25519("node 4"))
    assert not made.departure.exists()
    signed = recovery.sign(made, file, ed25519("node 0"))
    assert signed.signers == (ed25519("node 0").public,)
    with pytest.raises(ConfigError, match="another chain follows"):
        open_node(made.path, NATIVES, lambda _: None, "pw")


def test_nobody_signs_two_chains_that_follow(village, proposed):
    made, file = proposed
    key = ed25519("node 0")
    first = recovery.sign(made, file, key)
    assert recovery.sign(made, first, key) == first, "the same again"
    other = village.propose(made, *GONE, new=(record("other"),))
    refuses("signed another recovery", recovery.sign, made, other, key)
    made.departure.unlink()
    assert recovery.sign(made, other, key).signers == (key.public,)


def test_an_empty_store_cannot_begin_a_recovered_chain(village, proposed):
    made, file = proposed
    genesis = load_genesis(village.apply(made, village.signed(file, *STAY), "home 0").genesis)
    with pytest.raises(StorageError, match="recover apply"):
        village.chain(village.folder / "empty", genesis)


def test_whoever_joins_later_begins_with_a_members_state(village, proposed):
    made, file = proposed
    new = village.apply(made, village.signed(file, *STAY), "home 0")
    genesis = load_genesis(new.genesis)
    chain = village.chain(new.chain, genesis)
    send(chain, home(0), "MoneyToken", "approve", home(2).address, 7)
    head = chain.head
    chain.store.close()
    other = Home(village.folder / "joins")
    other.path.mkdir()
    other.genesis.write_bytes(genesis.to_json())
    assert recovery.seed(other, village.backup(new), NATIVES) == 1
    chain = village.chain(other.chain, genesis)
    assert chain.head == head
    assert chain.tree.root == head.state_root
    chain.store.close()
    log = VoteLogFile(other.votes)
    assert log.is_unproven
    log.close()
    refuses("is there already", recovery.seed, other, village.backup(new), NATIVES)


def test_a_backup_of_another_block_or_chain_is_of_no_use(village, proposed):
    made, _ = proposed
    stale = village.backup(made)
    village.work(1)
    newer = village.propose(village.settle(1), *GONE)
    with recovery.opened(made, NATIVES, stale) as chain:
        refuses("name the backup", recovery.check, chain, newer)
    other = Home(village.folder / "other")
    other.path.mkdir()
    other.genesis.write_bytes(replace(village.genesis, name="elsewhere").to_json())
    with (
        pytest.raises(StorageError, match="another chain"),
        recovery.opened(other, NATIVES, stale),
    ):
        pass


def test_a_block_that_was_voted_for_and_not_sealed_is_named(village):
    """Members who are gone may have sealed it: the operator is told, and looks for their disks."""
    made = village.bare("home 0")
    assert recovery.voted_above(made, 0) is None
    made.votes.parent.mkdir()
    records = records_of(height=4)
    made.votes.write_bytes(encode_frame(records, 0))
    digest = records[2].certificate.digest
    assert recovery.voted_above(made, 3) == (4, digest)
    assert recovery.voted_above(made, 4) is None
    assert recovery.voted_above(made, 3) == (4, digest), "reading leaves the log as it is"


def test_the_head_that_is_shown_is_verified(village, proposed):
    made, _ = proposed
    with recovery.opened(made, NATIVES) as chain:
        recovery.verify_head(chain)
        chain.store.seal = lambda _: make_seal(chain, Digest(bytes(32)))
        refuses("does not hold", recovery.verify_head, chain)


# The file's form.


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    village = Village(tmp_path_factory.mktemp("village"))
    village.work()
    return village.signed(village.propose(village.settle(0), *GONE), *STAY).to_json()


def test_the_file_round_trips(document):
    assert RecoveryFile.from_json(document).to_json() == document


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_what_is_accepted_encodes_to_the_same_bytes(document, data):
    value = json.loads(document)
    key = data.draw(st.sampled_from(sorted(value)))
    junk = data.draw(
        st.sampled_from([None, True, 1.5, -1, 0, 2, "", "0x", "0xzz", [], {}, [[]], [{}], 2**64])
    )
    place = value
    if isinstance(value[key], list) and value[key] and data.draw(st.booleans()):
        place, key = value[key], data.draw(st.integers(0, len(value[key]) - 1))
        if isinstance(place[key], dict) and data.draw(st.booleans()):
            place, key = place[key], data.draw(st.sampled_from(sorted(place[key])))
    place[key] = junk
    again = (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
    try:
        file = RecoveryFile.from_json(again)
    except DecodeError:
        return
    assert file.to_json() == again


@given(st.binary(max_size=200))
def test_garbage_is_refused(data):
    with pytest.raises(DecodeError):
        RecoveryFile.from_json(data)


def test_two_forms_of_a_file_are_not_accepted(document):
    for other in (
        document + b" ",
        document.replace(b'"version": 1', b'"version": 1, "version": 1'),
        document.replace(b"0x", b"0X", 1),
    ):
        with pytest.raises(DecodeError):
            RecoveryFile.from_json(other)


def test_a_file_has_a_bound(document):
    with pytest.raises(DecodeError, match="at most"):
        RecoveryFile.from_json(document + b" " * (16 << 20))


def test_own_key_is_the_one_that_the_file_names(village):
    made = village.bare("home 0")
    first = keys_file(made)
    refuses("does not name", recovery.own_key, made, "pw", [ed25519("node 0").public])
    made.keys.rename(made.node_key)
    second = keys_file(made)
    for key in (first, second):
        found = recovery.own_key(made, "pw", [key.public])
        assert found.public == key.public, "rotated, or the first"
