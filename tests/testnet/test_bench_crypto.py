"""`hearth bench crypto` over rings and batches so small that nothing is measured but its form."""

import pytest

from crypto import curve
from testnet.bench import crypto

FIGURES = {
    "clsag16_verify_ms",
    "clsag16_verify_many_ms",
    "clsag16_sign_ms",
    "bpp2_prove_ms",
    "bpp2_verify_ms",
    "bpp2_verify_batch100_ms",
    "private_tx_block100_ms",
    "scan1000_ms",
    "ed25519_verify_ms",
}


@pytest.fixture
def figures(monkeypatch):
    small = {"RING": 2, "BATCH": 2, "DISTINCT": 2, "SCANNED": 2, "RUNS": 1, "RUN_S": 0.0}
    for name, value in small.items():
        monkeypatch.setattr(crypto, name, value)
    before = curve.BACKEND
    said = []
    yield crypto.run(said.append)
    assert before == curve.BACKEND
    assert len(said) == 2


def test_every_installed_backend_is_measured(figures):
    for backend in crypto.BACKENDS:
        if curve.is_available(backend):
            assert figures[backend].keys() == FIGURES
            assert all(value > 0 for value in figures[backend].values())
        else:
            assert figures[backend] is None


def test_what_must_hold_is_said_of_native_only(figures):
    assert figures["must_ms"].keys() < FIGURES
    has_native = figures["native"] is not None
    assert ("must_holds" in figures) == ("monero_cpp_times" in figures) == has_native


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize(("must_ms", "holds"), [(0.0, False), (1e9, True)])
def test_a_missed_figure_is_said(monkeypatch, must_ms, holds):
    monkeypatch.setattr(crypto, "MUST_MS", {"clsag16_verify_ms": must_ms})
    expected = holds if curve.is_available("native") else None
    assert crypto.run(lambda _: None).get("must_holds") is expected
