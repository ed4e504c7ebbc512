"""What the two backends of the curve have in common: the values that cross, and the interface.

Read `crypto.curve` for what each function means; this module only says that both backends have
the same ones.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, Self, final

BYTES = 32
"""Length of an encoded point, and of an encoded scalar."""

P = 2**255 - 19
"""The field's prime."""

L = 2**252 + 27742317777372353535851937790883648493
"""ℓ, the order of the prime-order subgroup."""


def _point(text: str) -> bytes:
    return bytes.fromhex(text)


G = _point("5866666666666666666666666666666666666666666666666666666666666666")
H = _point("8b655970153799af2aeadc9ff1add0ea6c7251d54154cfa92c173a0dd39c1f94")
BPP_TRANSCRIPT_INIT = _point("4a677c90eb73051e790da45591107f6ee105904d9187c5d35471096c445a2275")
"""Hp(K("bulletproof_plus_transcript")): where the transcript of a range proof starts."""
IDENTITY = b"\x01" + bytes(31)
ZERO = bytes(32)
ONE = b"\x01" + bytes(31)
INV8 = pow(8, -1, L).to_bytes(32, "little")


class _Decoded:
    """Encodings with what each backend made of them; so a cache outlives a switch of backend."""

    __slots__ = ("_handles",)

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    def handle(self, backend: str, make: Callable[[], Any]) -> Any:
        """Return the backend's own form, made by `make` when first asked for."""
        made = self._handles.get(backend)
        if made is None:
            made = self._handles[backend] = make()
        return made


@final
class Points(_Decoded):
    """Points that are decoded once and used many times; accepted where packed points are."""

    __slots__ = ("packed",)

    def __init__(self, packed: bytes) -> None:
        super().__init__()
        self.packed = packed

    def __len__(self) -> int:
        return len(self.packed) // BYTES

    @classmethod
    def _with_handle(cls, packed: bytes, backend: str, handle: object) -> Self:
        points = cls(packed)
        points._handles[backend] = handle
        return points


@final
class Ring(_Decoded):
    """A ring: n one-time keys P_i with their commitments C_i, and the points Hp(P_i).

    Attributes:
        keys: P_0 || … || P_{n-1}, packed.
        commitments: C_0 || … || C_{n-1}, packed.
    """

    __slots__ = ("commitments", "keys")

    def __init__(self, keys: bytes, commitments: bytes) -> None:
        super().__init__()
        self.keys = keys
        self.commitments = commitments

    def __len__(self) -> int:
        return len(self.keys) // BYTES


@final
class ClsagInstance(NamedTuple):
    """A CLSAG with its statement. Points and scalars are 32 bytes; none is checked yet.

    Attributes:
        ring: the n members; from `prepare_ring`.
        pseudo_out: C', the pseudo-output.
        key_image: I.
        message: 32 bytes.
        D: D_s = (1/8)·D, as it is sent.
        c1: c_0 of the paper, the challenge at which the ring is closed.
        s: s_0 || … || s_{n-1}, packed.
    """

    ring: Ring
    pseudo_out: bytes
    key_image: bytes
    message: bytes
    D: bytes
    c1: bytes
    s: bytes


@final
class ClsagWalk(NamedTuple):
    """A signer's way round a ring of n members: n - 1 rounds, wherever it begins.

    All of it but `start` is published with the signature, so time may depend on it.

    Attributes:
        ring: from `prepare_ring`.
        aggregate: mu_P·I + mu_C·D, mu_P and mu_C.
        pseudo_out: C'.
        message: 32 bytes.
        start: the member at which the walk begins, 0 <= start < n.
        c: c_start.
        s: s_0 || … || s_{n-1}, packed; that of the last challenge is not used.
    """

    ring: Ring
    aggregate: tuple[bytes, bytes, bytes]
    pseudo_out: bytes
    message: bytes
    start: int
    c: bytes
    s: bytes


@final
class BppInstance(NamedTuple):
    """A Bulletproof+ with its statement: every commitment opens to a value below 2^64.

    Attributes:
        commitments: C_1 || … || C_m, packed, 1 <= m <= 16, not divided by 8.
        A, A1, B: points, multiplied by 1/8, as they are sent.
        r1, s1, d1: scalars.
        L, R: 6 + log2(M) points each, packed, M the least power of 2 that is at least m.
        value_base: the generator of the values; H, or that of another asset.
        extra: bytes that the transcript binds (asset, context); none for Monero's own form:
            T0 = Hs(T_init || Hs(V_1||…||V_m) || extra).
    """

    commitments: bytes
    A: bytes
    A1: bytes
    B: bytes
    r1: bytes
    s1: bytes
    d1: bytes
    L: bytes
    R: bytes
    value_base: bytes = H
    extra: bytes = b""


class Group(Protocol):
    """Scalars and points of a backend; a handle (Any) is what its own `points` returned."""

    def is_scalar(self, s: bytes) -> bool: ...
    def reduce32(self, data: bytes) -> bytes: ...
    def reduce64(self, data: bytes) -> bytes: ...
    def hash_to_scalar(self, data: bytes) -> bytes: ...
    def sc_add(self, a: bytes, b: bytes) -> bytes: ...
    def sc_sub(self, a: bytes, b: bytes) -> bytes: ...
    def sc_mul(self, a: bytes, b: bytes) -> bytes: ...
    def sc_neg(self, a: bytes) -> bytes: ...
    def sc_invert(self, a: bytes) -> bytes: ...
    def sv_add(self, a: bytes, b: bytes) -> bytes: ...
    def sv_sub(self, a: bytes, b: bytes) -> bytes: ...
    def sv_mul(self, a: bytes, b: bytes) -> bytes: ...
    def sv_scale(self, v: bytes, s: bytes) -> bytes: ...
    def sv_inner(self, a: bytes, b: bytes) -> bytes: ...
    def sv_powers(self, x: bytes, n: int) -> bytes: ...
    def sv_invert(self, v: bytes) -> bytes: ...
    def points(self, packed: bytes) -> Any: ...
    def points_take(self, handle: Any, indexes: Sequence[int]) -> Any: ...
    def is_point(self, encoding: bytes) -> bool: ...
    def is_torsion_free(self, P: bytes) -> bool: ...
    def add(self, P: bytes, Q: bytes) -> bytes: ...
    def sub(self, P: bytes, Q: bytes) -> bytes: ...
    def neg(self, P: bytes) -> bytes: ...
    def mul8(self, P: bytes) -> bytes: ...
    def base_mul(self, s: bytes) -> bytes: ...
    def mul(self, s: bytes, P: bytes) -> bytes: ...
    def commit(self, mask: bytes, amount: int, value_base: bytes) -> bytes: ...
    def msm(self, scalars: bytes, points: Any) -> bytes: ...
    def msm_vartime(self, scalars: bytes, points: Any) -> bytes: ...
    def sum_points(self, points: Any) -> bytes: ...
    def map_to_point(self, data: bytes) -> bytes: ...
    def hash_to_point(self, data: bytes) -> bytes: ...


class Proofs(Protocol):
    """Whole primitives of a backend; a handle (Any) is what its own `ring` returned."""

    def ring(self, keys: bytes, commitments: bytes) -> Any: ...
    def ring_images(self, handle: Any) -> bytes: ...
    def clsag_verify_many(self, instances: list[tuple[Any, ClsagInstance]]) -> list[bool]: ...
    def clsag_walk(  # noqa: PLR0917  # As below.
        self,
        handle: Any,
        aggregate: tuple[bytes, bytes, bytes],
        pseudo_out: bytes,
        message: bytes,
        start: int,
        c: bytes,
        s: bytes,
    ) -> bytes: ...
    def bpp_verify_batch(self, instances: list[BppInstance], weights: bytes) -> bool: ...
    def scan(  # noqa: PLR0917  # By position: the same interface as the Rust crate's.
        self,
        view_secret: bytes,
        spend_public: bytes,
        tx_pubkeys: bytes,
        output_indexes: Sequence[int],
        output_keys: bytes,
        view_tags: bytes,
    ) -> list[tuple[int, bytes]]: ...
