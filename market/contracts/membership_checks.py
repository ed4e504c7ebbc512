"""What a newcomer, or a member with a new node key, says about itself: form and signatures."""

from crypto.errors import DecodeError, InvalidSignature
from crypto.node_certificate import check_node_certificate
from market.abi import (
    ENDPOINT_CHARS_MAX,
    MEMBER_NAME_CHARS_MAX,
    METER_ID_CHARS_MAX,
    RING_PROOF_BYTES,
    WALLET_BYTES,
    ZERO_ADDRESS,
    RevertCode,
)
from market.contracts.membership_store import Candidate
from vm.errors import Revert
from vm.gas import ED25519_VERIFY
from vm.genesis import is_endpoint
from vm.native import CallContext


def check_fields(candidate: Candidate, ring_proof: bytes) -> None:
    """Revert with BAD_ARGUMENT unless all that is said has its form."""
    if len(ring_proof) != RING_PROOF_BYTES:
        detail = f"ringProof must be {RING_PROOF_BYTES} bytes, got {len(ring_proof)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    if len(candidate.wallet) != WALLET_BYTES:
        detail = f"wallet must be {WALLET_BYTES} bytes, got {len(candidate.wallet)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    check_endpoint(candidate.endpoint)
    meter_id, name = candidate.meter_id, candidate.name
    if not 0 < len(meter_id) <= METER_ID_CHARS_MAX:
        detail = f"meterId must have 1 to {METER_ID_CHARS_MAX} characters, got {len(meter_id)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    # ASCII only: what is printable beyond differs between versions of Unicode.
    if not 0 < len(name) <= MEMBER_NAME_CHARS_MAX or not name.isascii() or not name.isprintable():
        detail = f"name must have 1 to {MEMBER_NAME_CHARS_MAX} printable ASCII characters"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    if candidate.meter == ZERO_ADDRESS:
        raise Revert(RevertCode.BAD_ARGUMENT, "meter is the zero address")


def check_endpoint(endpoint: str) -> None:
    """Revert with BAD_ARGUMENT unless it is "host:port"; every node will dial it."""
    if not 0 < len(endpoint) <= ENDPOINT_CHARS_MAX:
        detail = f"endpoint must have 1 to {ENDPOINT_CHARS_MAX} characters, got {len(endpoint)}"
        raise Revert(RevertCode.BAD_ARGUMENT, detail)
    if not endpoint.isascii() or not is_endpoint(endpoint):
        raise Revert(RevertCode.BAD_ARGUMENT, 'endpoint must be "host:port" in ASCII')


def check_certificate(ctx: CallContext, certificate: bytes, node_key: bytes) -> None:
    """Revert with BAD_ARGUMENT unless it is the one certificate of the key."""
    ctx.charge(ED25519_VERIFY)
    try:
        check_node_certificate(certificate, node_key)
    except (DecodeError, InvalidSignature):
        raise Revert(RevertCode.BAD_ARGUMENT, "certificate is not the node key's") from None
