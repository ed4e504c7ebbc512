//! Integers modulo p = 2^255 - 19 in five limbs of 51 bits: as much as the map to the curve needs.
//!
//! dalek keeps its field to itself. Inputs here are public, so nothing need be constant time.
//! Limbs stay below 2^52 between operations; products of two such sums fit 128 bits.

use std::ops::{Add, Mul, Sub};

const MASK: u64 = (1 << 51) - 1;

/// An element; the value of `l` is not reduced below p until `to_bytes`.
#[derive(Clone, Copy, Debug)]
pub struct Fe([u64; 5]);

/// Zero.
pub const ZERO: Fe = Fe([0; 5]);
/// One.
pub const ONE: Fe = Fe([1, 0, 0, 0, 0]);

/// d of the curve -x² + y² = 1 + d·x²·y²: -121665/121666.
#[cfg(lanes)]
pub const D: Fe = Fe([
    929955233495203,
    466365720129213,
    1662059464998953,
    2033849074728123,
    1442794654840575,
]);
/// 2d.
#[cfg(lanes)]
pub const TWO_D: Fe = Fe([
    1859910466990425,
    932731440258426,
    1072319116312658,
    1815898335770999,
    633789495995903,
]);
/// A root of -1: 2^((p-1)/4).
#[cfg(lanes)]
pub const SQRT_MINUS_ONE: Fe = Fe([
    1718705420411056,
    234908883556509,
    2233514472574048,
    2117202627021982,
    765476049583133,
]);

impl Fe {
    /// The limbs, each below 2^52.
    #[cfg(lanes)]
    pub const fn limbs(self) -> [u64; 5] {
        self.0
    }

    /// From limbs below 2^52.
    #[cfg(lanes)]
    pub const fn from_limbs(limbs: [u64; 5]) -> Self {
        Self(limbs)
    }

    /// A small number, below 2^51.
    pub const fn small(value: u64) -> Self {
        Self([value, 0, 0, 0, 0])
    }

    /// All 256 bits, modulo p.
    pub fn from_bytes_mod_p(bytes: &[u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let w: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let top = w[3] >> 63; // 2^255 = 19.
        Self([
            (w[0] & MASK) + 19 * top,
            (w[0] >> 51 | w[1] << 13) & MASK,
            (w[1] >> 38 | w[2] << 26) & MASK,
            (w[2] >> 25 | w[3] << 39) & MASK,
            (w[3] >> 12) & MASK,
        ])
    }

    /// The one encoding, below p.
    pub fn to_bytes(self) -> [u8; 32] {
        let l = carried(carried(self.0));
        // l < 2^255 + small: q is 1 if l >= p.
        let mut q = (l[0] + 19) >> 51;
        for limb in &l[1..] {
            q = (limb + q) >> 51;
        }
        let mut h = l;
        h[0] += 19 * q;
        for i in 0..4 {
            h[i + 1] += h[i] >> 51;
            h[i] &= MASK;
        }
        h[4] &= MASK;
        let words = [
            h[0] | h[1] << 51,
            h[1] >> 13 | h[2] << 38,
            h[2] >> 26 | h[3] << 25,
            h[3] >> 39 | h[4] << 12,
        ];
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Whether the value is zero modulo p.
    pub fn is_zero(self) -> bool {
        self.to_bytes() == [0; 32]
    }

    /// The square.
    pub fn square(self) -> Self {
        self * self
    }

    fn squares(self, times: u32) -> Self {
        (0..times).fold(self, |power, _| power.square())
    }

    /// (self^(2^250 - 1), self^11): what both powers below begin with.
    fn power_250(self) -> (Self, Self) {
        let t2 = self.square();
        let t9 = t2.squares(2) * self;
        let t11 = t9 * t2;
        let p5 = t11.square() * t9;
        let p10 = p5.squares(5) * p5;
        let p20 = p10.squares(10) * p10;
        let p40 = p20.squares(20) * p20;
        let p50 = p40.squares(10) * p10;
        let p100 = p50.squares(50) * p50;
        let p200 = p100.squares(100) * p100;
        (p200.squares(50) * p50, t11)
    }

    /// 1/self; zero for zero.
    pub fn invert(self) -> Self {
        let (p250, t11) = self.power_250();
        p250.squares(5) * t11
    }

    /// self^((p - 5) / 8).
    fn power_p58(self) -> Self {
        self.power_250().0.squares(2) * self
    }

    /// Whether the value, below p, is odd: the sign that encodings carry of x.
    #[cfg(lanes)]
    pub fn is_odd(self) -> bool {
        self.to_bytes()[0] & 1 == 1
    }

    /// Whether u/v is a square; v not zero.
    ///
    /// With a = u·v, a^((p-1)/4) is 1 or -1 for a square and a root of -1 for the others.
    pub fn is_square_ratio(u: Self, v: Self) -> bool {
        let a = u * v;
        let quarter = a.power_p58().square() * a; // a^((p-5)/4 + 1)
        let half = quarter.square();
        half.is_zero() || (half - ONE).is_zero()
    }
}

fn carried(mut l: [u64; 5]) -> [u64; 5] {
    for i in 0..4 {
        l[i + 1] += l[i] >> 51;
        l[i] &= MASK;
    }
    l[0] += 19 * (l[4] >> 51);
    l[4] &= MASK;
    l
}

impl Add for Fe {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(carried(std::array::from_fn(|i| self.0[i] + other.0[i])))
    }
}

impl Sub for Fe {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        // 4p is added, so that no limb falls below zero.
        const FOUR_P: [u64; 5] = [4 * (MASK - 18), 4 * MASK, 4 * MASK, 4 * MASK, 4 * MASK];
        Self(carried(std::array::from_fn(|i| {
            self.0[i] + FOUR_P[i] - other.0[i]
        })))
    }
}

impl Mul for Fe {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let mut sums = [0u128; 5];
        for (i, x) in a.into_iter().enumerate() {
            for (j, y) in b.into_iter().enumerate() {
                let factor = if i + j < 5 { 1 } else { 19 };
                sums[(i + j) % 5] += u128::from(x) * u128::from(factor * y);
            }
        }
        let mut l = [0u64; 5];
        let mut carry = 0u128;
        for (limb, sum) in l.iter_mut().zip(sums) {
            let total = sum + carry;
            *limb = (total as u64) & MASK;
            carry = total >> 51;
        }
        // carry < 2^60, so 19 times it fits 128 bits and, split, the limbs.
        let first = u128::from(l[0]) + 19 * carry;
        l[0] = (first as u64) & MASK;
        l[1] += (first >> 51) as u64;
        Self(l)
    }
}
