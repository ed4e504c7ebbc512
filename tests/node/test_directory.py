"""Who the members are, as network, RPC and log see them, on a chain whose set changes."""

from dataclasses import replace

import pytest

from node.chain import Chain
from node.community import endpoints, read_community
from node.directory import Directory
from node.p2p.identity import make_certificate
from node.storage.block_store import ChainStore
from tests.node.cluster import make_genesis, make_member, node_key
from vm.machine import Machine


@pytest.fixture
def chain(tmp_path):
    genesis = make_genesis(
        members=tuple(make_member(i, certificate=make_certificate(node_key(i))) for i in range(4))
    )
    store = ChainStore(tmp_path / "chain", genesis.hash)
    yield Chain(Machine(genesis, ()), store, now_ms=lambda: genesis.time_ms + 1)
    store.close()


def test_a_chain_without_governance_keeps_its_founders(chain):
    community = read_community(chain)
    assert {node.node_key for node in community.nodes} == set(chain.membership().members)
    assert community.changes == ()


def test_names_are_in_the_order_of_the_indexes(chain):
    directory = Directory(chain, name="house-2", node_key=node_key(2).public)
    by_key = {member.node_key: member.name for member in chain.genesis.members}
    assert directory.names == tuple(by_key[key] for key in chain.membership().members)
    assert directory.me == chain.membership().index_of(node_key(2).public)
    assert directory.names[directory.me] == "house-2"


def test_a_node_that_is_no_member_has_no_index(chain):
    assert Directory(chain, name="x", node_key=node_key(9).public).me is None


def test_a_key_that_is_known_no_more_gets_a_name_of_its_own(chain, monkeypatch):
    directory = Directory(chain, name="x", node_key=node_key(9).public)
    monkeypatch.setattr(type(directory.community), "names", lambda _: {})
    assert all(name.startswith("former member ") for name in directory.names)


def test_what_a_stranger_wrote_badly_costs_it_its_link_alone(chain):
    """An endpoint or certificate that cannot be used must not stop the nodes of the others."""
    good, no_port, no_certificate, other = read_community(chain).nodes
    found = endpoints(
        [
            good,
            replace(no_port, endpoint="nowhere"),
            replace(no_certificate, certificate=b"\x30\x00"),
            replace(other, name="n" * 300),
        ],
        {},
    )
    assert {each.node_key for each in found} == {good.node_key, other.node_key}


def test_the_set_of_each_height_is_known(chain):
    assert chain.membership_at(1) == chain.membership()
    for height in (0, 2):
        with pytest.raises(ValueError, match="height"):
            chain.membership_at(height)
    assert chain.base_digest() == chain.store.digest(0)
