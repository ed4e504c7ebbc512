"""Makes valid private transactions of any shape, in Monero's form, for benchmarks and tests."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from crypto import bulletproofs_plus, clsag, curve
from crypto.clsag import ClsagStatement, ClsagWitness
from crypto.curve import Ring
from crypto.monero_transaction import (
    RangeProofFields,
    RingSignatureFields,
    Transaction,
    TransactionInput,
    TransactionOutput,
)
from crypto.pedersen import Opening, commit
from crypto.range_proof import RangeProof, RangeStatement
from crypto.stealth import Address, key_image, make_output
from crypto.transcript import Rng

FEE = 300
AMOUNT = 1_000_000
_TX_KEY_TAG = b"\x01"
"""What stands before R in a transaction's free text."""


@final
@dataclass(frozen=True, slots=True)
class Bin:
    """A ring of which all secrets are known: one-time secrets and openings of all members."""

    ring: Ring
    secrets: tuple[bytes, ...]
    openings: tuple[Opening, ...]


def make_bin(rng: Rng, size: int = 16) -> Bin:
    """Return a ring of `size` outputs of `AMOUNT` each."""
    secrets = tuple(scalar(rng) for _ in range(size))
    openings = tuple(Opening(mask=scalar(rng), amount=AMOUNT) for _ in range(size))
    keys = b"".join(map(curve.base_mul, secrets))
    ring = curve.prepare_ring(keys, b"".join(map(commit, openings)))
    return Bin(ring, secrets, openings)


def make_transaction(
    rng: Rng,
    bins: Sequence[Bin],
    outputs: int = 2,
    *,
    change: Callable[[Transaction], Transaction] = lambda unsigned: unsigned,
) -> Transaction:
    """Return a transaction that spends one output of each bin and hides which.

    The inputs are ordered by their key images; `rings_of` says in which order the bins serve.
    `change` is made before the signatures, which then hold for what it returns, however wrong.
    """
    spends = [_Spend.draw(rng, each) for each in bins]
    spends.sort(key=lambda spend: spend.key_image, reverse=True)
    paid, openings = _pay(rng, AMOUNT * len(bins) - FEE, outputs)
    tx_outputs, tx_secret_point = paid
    proof = bulletproofs_plus.prove(
        RangeStatement(commitments=tuple(output.commitment for output in tx_outputs)),
        openings,
        rng=rng,
    )
    masks = _masks_of_pseudo_outs(rng, openings, len(spends))
    pseudo_outs = tuple(commit(Opening(mask=mask, amount=AMOUNT)) for mask in masks)
    unsigned = Transaction(
        unlock_time=0,
        inputs=tuple(
            TransactionInput(
                key_offsets=(7,) + (1,) * (len(spend.bin.ring) - 1), key_image=spend.key_image
            )
            for spend in spends
        ),
        outputs=tx_outputs,
        extra=_TX_KEY_TAG + tx_secret_point,
        fee=FEE,
        range_proof=_fields(proof),
        signatures=(),
        pseudo_outs=pseudo_outs,
    )
    unsigned = change(unsigned)
    message = unsigned.signature_hash()
    signatures = tuple(
        spend.sign(rng, pseudo_out, mask, message)
        for spend, pseudo_out, mask in zip(spends, pseudo_outs, masks, strict=True)
    )
    return dataclasses.replace(unsigned, signatures=signatures)


def rings_of(transaction: Transaction, bins: Sequence[Bin]) -> list[Ring]:
    """Return the bins' rings in the order of the transaction's inputs."""
    owner = {
        key_image(secret, each.ring.keys[32 * i : 32 * i + 32]): each.ring
        for each in bins
        for i, secret in enumerate(each.secrets)
    }
    return [owner[spent.key_image] for spent in transaction.inputs]


def scalar(rng: Rng) -> bytes:
    """Return a scalar from the source's next 64 bytes."""
    return curve.reduce64(rng(64))


@final
@dataclass(frozen=True, slots=True)
class _Spend:
    """One member of a bin that is spent."""

    bin: Bin
    index: int
    key_image: bytes

    @classmethod
    def draw(cls, rng: Rng, source: Bin) -> "_Spend":
        index = int.from_bytes(rng(4), "big") % len(source.secrets)
        key = source.ring.keys[32 * index : 32 * index + 32]
        return cls(source, index, key_image(source.secrets[index], key))

    def sign(self, rng: Rng, pseudo_out: bytes, mask: bytes, message: bytes) -> RingSignatureFields:
        statement = ClsagStatement(
            ring=self.bin.ring, pseudo_out=pseudo_out, key_image=self.key_image, message=message
        )
        witness = ClsagWitness(
            index=self.index,
            secret=self.bin.secrets[self.index],
            mask_difference=curve.sc_sub(self.bin.openings[self.index].mask, mask),
        )
        signature = clsag.sign(statement, witness, rng=rng)
        return RingSignatureFields(s=b"".join(signature.s), c1=signature.c1, D=signature.D)


def _pay(
    rng: Rng, amount: int, count: int
) -> tuple[tuple[tuple[TransactionOutput, ...], bytes], list[Opening]]:
    """Return `count` outputs that share `amount`, with R, and their openings."""
    secret = scalar(rng)
    parts = [amount // count] * (count - 1)
    parts.append(amount - sum(parts))
    outputs, openings = [], []
    for index, part in enumerate(parts):
        to = Address(spend=curve.base_mul(scalar(rng)), view=curve.base_mul(scalar(rng)))
        output, opening = make_output(to, tx_secret=secret, index=index, amount=part)
        outputs.append(
            TransactionOutput(
                key=output.key,
                view_tag=output.view_tag,
                encrypted_amount=output.encrypted_amount,
                commitment=output.commitment,
            )
        )
        openings.append(opening)
    return (tuple(outputs), curve.base_mul(secret)), openings


def _masks_of_pseudo_outs(rng: Rng, openings: Sequence[Opening], count: int) -> list[bytes]:
    """Return masks whose sum is that of the outputs' masks: the fee has none."""
    masks = [scalar(rng) for _ in range(count - 1)]
    rest = curve.ZERO
    for opening in openings:
        rest = curve.sc_add(rest, opening.mask)
    for mask in masks:
        rest = curve.sc_sub(rest, mask)
    return [*masks, rest]


def _fields(proof: RangeProof) -> RangeProofFields:
    return RangeProofFields(
        A=proof.A,
        A1=proof.A1,
        B=proof.B,
        r1=proof.r1,
        s1=proof.s1,
        d1=proof.d1,
        L=b"".join(proof.L),
        R=b"".join(proof.R),
    )
