"""The genesis file: strict, hashed, and the root of the chain id."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vm.chain import MEMBERS, START_MS, WINDOW_MS, genesis
from vm.errors import GenesisError
from vm.genesis import CHAIN_ID_LIMIT, GENESIS_BYTES_MAX, Genesis


def test_the_file_round_trips():
    made = genesis(contracts={"Toy": {"supply": 5, "label": "née"}, "Other": {}})
    again = Genesis.from_json(made.to_json())
    assert again == made
    assert again.hash == made.hash
    assert again.to_json() == made.to_json()


@given(st.integers(1, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_the_chain_id_follows_from_the_hash(time_ms, quota):
    one, other = genesis(time_ms=time_ms, quota_gas=quota), genesis(time_ms=time_ms, name="x")
    assert 0 < one.chain_id < CHAIN_ID_LIMIT
    assert one.hash != other.hash
    assert one.chain_id != other.chain_id


def test_the_hash_does_not_see_white_space_or_order():
    made = genesis()
    data = json.loads(made.to_json())
    shuffled = json.dumps(dict(reversed(data.items()))).encode()
    assert Genesis.from_json(shuffled).hash == made.hash


def paths(value, prefix=()):
    """Every place in a JSON document."""
    yield prefix
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*prefix, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*prefix, index))


DOCUMENT = json.loads(genesis().to_json())
PLACES = [path for path in paths(DOCUMENT) if path]


@given(
    st.sampled_from(PLACES),
    st.sampled_from([None, True, 1.5, -1, 0, "", "0x", "zz", [], {}, 2**64, "\x00", {"a": 1}]),
)
def test_what_is_accepted_reads_back_the_same(path, junk):
    document = json.loads(json.dumps(DOCUMENT))
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = junk
    try:
        made = Genesis.from_json(json.dumps(document).encode())
    except GenesisError:
        return
    assert json.loads(made.to_json()) == document


def test_every_field_is_in_the_hash():
    """Changing any leaf of the file to another valid value changes the hash."""
    seen = {genesis().hash}
    for path in PLACES:
        document = json.loads(json.dumps(DOCUMENT))
        place = document
        for step in path[:-1]:
            place = place[step]
        value = place[path[-1]]
        if isinstance(value, dict | list):
            continue
        place[path[-1]] = another(value)
        seen.add(Genesis.from_json(json.dumps(document).encode()).hash)
    leaves = sum(1 for path in PLACES if isinstance(_at(path), int | str))
    assert len(seen) == 1 + leaves


def another(value):
    if isinstance(value, int):
        return value + 1
    if value.startswith("0x"):
        return "0x" + "ab" * 20
    if ":" in value:
        return value[:-1] + "9"
    return value[:-1] + ("e" if value[-1] != "e" else "d")


def _at(path):
    place = DOCUMENT
    for step in path:
        place = place[step]
    return place


def edited(edit):
    document = json.loads(json.dumps(DOCUMENT))
    edit(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (bytes(GENESIS_BYTES_MAX + 1), "genesis"),
        (b"\xff", "genesis"),
        (b"[1", "genesis"),
        (b"[" * 100_000, "genesis"),
        (b"[]", "genesis"),
        (b'{"a": 1, "a": 2}', "a"),
        (b'{"a": 1e3}', "genesis"),
        (b'{"a": NaN}', "genesis"),
        (edited(lambda d: d.pop("name")), "genesis.name"),
        (edited(lambda d: d.update(extra=1)), "genesis.extra"),
        (edited(lambda d: d.update(window_ms=True)), "window_ms"),
        (edited(lambda d: d.update(record_ms=WINDOW_MS + 1)), "record_ms"),
        (edited(lambda d: d.update(time_ms=0)), "time_ms"),
        (edited(lambda d: d.update(block_gas_limit=1)), "block_gas_limit"),
        (edited(lambda d: d.update(block_gas_limit=64_000_001)), "block_gas_limit"),
        (edited(lambda d: d.update(protocol_version=0)), "protocol_version"),
        (edited(lambda d: d["members"].pop()), "members"),
        (edited(lambda d: d["members"][0].pop("wallet")), "member.wallet"),
        (edited(lambda d: d["members"][0].update(node_key="AB" * 32)), "member.node_key"),
        (edited(lambda d: d["members"][0].update(node_key="ab" * 31)), "member.node_key"),
        (edited(lambda d: d["members"][0].update(account="0x12")), "member.account"),
        (edited(lambda d: d["members"][0].update(endpoint="house:0")), "member.endpoint"),
        (edited(lambda d: d["members"][0].update(endpoint=":80")), "member.endpoint"),
        (edited(lambda d: d["members"][0].update(endpoint="h:+80")), "member.endpoint"),
        (edited(lambda d: d["members"][0]["meter"].update(x=1)), "member.meter.x"),
        (edited(lambda d: d["services"][0].update(name="")), "services.name"),
        (edited(lambda d: d["contracts"].update(Toy=[])), "contracts.Toy"),
        (edited(lambda d: d["contracts"]["Toy"].update(supply=None)), "contracts.Toy.supply"),
        (edited(lambda d: d["contracts"]["Toy"].update(supply=2**63)), "contracts.Toy.supply"),
    ],
)
def test_refusals_name_the_field(data, field):
    with pytest.raises(GenesisError) as caught:
        Genesis.from_json(data)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("name", "members.name"),
        ("node_key", "node_key"),
        ("ring_key", "ring_key"),
        ("wallet", "wallet"),
        ("endpoint", "endpoint"),
        ("account", "account"),
    ],
)
def test_members_share_nothing(key, name):
    def copy(document):
        document["members"][1][key] = document["members"][0][key]

    with pytest.raises(GenesisError, match=f"^{name}: must be distinct"):
        Genesis.from_json(edited(copy))


def test_an_account_serves_one_purpose():
    with pytest.raises(GenesisError, match="account: must be distinct"):
        genesis(services=(("operator", MEMBERS[0].address),))


def test_windows_are_counted_from_genesis():
    made = genesis()
    assert made.window_at(START_MS) == 0
    assert made.window_at(START_MS + WINDOW_MS - 1) == 0
    assert made.window_at(START_MS + WINDOW_MS) == 1
