"""No call of any method, whatever its arguments, raises anything but a Revert: that would halt."""

import random
from functools import cache

import pytest

from crypto import abi
from market.abi import ADDRESSES, FUNCTIONS, ZERO_ADDRESS
from tests.market.contracts.chain import EXTERNAL, OPERATOR, Chain, home, meter

W = 3
KEY = b"\7" * 32


@cache
def stages() -> list[Chain]:
    """The same window in every phase: offers, agreements, attested, closed, settled, deleted."""
    chain, seen = Chain(), []
    seen.append(chain.copy())
    chain.fund_all()
    chain.negotiate(W)
    for i in range(3):
        chain.send(home(i), "Market", "enrol", W)
        chain.send(home(i), "Market", "makeOffer", W, 0, 500, KEY, b"x")
        chain.send(home(i), "Market", "makeCall", W, 500, KEY)
    chain.send(home(0), "Membership", "proposeEviction", home(3).address)
    chain.send(home(0), "Ramp", "requestWithdrawal", 5, KEY)
    seen.append(chain.copy())
    chain.record(W)
    agreement = chain.allow(W, 1, home(0), home(1), 100, 20_000)
    chain.allow(W, 2, home(1), home(2), 100, 20_000)
    seen.append(chain.copy())
    chain.send(home(1), "Market", "confirm", agreement)
    chain.deliver(W)
    for i in range(2):
        chain.attest(i, W, 100 * (1 - i), 100 * i)
    seen.append(chain.copy())
    chain.send(home(0), "Market", "close", W, 0, 0, 0, 0)
    chain.advance(chain.start(W + 4))
    seen.append(chain.copy())
    chain.advance(chain.start(W + 4 + 150))
    seen.append(chain.copy())
    return seen


ACCOUNTS = [home(0), home(1), home(3), meter(0), OPERATOR, EXTERNAL]


def value(rng: random.Random, kind: str) -> object:
    if kind.startswith("uint"):
        most = 2 ** int(kind[4:]) - 1
        few = [0, 1, 2, 3, 4, 100, 500, 20_000, 2**14 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
        return min(most, rng.choice([*few, most, rng.getrandbits(256)]))
    match kind:
        case "bool":
            return rng.random() < 0.5
        case "address":
            known = [account.address for account in ACCOUNTS]
            return rng.choice([*known, ZERO_ADDRESS, b"\xff" * 20, *ADDRESSES.values()])
        case "bytes32":
            return rng.choice([bytes(32), KEY, b"\xff" * 32])
        case "string":
            return rng.choice(["", "h:1", "\0", "ü" * 200, "x" * 5_000])
        case _:
            assert kind == "bytes", kind
            return rng.choice(
                [b"", rng.randbytes(64), rng.randbytes(65), b"\xff" * 65, bytes(9_000)]
            )


@pytest.mark.parametrize("contract", sorted(FUNCTIONS))
def test_every_call_ends_in_a_result_or_a_revert(contract: str) -> None:
    rng = random.Random(contract)
    outcomes = {0: 0, 1: 0}
    for chain in stages():
        for spec in FUNCTIONS[contract].values():
            for _ in range(150):
                arguments = [value(rng, kind) for kind in spec.input_types]
                result = chain.machine.call(
                    chain.head,
                    chain.state,
                    sender=rng.choice(ACCOUNTS).address,
                    to=ADDRESSES[contract],
                    data=abi.selector(spec.signature) + abi.encode(spec.input_types, arguments),
                    gas=rng.choice([10**7, rng.randint(0, 200_000)]),
                    time_ms=chain.now,
                )
                outcomes[result.status] += 1
    assert min(outcomes.values()) > 50, outcomes
