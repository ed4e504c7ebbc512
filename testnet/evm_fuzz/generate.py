"""From a seed to a case: a handful of contracts with random programs, and one transaction."""

import random

from crypto import rlp
from crypto.hashing import keccak256
from testnet.evm_fuzz.case import Account, Block, Case
from testnet.evm_fuzz.pool import (
    COINBASE,
    CONTRACTS,
    NOBODY,
    PRECOMPILES,
    SENDER,
    SLOTS,
    STRANGER,
    Pool,
)
from testnet.evm_fuzz.programs import ProgramMaker

_FRAGMENTS_MAX = 80


def generate(seed: int) -> Case:
    """Return the case of a seed; the same on every machine."""
    rng = random.Random(f"evm fuzz {seed}")
    pool = Pool(rng)
    accounts = {
        # Not nonce 0: pyrevm does not count it up, and a sender without balance would be empty.
        SENDER: Account(nonce=rng.choice((1, 2, 7)), balance=10**18),
        STRANGER: Account(balance=rng.choice((1, 10**15))),
    }
    for address in CONTRACTS:
        accounts[address] = _contract(rng, pool)
    _squat(rng, accounts)
    to, data = _target(rng, pool)
    return Case(
        seed=seed,
        accounts=accounts,
        block=Block(
            number=rng.choice((0, 1, 255, 256, 300)),
            time_s=rng.randrange(2**32),
            coinbase=COINBASE,
            prev_randao=rng.randbytes(32),
        ),
        sender=SENDER,
        to=to,
        value=rng.choice((0, 0, 0, 1, 1000, 10**18, 10**18 + 1 if rng.random() < 0.1 else 2)),
        data=data,
        gas_limit=_gas_limit(rng, to, data),
        access_list=_access_list(rng, pool),
    )


def _contract(rng: random.Random, pool: Pool) -> Account:
    kind = rng.random()
    if kind < 0.04:
        code = rng.randbytes(rng.randrange(1, 60))
    else:
        code = ProgramMaker(rng).program(int(rng.triangular(1, _FRAGMENTS_MAX, 20)))
        if kind < 0.1:
            code = _mutated(rng, code)
    nonce = rng.choice((2**64 - 1, 2**64 - 2)) if rng.random() < 0.01 else rng.choice((0, 1, 1, 5))
    storage = {slot: pool.stored() for slot in SLOTS if rng.random() < 0.4}
    return Account(
        nonce=nonce,
        balance=rng.choice((0, 1, 5, 10**6)),
        code=code or b"\0",
        storage={slot: value for slot, value in storage.items() if value},
    )


def _mutated(rng: random.Random, code: bytes) -> bytes:
    changed = bytearray(code)
    for _ in range(rng.randint(1, 3)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _squat(rng: random.Random, accounts: dict[bytes, Account]) -> None:
    """Let somebody sit where the first contract will create one, at times (EIP-684)."""
    if rng.random() > 0.04:
        return
    creator = rng.choice((CONTRACTS[0], SENDER))
    address = keccak256(rlp.encode([creator, rlp.encode_int(accounts[creator].nonce)]))[12:]
    accounts[address] = rng.choice(
        (Account(nonce=1), Account(balance=3), Account(nonce=1, code=b"\x5b\0"))
    )


def _target(rng: random.Random, pool: Pool) -> tuple[bytes | None, bytes]:
    """Return (to, data)."""
    kind = rng.random()
    if kind < 0.12:
        return None, ProgramMaker(rng).init_code(rng.randrange(20))
    if rng.random() < 0.6:
        data = b"".join(pool.word().to_bytes(32, "big") for _ in range(4))
    else:
        data = pool.small_bytes(100)
    if kind < 0.16:
        return rng.choice((*PRECOMPILES, STRANGER, NOBODY, COINBASE, SENDER)), data
    return CONTRACTS[0], data


def _gas_limit(rng: random.Random, to: bytes | None, data: bytes) -> int:
    kind = rng.random()
    if kind < 0.08:  # About what it costs to begin, creation and data included.
        base = 21_000 + (32_000 + 2 * (len(data) + 31) // 32 if to is None else 0) + 16 * len(data)
        return base + rng.randrange(-100, 6_000)
    if kind < 0.14:
        return rng.randrange(60_000, 120_000)
    return rng.randrange(200_000, 1_000_000)


def _access_list(rng: random.Random, pool: Pool) -> tuple[tuple[bytes, tuple[int, ...]], ...]:
    if rng.random() < 0.7:
        return ()
    return tuple(
        (pool.address(), tuple(pool.slot() for _ in range(rng.randrange(4))))
        for _ in range(rng.randrange(1, 4))
    )
