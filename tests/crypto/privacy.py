"""What the tests of the proofs share: a seeded source of randomness, openings, rings."""

from hashlib import blake2b

from crypto import curve
from crypto.clsag import ClsagStatement, ClsagWitness
from crypto.pedersen import MONEY, Opening, commit
from crypto.stealth import key_image


class SeededRng:
    """Returns the bytes that follow from its seed: both backends then make the same proofs."""

    def __init__(self, seed=b""):
        self.seed = seed
        self.calls = 0

    def __call__(self, count):
        self.calls += 1
        out = b""
        while len(out) < count:
            out += blake2b(self.seed + bytes((self.calls, len(out) // 64)), digest_size=64).digest()
        return out[:count]


def scalar(name):
    """A scalar that follows from a name; the same in every run."""
    return curve.reduce64(blake2b(name.encode(), digest_size=64).digest())


def opening(name, amount):
    return Opening(mask=scalar(f"mask of {name}"), amount=amount)


def clsag_case(size, index, *, amount=1000, asset=MONEY, message=b"\x07" * 32):
    """A ring of `size` whose member `index` is spent: its statement and witness."""
    secrets = [scalar(f"key {i}") for i in range(size)]
    openings = [opening(f"member {i}", amount + (i - index)) for i in range(size)]
    keys = [curve.base_mul(secret) for secret in secrets]
    ring = curve.prepare_ring(b"".join(keys), b"".join(commit(o, asset) for o in openings))
    pseudo = opening("pseudo-output", amount)
    statement = ClsagStatement(
        ring=ring,
        pseudo_out=commit(pseudo, asset),
        key_image=key_image(secrets[index], keys[index]),
        message=message,
    )
    witness = ClsagWitness(
        index=index,
        secret=secrets[index],
        mask_difference=curve.sc_sub(openings[index].mask, pseudo.mask),
    )
    return statement, witness


def flip(data, bit):
    """The bytes with one bit, counted modulo their length, turned over."""
    bit %= 8 * len(data)
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)
