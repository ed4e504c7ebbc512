import pytest

from tests.cli.street import Client, Street


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """One for each file of tests, with the deposits of the bank file minted."""
    street = Street(tmp_path_factory.mktemp("street"))
    street.pay_in()
    yield street
    street.store.close()


@pytest.fixture
def here(street, monkeypatch):
    """Commands run in the folder of the street's testnet, against its node and its clock."""
    monkeypatch.chdir(street.layout.home.parents[2])
    for name in ("HEARTH_HOME", "HEARTH_TESTNET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        "node.rpc.client.RpcClient", lambda url, token=None: Client(street, url, token)
    )
    monkeypatch.setattr("cli.market._now_ms", lambda: street.now)
    monkeypatch.setattr(street, "is_reachable", True)
    return street
