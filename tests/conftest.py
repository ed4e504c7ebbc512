import os
import sys

from hypothesis import HealthCheck, settings

settings.register_profile("dev", max_examples=100, stateful_step_count=40, deadline=None)
settings.register_profile("ci", max_examples=60, stateful_step_count=30, deadline=None)
settings.register_profile(
    "nightly",
    max_examples=5000,
    stateful_step_count=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.getenv("HYPOTHESIS_PROFILE", "ci" if os.getenv("CI") else "dev"))

RECURSION_MAX = 10_240
"""What py-evm asks for. py_ecc, which eth-account and web3.py import, raises the limit to 100,000;
there nested JSON overflows the C stack before Python refuses it, and the process is killed."""


def pytest_runtest_setup() -> None:
    sys.setrecursionlimit(min(sys.getrecursionlimit(), RECURSION_MAX))
