"""Targets: Merkle proofs, and the parts of private transactions."""

from collections.abc import Callable
from functools import cache
from typing import Final

from cli.decoders import material
from cli.decoders.target import Finding, Target
from crypto import (
    bulletproofs_plus,
    clsag,
    curve,
    linear_proof,
    member_ring,
    opening_proof,
    product_proof,
    stealth,
)
from crypto.errors import (
    DecodeError,
    InvalidPoint,
    InvalidProof,
    InvalidScalar,
    MoneroError,
    RangeProofError,
)
from crypto.merkle import Proof, verify_proof
from crypto.merkle_chunk import ChunkTop
from crypto.monero import check_form, read_range_proof
from crypto.monero_transaction import (
    RangeProofFields,
    RingSignatureFields,
    Transaction,
    TransactionInput,
    TransactionOutput,
    parse_transaction,
)
from crypto.pedersen import Opening, commit
from crypto.range_proof import RangeProof, RangeStatement
from vm.accounts import account_key

_RING: Final = 3
_CONTEXT: Final = b"c" * 32
_ELEMENTS: Final = (DecodeError, InvalidPoint, InvalidScalar)


def _scalar(number: int) -> bytes:
    return curve.reduce64(material.digest(number) * 2)


def _opening(number: int, amount: int) -> Opening:
    return Opening(mask=_scalar(number), amount=amount)


# Merkle.


def _merkle_proofs() -> list[bytes]:
    dev = material.chain()
    owner = dev.community.accounts[0].address
    return [dev.chain.prove(account_key(each)) for each in (owner, b"nobody" * 3 + b"ab")]


def _merkle_proof(data: bytes) -> bytes:
    """A proof that is not the one that was asked for shows nothing."""
    proof = Proof.from_bytes(data)
    dev = material.chain()
    key = account_key(dev.community.accounts[0].address)
    try:
        verify_proof(dev.chain.head.state_root, key, None, proof)
    except InvalidProof:
        return proof.to_bytes()
    raise Finding("an account that exists is proven absent")


# Private transactions.


def _points() -> list[bytes]:
    return [curve.G, curve.G + curve.base_mul(_scalar(1))]


def _point(data: bytes) -> bytes:
    return curve.decode(data).packed


@cache
def _range_proofs() -> tuple[bytes, ...]:
    found = []
    for count in (1, 2):
        openings = tuple(_opening(place, 1000 + place) for place in range(count))
        statement = RangeStatement(commitments=tuple(commit(each) for each in openings))
        proof = bulletproofs_plus.prove(statement, openings, rng=material.rng())
        found.append(proof.to_bytes())
    return tuple(found)


def _clsag(data: bytes) -> bytes:
    """Any number of ring members that the length allows; the encoding does not repeat it."""
    size = len(data) // 32 - 2
    return clsag.ClsagSignature.from_bytes(data, ring_size=size).to_bytes()


def _ring_signatures() -> list[bytes]:
    point = curve.base_mul(_scalar(5))
    scalars = tuple(_scalar(place) for place in range(_RING))
    return [clsag.ClsagSignature(s=scalars, c1=_scalar(9), D=point).to_bytes()]


def _call_signatures() -> list[bytes]:
    point = curve.mul(curve.reduce32((8).to_bytes(32, "little")), curve.base_mul(_scalar(5)))
    scalars = tuple(_scalar(place) for place in range(_RING))
    return [member_ring.CallSignature(tag=point, c0=_scalar(9), s=scalars).to_bytes()]


def _call_signature(data: bytes) -> bytes:
    members = len(data) // 32 - 2
    return member_ring.CallSignature.from_bytes(data, members=members).to_bytes()


def _product() -> tuple[product_proof.ProductStatement, product_proof.ProductWitness]:
    witness = product_proof.ProductWitness(
        price=_opening(1, 31), quantity=_opening(2, 700), payment=_opening(3, 31 * 700)
    )
    statement = product_proof.ProductStatement(
        price=commit(witness.price),
        quantity=commit(witness.quantity),
        payment=commit(witness.payment),
        context=_CONTEXT,
    )
    return statement, witness


@cache
def _payment_proofs() -> tuple[bytes, ...]:
    return (product_proof.prove_payment(*_product(), rng=material.rng()).to_bytes(),)


def _payment(data: bytes) -> bytes:
    proof = product_proof.PaymentProof.from_bytes(data)
    if product_proof.product_from_bytes(data[: product_proof.PRODUCT_PROOF_BYTES]) != proof.product:
        raise Finding("two readings of one product proof")
    return proof.to_bytes()


def _linear(data: bytes) -> bytes:
    return linear_proof.LinearProof.from_bytes(data, equations=2, scalars=1).to_bytes()


def _opening_statement() -> opening_proof.OpeningStatement:
    return opening_proof.OpeningStatement(commitment=commit(_opening(1, 31)), context=_CONTEXT)


def _opening_proofs() -> list[bytes]:
    proof = opening_proof.prove_opening(_opening_statement(), _opening(1, 31), rng=material.rng())
    return [proof.to_bytes()]


def _opened(data: bytes) -> bytes:
    return opening_proof.proof_from_bytes(_opening_statement(), data).to_bytes()


def _addresses() -> list[bytes]:
    wallet = stealth.WalletKeys(spend_secret=_scalar(1), view_secret=_scalar(2))
    return [wallet.address.to_bytes()]


def _monero_transactions() -> list[bytes]:
    output = TransactionOutput(
        key=curve.base_mul(_scalar(1)),
        view_tag=7,
        encrypted_amount=bytes(8),
        commitment=commit(_opening(1, 5)),
    )
    point, scalar = curve.base_mul(_scalar(4)), _scalar(6)
    proof = RangeProofFields(
        A=point, A1=point, B=point, r1=scalar, s1=scalar, d1=scalar, L=point * 7, R=point * 7
    )
    signature = RingSignatureFields(s=scalar * 2, c1=scalar, D=point)
    return [
        Transaction(
            unlock_time=0,
            inputs=(TransactionInput(key_offsets=(9, 1), key_image=point),),
            outputs=(output, output),
            extra=b"\1extra",
            fee=300,
            range_proof=proof,
            signatures=(signature,),
            pseudo_outs=(point,),
        ).to_bytes()
    ]


def _monero(data: bytes) -> bytes:
    """Syntax first; then the form, whose refusals are of another kind."""
    parsed = parse_transaction(data)
    for check in (lambda: check_form(parsed), lambda: read_range_proof(parsed.range_proof)):
        _unless_wrong(check)
    return parsed.to_bytes()


def _unless_wrong(check: Callable[[], object]) -> None:
    try:
        check()
    except (MoneroError, RangeProofError, *_ELEMENTS):
        return


TARGETS: Final = (
    Target(
        name="merkle-proof",
        covers=(Proof.from_bytes,),
        run=_merkle_proof,
        refuses=(DecodeError,),
        seeds=_merkle_proofs,
    ),
    Target(
        name="chunk-top",
        covers=(ChunkTop.from_bytes,),
        run=lambda data: ChunkTop.from_bytes(data).to_bytes(),
        refuses=(DecodeError,),
        seeds=lambda: [ChunkTop(1, material.digest(1), bytes(64)).to_bytes()],
        bytes_max=256,
    ),
    Target(
        name="points",
        covers=(curve.decode,),
        run=_point,
        refuses=(InvalidPoint, DecodeError),
        seeds=_points,
        bytes_max=256,
    ),
    Target(
        name="range-proof",
        covers=(RangeProof.from_bytes,),
        run=lambda data: RangeProof.from_bytes(data).to_bytes(),
        refuses=_ELEMENTS,
        seeds=_range_proofs,
    ),
    Target(
        name="ring-signature",
        covers=(clsag.ClsagSignature.from_bytes,),
        run=_clsag,
        refuses=_ELEMENTS,
        seeds=_ring_signatures,
    ),
    Target(
        name="call-signature",
        covers=(member_ring.CallSignature.from_bytes,),
        run=_call_signature,
        refuses=_ELEMENTS,
        seeds=_call_signatures,
    ),
    Target(
        name="payment-proof",
        covers=(product_proof.PaymentProof.from_bytes, product_proof.product_from_bytes),
        run=_payment,
        refuses=_ELEMENTS,
        seeds=_payment_proofs,
    ),
    Target(
        name="linear-proof",
        covers=(linear_proof.LinearProof.from_bytes,),
        run=_linear,
        refuses=_ELEMENTS,
        seeds=lambda: [curve.G * 2 + _scalar(3)],
        bytes_max=256,
    ),
    Target(
        name="opening-proof",
        covers=(opening_proof.proof_from_bytes,),
        run=_opened,
        refuses=_ELEMENTS,
        seeds=_opening_proofs,
        bytes_max=256,
    ),
    Target(
        name="stealth-address",
        covers=(stealth.Address.from_bytes,),
        run=lambda data: stealth.Address.from_bytes(data).to_bytes(),
        refuses=_ELEMENTS,
        seeds=_addresses,
        bytes_max=128,
    ),
    Target(
        name="monero-transaction",
        covers=(parse_transaction, read_range_proof),
        run=_monero,
        refuses=(DecodeError,),
        seeds=_monero_transactions,
    ),
)
