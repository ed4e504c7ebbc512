import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto import curve
from crypto import member_ring as mr
from crypto.errors import (
    CryptoError,
    DecodeError,
    InvalidPoint,
    LinearProofError,
    MemberRingError,
)
from crypto.hashing import keccak256
from crypto.linear_proof import LinearProof
from crypto.member_ring import CallSignature, CallStatement, MemberSecret, Scope, Snapshot
from tests.crypto.conftest import BACKENDS
from tests.crypto.privacy import SeededRng, flip, scalar

pytestmark = pytest.mark.usefixtures("backend")

NETWORK = b"n" * 32
MEMBERS = 6
SECRETS = [scalar(f"member {i}") for i in range(MEMBERS)]
SNAPSHOT = Snapshot(
    network=NETWORK,
    root=b"r" * 32,
    epoch=7,
    keys=tuple(map(curve.base_mul, SECRETS)),
    slots=3,
)
SCOPE = Scope(contract=b"market", purpose=b"enrol", slot=1)
CALL = CallStatement(snapshot=SNAPSHOT, scope=SCOPE, message=b"m" * 32)


def signed(statement=CALL, index=2):
    return mr.sign(statement, MemberSecret(index=index, secret=SECRETS[index]), rng=SeededRng())


@pytest.mark.parametrize("index", range(MEMBERS))
def test_every_member_can_call(index):
    signature = signed(index=index)
    mr.verify(CALL, signature)
    assert signature.tag == mr.tag_of(SECRETS[index], SNAPSHOT, SCOPE)
    assert len(signature.to_bytes()) == 32 * (MEMBERS + 2)


def test_a_ring_of_one_verifies():
    snapshot = replace(SNAPSHOT, keys=SNAPSHOT.keys[:1])
    call = replace(CALL, snapshot=snapshot)
    mr.verify(call, signed(call, 0))


def lp(*fields):
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def context_of(call, tag):
    """ctx of docs/spec/privacy.md, written out."""
    snapshot, scope = call.snapshot, call.scope
    sigma = lp(
        snapshot.network,
        snapshot.root,
        snapshot.epoch.to_bytes(8, "big"),
        scope.contract,
        scope.purpose,
        scope.slot.to_bytes(4, "big"),
    )
    assert curve.hash_to_point_unbiased(b"hearth/scope/v1", sigma) == mr.scope_base(snapshot, scope)
    n = len(snapshot.keys).to_bytes(4, "big")
    keys = b"".join(snapshot.keys)
    return keccak256(lp(b"hearth/member_ring/ctx/v1", n, keys, sigma, tag, call.message))


def next_challenge(context, L, R):
    return curve.hash_to_scalar(lp(b"hearth/member_ring/c/v1", context, L, R))


def test_a_signature_verifies_by_the_formulas_of_the_specification():
    signature = signed()
    h = mr.scope_base(SNAPSHOT, SCOPE)
    context = context_of(CALL, signature.tag)
    c = signature.c0
    for key, s in zip(SNAPSHOT.keys, signature.s, strict=True):
        L = curve.add(curve.base_mul(s), curve.mul(c, key))
        R = curve.add(curve.mul(s, h), curve.mul(c, signature.tag))
        c = next_challenge(context, L, R)
    assert c == signature.c0


def test_a_key_cannot_be_chosen_after_the_challenge():
    """Rule 10, Frozen Heart: a ring of one whose tag is of another secret than its key."""
    x, l_0, r_0 = scalar("x"), scalar("l"), scalar("r")
    snapshot = replace(SNAPSHOT, keys=SNAPSHOT.keys[:1])
    bait = replace(CALL, snapshot=snapshot)
    h = mr.scope_base(snapshot, SCOPE)
    tag, L, R = curve.mul(x, h), curve.base_mul(l_0), curve.mul(r_0, h)
    c = next_challenge(context_of(bait, tag), L, R)
    s = curve.sc_sub(r_0, curve.sc_mul(c, x))
    key = curve.mul(curve.sc_invert(c), curve.sub(L, curve.base_mul(s)))
    forged = replace(bait, snapshot=replace(snapshot, keys=(key,)))
    with pytest.raises(MemberRingError):
        mr.verify(forged, CallSignature(tag=tag, c0=c, s=(s,)))


def test_calls_of_one_member_in_one_scope_carry_one_tag():
    first = signed()
    second = signed(replace(CALL, message=bytes(32)))
    assert first.tag == second.tag
    assert first.s != second.s


OTHER_SCOPES = [
    (replace(SNAPSHOT, network=bytes(32)), SCOPE),
    (replace(SNAPSHOT, root=bytes(32)), SCOPE),
    (replace(SNAPSHOT, epoch=8), SCOPE),
    (SNAPSHOT, replace(SCOPE, contract=b"other")),
    (SNAPSHOT, replace(SCOPE, purpose=b"other")),
    (SNAPSHOT, replace(SCOPE, slot=2)),
    # Rule 15: lengths keep neighbouring fields apart.
    (SNAPSHOT, Scope(contract=b"marketenrol", purpose=b"", slot=1)),
]


@pytest.mark.parametrize(("snapshot", "scope"), OTHER_SCOPES)
def test_another_scope_gives_another_tag_and_rejects_the_signature(snapshot, scope):
    call = CallStatement(snapshot=snapshot, scope=scope, message=CALL.message)
    signature = signed()
    assert signed(call).tag != signature.tag
    with pytest.raises(MemberRingError):
        mr.verify(call, signature)


def test_the_base_of_a_scope_is_no_multiple_that_anybody_knows():
    h = mr.scope_base(SNAPSHOT, SCOPE)
    curve.check_prime_order(h, "h")
    assert h not in {mr.scope_base(*other) for other in OTHER_SCOPES} | {curve.G, curve.H}


def test_a_tag_cannot_be_put_on_another_member():
    """Nobody can be framed: a signature with a foreign tag does not verify."""
    other = mr.tag_of(SECRETS[4], SNAPSHOT, SCOPE)
    with pytest.raises(MemberRingError):
        mr.verify(CALL, replace(signed(), tag=other))


@settings(max_examples=25)
@given(bit=st.integers(0, 8 * 32 * (MEMBERS + 2) - 1))
def test_no_bit_of_a_signature_can_be_flipped(bit):
    flipped = flip(signed().to_bytes(), bit)
    try:
        bad = CallSignature.from_bytes(flipped, members=MEMBERS)
    except CryptoError:
        return
    assert bad.to_bytes() == flipped
    with pytest.raises(MemberRingError):
        mr.verify(CALL, bad)


@settings(max_examples=15)
@given(bit=st.integers(0, 255))
def test_no_bit_of_the_call_can_be_flipped(bit):
    with pytest.raises(MemberRingError):
        mr.verify(replace(CALL, message=flip(CALL.message, bit)), signed())


def test_the_ring_and_its_order_are_the_snapshots():
    signature = signed()
    stranger = curve.base_mul(scalar("stranger"))
    for keys in (SNAPSHOT.keys[::-1], (*SNAPSHOT.keys[:-1], stranger)):
        with pytest.raises(MemberRingError):
            mr.verify(replace(CALL, snapshot=replace(SNAPSHOT, keys=keys)), signature)
    fewer = replace(CALL, snapshot=replace(SNAPSHOT, keys=SNAPSHOT.keys[:-1]))
    with pytest.raises(MemberRingError, match="must have 5 responses, got 6"):
        mr.verify(fewer, signature)


def test_a_challenge_of_zero_is_rejected():
    """Rule 22: with c = 0 the key would drop out of a round."""
    with pytest.raises(MemberRingError, match="zero"):
        mr.verify(CALL, replace(signed(), c0=curve.ZERO))


def test_a_slot_beyond_the_snapshots_is_refused():
    with pytest.raises(DecodeError, match="must be below 3, got 3"):
        replace(CALL, scope=replace(SCOPE, slot=3))


def test_tags_of_small_order_are_refused(vectors):
    data = json.loads((vectors / "monero/rejected_points_and_scalars.json").read_text())
    signature = signed()
    for entry in data["torsion_points"]:
        torsion = bytes.fromhex(entry["point"])
        for tag in (torsion, curve.add(signature.tag, torsion)):
            if tag != signature.tag:
                with pytest.raises(InvalidPoint, match="tag"):
                    replace(signature, tag=tag)


def test_the_signer_must_hold_the_key_at_its_place():
    for index, secret in ((2, SECRETS[3]), (MEMBERS, SECRETS[2]), (-1, SECRETS[-1])):
        with pytest.raises(MemberRingError):
            mr.sign(CALL, MemberSecret(index=index, secret=secret))


def test_a_snapshot_holds_distinct_keys_of_prime_order():
    with pytest.raises(DecodeError, match="distinct"):
        replace(SNAPSHOT, keys=(SNAPSHOT.keys[0],) * 2)
    with pytest.raises(DecodeError, match="1 to 1024"):
        replace(SNAPSHOT, keys=())
    two = bytes.fromhex("ec" + "ff" * 30 + "7f")
    for key in (curve.IDENTITY, two, curve.add(SNAPSHOT.keys[0], two), b"\xff" * 32):
        with pytest.raises(InvalidPoint, match="keys"):
            replace(SNAPSHOT, keys=(key,))


def test_fields_out_of_range_are_refused():
    for change in ({"epoch": -1}, {"slots": 0}, {"network": b""}, {"root": bytes(33)}):
        with pytest.raises(DecodeError):
            replace(SNAPSHOT, **change)
    for change in ({"contract": bytes(256)}, {"purpose": bytes(256)}, {"slot": 2**32}):
        with pytest.raises(DecodeError):
            replace(SCOPE, **change)
    with pytest.raises(DecodeError, match="message"):
        replace(CALL, message=b"")


@settings(max_examples=30)
@given(data=st.binary(max_size=32 * 4), members=st.integers(-1, 3))
def test_what_decodes_encodes_to_the_same_bytes(data, members):
    try:
        decoded = CallSignature.from_bytes(data, members=members)
    except CryptoError:
        return
    assert decoded.to_bytes() == data


def test_a_ring_key_is_registered_with_a_proof_of_possession():
    key = SNAPSHOT.keys[0]
    proof = mr.prove_possession(SECRETS[0], network=NETWORK, member=b"alice")
    mr.verify_possession(key, proof, network=NETWORK, member=b"alice")
    parsed = LinearProof.from_bytes(proof.to_bytes(), equations=1, scalars=1)
    assert parsed == proof
    for wrong in (
        {"key": SNAPSHOT.keys[1]},
        {"network": bytes(32)},
        {"member": b"bob"},
        {"member": b""},
    ):
        case = {"key": key, "network": NETWORK, "member": b"alice"} | wrong
        with pytest.raises(LinearProofError):
            mr.verify_possession(case["key"], proof, network=case["network"], member=case["member"])


def test_a_key_related_to_anothers_cannot_be_registered_without_its_secret():
    """P' = P + m·G with a known m would link its tags to P's; m alone proves nothing of it."""
    m = scalar("m")
    related = curve.add(SNAPSHOT.keys[0], curve.base_mul(m))
    with pytest.raises(LinearProofError):
        mr.verify_possession(
            related,
            mr.prove_possession(m, network=NETWORK, member=b"eve"),
            network=NETWORK,
            member=b"eve",
        )


def test_zero_and_small_order_are_no_ring_keys():
    with pytest.raises(LinearProofError, match="identity"):
        mr.prove_possession(curve.ZERO, network=NETWORK, member=b"a")
    proof = mr.prove_possession(SECRETS[0], network=NETWORK, member=b"a")
    with pytest.raises(InvalidPoint, match="ring_key"):
        mr.verify_possession(curve.IDENTITY, proof, network=NETWORK, member=b"a")


def test_both_backends_make_the_same_signature():
    def made(name):
        with curve.using(name):
            return signed().to_bytes()

    assert len({made(name) for name in BACKENDS}) == 1
