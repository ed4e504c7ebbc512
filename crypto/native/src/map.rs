//! Monero's map of 32 bytes to the curve: Elligator 2 in the variables of
//! `ge_fromfe_frombytes_vartime`.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::traits::IsIdentity;

use crate::field::{Fe, ONE, ZERO};
use crate::hash::keccak;

const A: u64 = 486_662;

/// Maps all 256 bits of `data`, modulo p, to a point; no factor 8.
///
/// With v = 2r², w = v + 1 and x' = w² - 2A²r²: if 2A(A+2)·w/x' is a square, then x is r times
/// its even root and z = -A·v; otherwise x is the odd root of A(A+2)·w/x', and z = -A. In both
/// y = (z - w)/(z + w), so that y and the sign of x are all that need be computed.
pub fn map_to_point(data: &[u8; 32]) -> EdwardsPoint {
    let r = Fe::from_bytes_mod_p(data);
    let a = Fe::small(A);
    let v = r.square() + r.square();
    let w = v + ONE;
    let ratio = w.square() - a.square() * v;
    let is_square = Fe::is_square_ratio(Fe::small(2 * A * (A + 2)) * w, ratio);
    let z = if is_square { ZERO - a * v } else { ZERO - a };
    let y = (z - w) * (z + w).invert();
    let mut encoding = y.to_bytes();
    encoding[31] |= u8::from(!is_square) << 7;
    CompressedEdwardsY(encoding)
        .decompress()
        .expect("the map ends on the curve")
}

/// Hp: 8 times the map of Keccak-256; `None` if that is the identity.
pub fn hash_to_point(data: &[u8; 32]) -> Option<EdwardsPoint> {
    let image = map_to_point(&keccak(&[data])).mul_by_cofactor();
    (!image.is_identity()).then_some(image)
}
