"""The acceptance: what a buyer signs, and the id under which the agreement is recorded."""

from dataclasses import dataclass
from typing import final

from crypto import codec
from crypto.hashing import Digest, tagged_hash
from market.abi import ACCEPTANCE_FIELDS, ACCEPTANCE_TAG


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedTerms:
    """Terms of one agreement; `seller` and `buyer` are the enrolled accounts of the window."""

    chain_id: int
    window: int
    offer_id: int
    seller: bytes
    buyer: bytes
    quantity: int
    """Wh."""
    price: int
    """10⁻⁸ EUR per Wh."""
    nonce: int
    """Chosen by the buyer; keeps two agreements of equal terms apart."""


def acceptance_digest(terms: AcceptedTerms) -> Digest:
    """Return the 32 bytes that the buyer signs; they are the agreement's id (ABI's field order)."""
    values = [getattr(terms, name) for name in ACCEPTANCE_FIELDS]
    return tagged_hash(ACCEPTANCE_TAG, codec.encode(values))
