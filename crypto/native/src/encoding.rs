//! Strict decoding: one encoding for each scalar and each point, as Monero demands.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;

use crate::errors::{Checked, Invalid};

const POINT: &str = "must be the canonical encoding of a point of the curve";
const SCALAR: &str = "must be 32 bytes, little-endian, below the group order";
const LENGTH: &str = "must be a multiple of 32 bytes";

/// Monero's H, the generator of values.
pub const H: [u8; 32] = [
    0x8b, 0x65, 0x59, 0x70, 0x15, 0x37, 0x99, 0xaf, 0x2a, 0xea, 0xdc, 0x9f, 0xf1, 0xad, 0xd0, 0xea,
    0x6c, 0x72, 0x51, 0xd5, 0x41, 0x54, 0xcf, 0xa9, 0x2c, 0x17, 0x3a, 0x0d, 0xd3, 0x9c, 0x1f, 0x94,
];

/// 1/8 modulo the group order.
pub const INV8: [u8; 32] = [
    0x79, 0x2f, 0xdc, 0xe2, 0x29, 0xe5, 0x06, 0x61, 0xd0, 0xda, 0x1c, 0x7d, 0xb3, 0x9d, 0xd3, 0x07,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x06,
];

/// Returns 32 bytes as an array, if they are 32.
pub fn bytes32(data: &[u8]) -> Option<[u8; 32]> {
    data.try_into().ok()
}

/// Returns the items of a packed list; `None` if the length is not a multiple of 32.
pub fn chunks(packed: &[u8]) -> Option<&[[u8; 32]]> {
    let (items, rest) = packed.as_chunks::<32>();
    rest.is_empty().then_some(items)
}

/// Whether y < p and no sign stands where x = 0 (y = 1 or -1): what dalek's decompression and
/// libsodium's addition let pass.
fn has_one_form(encoding: &[u8; 32]) -> bool {
    let sign = encoding[31] >> 7 == 1;
    let middle = &encoding[1..31];
    match encoding[31] & 0x7f {
        0x7f if middle.iter().all(|byte| *byte == 0xff) => {
            encoding[0] < 0xec || (encoding[0] == 0xec && !sign)
        }
        0x00 if middle.iter().all(|byte| *byte == 0) => encoding[0] != 1 || !sign,
        _ => true,
    }
}

/// Decodes a point: y < p, on the curve, no negative zero. Its order is not looked at.
pub fn decompress(encoding: &[u8]) -> Option<EdwardsPoint> {
    let encoding = bytes32(encoding)?;
    if !has_one_form(&encoding) {
        return None;
    }
    CompressedEdwardsY(encoding).decompress()
}

/// Decodes a scalar below the group order.
pub fn canonical(encoding: &[u8]) -> Option<Scalar> {
    Option::from(Scalar::from_canonical_bytes(bytes32(encoding)?))
}

/// Decodes a point or names the argument at fault.
pub fn point(field: &str, encoding: &[u8]) -> Checked<EdwardsPoint> {
    decompress(encoding).ok_or_else(|| Invalid::Point(field.into(), POINT))
}

/// Decodes a scalar or names the argument at fault.
pub fn scalar(field: &str, encoding: &[u8]) -> Checked<Scalar> {
    canonical(encoding).ok_or_else(|| Invalid::Scalar(field.into(), SCALAR))
}

/// Decodes packed points or names the first that is at fault.
pub fn points(field: &str, packed: &[u8]) -> Checked<Vec<EdwardsPoint>> {
    let items = chunks(packed).ok_or_else(|| Invalid::Point(field.into(), LENGTH))?;
    let decode = |(k, item): (usize, &[u8; 32])| {
        decompress(item).ok_or_else(|| Invalid::Point(format!("{field}[{k}]"), POINT))
    };
    items.iter().enumerate().map(decode).collect()
}

/// Decodes packed scalars or names the first that is at fault.
pub fn scalars(field: &str, packed: &[u8]) -> Checked<Vec<Scalar>> {
    let items = chunks(packed).ok_or_else(|| Invalid::Scalar(field.into(), LENGTH))?;
    let decode = |(k, item): (usize, &[u8; 32])| {
        canonical(item).ok_or_else(|| Invalid::Scalar(format!("{field}[{k}]"), SCALAR))
    };
    items.iter().enumerate().map(decode).collect()
}

/// Encodes scalars one after the other.
pub fn pack(scalars: &[Scalar]) -> Vec<u8> {
    scalars.iter().flat_map(|s| s.to_bytes()).collect()
}
