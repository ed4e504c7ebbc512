"""node.toml: strict, with errors that name the setting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import Address, NodeConfig, load, parse, parse_address, render
from node.errors import ConfigError

GOOD = NodeConfig(
    name="house-1",
    p2p_listen=Address("127.0.0.1", 26600),
    rpc_listen=Address("::1", 8545),
    peers={"house 2": Address("10.0.0.2", 1)},
    log_level="debug",
    testnet=True,
)
NAMES = st.text(st.characters(blacklist_categories=["C"]), min_size=1, max_size=64).filter(
    str.isprintable
)
ADDRESSES = st.builds(
    Address, st.sampled_from(["127.0.0.1", "::1", "host.example"]), st.integers(1, 65535)
)


@given(
    st.builds(
        NodeConfig,
        name=NAMES,
        p2p_listen=ADDRESSES,
        rpc_listen=ADDRESSES,
        peers=st.dictionaries(NAMES, ADDRESSES, max_size=4),
        log_level=st.sampled_from(["info", "error"]),
        testnet=st.booleans(),
        history_blocks=st.integers(0, 65_536),
        vm_tier=st.sampled_from((1, 2)),
    )
)
def test_what_is_written_reads_back(config):
    assert parse(render(config).encode()) == config


def test_a_file_is_read(tmp_path):
    path = tmp_path / "node.toml"
    path.write_text(render(GOOD))
    assert load(path) == GOOD


@pytest.mark.parametrize(
    ("old", "new", "field", "text"),
    [
        ("log_level", "log_levle", "node.log_levle", "did you mean 'log_level'"),
        ("[rpc]", "[rcp]", "rcp", "did you mean 'rpc'"),
        ("listen =", "lisen =", "p2p.lisen", "did you mean 'listen'"),
        ("testnet = true", "testnet = 1", "node.testnet", "must be bool, got int"),
        ('name = "house-1"', "", "node.name", "is missing"),
        ('"debug"', '"loud"', "node.log_level", "must be one of"),
        (":26600", ":0", "p2p.listen", "port in 1..65535"),
        ("127.0.0.1:26600", "::1:26600", "p2p.listen", "in brackets"),
        ("10.0.0.2:1", "10.0.0.2", "p2p.peers.house 2", "host:port"),
        ("history_blocks = 256", "history_blocks = -1", "state.history_blocks", "0..65536"),
        ("history_blocks = 256", "history_blocks = 65537", "state.history_blocks", "0..65536"),
        ("tier = 2", "tier = 3", "vm.tier", "one of 1, 2"),
        ("history_blocks", "history", "state.history", "did you mean 'history_blocks'"),
        ("[node]", "[node", "node.toml", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_named(old, new, field, text):
    with pytest.raises(ConfigError, match=text) as caught:
        parse(render(GOOD).replace(old, new, 1).encode())
    assert caught.value.field == field


def test_a_file_that_is_too_large_or_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="at most"):
        parse(b"#" * 70_000)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "node.toml")


@pytest.mark.parametrize("text", ["[[h]]:1", "[[::1]]:1", "[h:1", "h]:1", "[]h:1", "[[]:1"])
def test_brackets_inside_an_address_are_refused(text):
    """Found by the decoder fuzzer: of two pairs one was taken off at each reading."""
    with pytest.raises(ConfigError):
        parse_address(text, "x")


@given(st.text(max_size=30) | st.text("[]:1h", max_size=9))
def test_any_text_is_an_address_or_an_error(text):
    try:
        address = parse_address(text, "x")
    except ConfigError:
        return
    assert parse_address(str(address), "x") == address
