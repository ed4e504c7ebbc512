"""The same loop and token transfer in other EVMs, in the same run; each where it is installed."""

from collections.abc import Callable
from typing import Any

from testnet.bench import evm_programs
from testnet.bench.timing import median_seconds
from testnet.launcher import Say

TRANSFERS = 200
_LOOP_ROUNDS = {"py_evm": 1_000, "pyrevm": 100_000}
"""So that each takes a part of a second."""


def measure(say: Say) -> dict[str, dict[str, Any] | None]:
    """Return the figures of each peer; None for one that is not installed."""
    figures: dict[str, dict[str, Any] | None] = {}
    for name, bench in (("py_evm", _py_evm), ("pyrevm", _revm)):
        try:
            figures[name] = bench(_LOOP_ROUNDS[name])
        except ImportError as error:
            say(f"{name} is not there: {error}")
            figures[name] = None
    return figures


def _figures(loop: Callable[[], int], transfer: Callable[[], object]) -> dict[str, Any]:
    used = loop()
    transfer()
    return {
        "loop_mgas_per_s": round(used / median_seconds(loop) / 1e6, 1),
        "vyper_transfer_us": round(median_seconds(transfer) / TRANSFERS * 1e6, 1),
    }


def _py_evm(rounds: int) -> dict[str, Any]:
    from testnet.evm_fuzz import pyevm  # noqa: PLC0415  # It may not be installed.

    loop_case, transfer_case = evm_programs.loop_case(rounds), evm_programs.transfer_case()
    state = pyevm.open_state(transfer_case)

    def transfers() -> None:
        for _ in range(TRANSFERS):
            computation = pyevm.execute(state, transfer_case)
            assert computation.is_success, "the transfer is covered"

    return _figures(lambda: pyevm.run(loop_case).gas_used, transfers)


def _revm(rounds: int) -> dict[str, Any]:
    from testnet.evm_fuzz import revm  # noqa: PLC0415  # It may not be installed.

    loop_case, transfer_case = evm_programs.loop_case(rounds), evm_programs.transfer_case()
    evm = revm.open_evm(transfer_case)

    def transfers() -> None:
        for _ in range(TRANSFERS):
            revm.execute(evm, transfer_case)

    return _figures(lambda: revm.run(loop_case).gas_used, transfers)
