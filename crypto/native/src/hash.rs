//! Keccak-256 (padding 0x01) and Monero's Hs.

use curve25519_dalek::scalar::Scalar;
use sha3::{Digest, Keccak256};

/// Keccak-256 of the parts, one after the other.
pub fn keccak(parts: &[&[u8]]) -> [u8; 32] {
    let mut state = Keccak256::new();
    for part in parts {
        state.update(part);
    }
    state.finalize().into()
}

/// Hs: Keccak-256 modulo the group order.
pub fn hash_to_scalar(parts: &[&[u8]]) -> Scalar {
    Scalar::from_bytes_mod_order(keccak(parts))
}

/// A hash that has absorbed what many messages begin with.
#[derive(Clone)]
pub struct Prefix(Keccak256);

impl Prefix {
    /// Absorbs the first parts.
    pub fn new(parts: &[&[u8]]) -> Self {
        Self(Keccak256::new()).and(parts)
    }

    /// The prefix with further parts.
    pub fn and(&self, parts: &[&[u8]]) -> Self {
        let mut state = self.0.clone();
        for part in parts {
            state.update(part);
        }
        Self(state)
    }

    /// Hs of the prefix and the last parts.
    pub fn hash_to_scalar(&self, parts: &[&[u8]]) -> Scalar {
        Scalar::from_bytes_mod_order(self.and(parts).0.finalize().into())
    }
}

/// LEB128: groups of 7 bits, low ones first.
pub fn varint(mut value: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(5);
    while value > 127 {
        out.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
