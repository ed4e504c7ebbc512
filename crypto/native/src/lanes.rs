//! Eight curve points at once, one in each 64-bit lane of AVX-512, by IFMA's 52-bit multiplication.
//!
//! Elements modulo p have five limbs of 51 bits, as in `field`. *Reduced* means every limb below
//! 2^51 + 2^16; all functions take and return reduced elements, which fit the 52 bits that the
//! multiplier reads. All steps are the same for every lane and every value.
//! Formulas: Hisil, Wong, Carter, Dawson, "Twisted Edwards Curves Revisited" (2008), §3.1 and §3.3.

use core::arch::x86_64::*;

use crate::field::{self, Fe};

/// Lanes of a vector.
pub const LANES: usize = 8;

const MASK: i64 = (1 << 51) - 1;

/// Eight elements modulo p, reduced.
#[derive(Clone, Copy)]
pub struct Fe8([__m512i; 5]);

#[target_feature(enable = "avx512f")]
fn vector(values: [u64; LANES]) -> __m512i {
    let [a, b, c, d, e, f, g, h] = values.map(u64::cast_signed);
    _mm512_set_epi64(h, g, f, e, d, c, b, a)
}

#[target_feature(enable = "avx512f")]
fn values(v: __m512i) -> [u64; LANES] {
    let (low, high) = (_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64::<1>(v));
    [
        _mm256_extract_epi64::<0>(low),
        _mm256_extract_epi64::<1>(low),
        _mm256_extract_epi64::<2>(low),
        _mm256_extract_epi64::<3>(low),
        _mm256_extract_epi64::<0>(high),
        _mm256_extract_epi64::<1>(high),
        _mm256_extract_epi64::<2>(high),
        _mm256_extract_epi64::<3>(high),
    ]
    .map(i64::cast_unsigned)
}

/// Carries each limb's excess to the next, once: limbs below 2^61 become reduced.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn carried(l: [__m512i; 5]) -> Fe8 {
    let mask = _mm512_set1_epi64(MASK);
    let over = |k: usize| _mm512_srli_epi64::<51>(l[k]);
    let kept = |k: usize| _mm512_and_si512(l[k], mask);
    Fe8([
        // The excess of the highest limb is worth 19 in the lowest; 19·2^10 is below 2^16.
        _mm512_madd52lo_epu64(kept(0), over(4), _mm512_set1_epi64(19)),
        _mm512_add_epi64(kept(1), over(0)),
        _mm512_add_epi64(kept(2), over(1)),
        _mm512_add_epi64(kept(3), over(2)),
        _mm512_add_epi64(kept(4), over(3)),
    ])
}

/// z_0 + z_1·2^51 + … + z_9·2^459 with z_k = low_k + 2·high_k (z_k < 2^56), modulo p.
#[target_feature(enable = "avx512f,avx512ifma")]
#[inline]
fn folded(low: [__m512i; 10], high: [__m512i; 10]) -> Fe8 {
    let z = |k: usize| _mm512_add_epi64(low[k], _mm512_add_epi64(high[k], high[k]));
    let limb = |k: usize| {
        // z_k + 19·z_(k+5), below 2^61.
        let upper = z(k + 5);
        let three = _mm512_add_epi64(upper, _mm512_add_epi64(upper, upper));
        _mm512_add_epi64(_mm512_add_epi64(z(k), three), _mm512_slli_epi64::<4>(upper))
    };
    carried([limb(0), limb(1), limb(2), limb(3), limb(4)])
}

impl Fe8 {
    /// The same element in every lane.
    #[target_feature(enable = "avx512f")]
    pub fn splat(element: Fe) -> Self {
        Self(
            element
                .limbs()
                .map(|limb| _mm512_set1_epi64(limb.cast_signed())),
        )
    }

    /// One element in each lane.
    #[target_feature(enable = "avx512f")]
    pub fn from_lanes(elements: &[Fe; LANES]) -> Self {
        let limb = |k: usize| vector(elements.map(|element| element.limbs()[k]));
        Self([limb(0), limb(1), limb(2), limb(3), limb(4)])
    }

    /// The elements of the lanes.
    #[target_feature(enable = "avx512f")]
    pub fn to_lanes(self) -> [Fe; LANES] {
        let [a, b, c, d, e] = self.0;
        let limbs = [values(a), values(b), values(c), values(d), values(e)];
        std::array::from_fn(|lane| Fe::from_limbs(limbs.map(|limb| limb[lane])))
    }

    /// self + other.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub fn plus(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let sum = |k: usize| _mm512_add_epi64(a[k], b[k]);
        carried([sum(0), sum(1), sum(2), sum(3), sum(4)])
    }

    /// self - other.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub fn minus(self, other: Self) -> Self {
        // 2p is added, each limb of which is above a reduced one.
        let (a, b) = (self.0, other.0);
        let difference = |k: usize, two_p: i64| {
            _mm512_sub_epi64(_mm512_add_epi64(a[k], _mm512_set1_epi64(two_p)), b[k])
        };
        carried([
            difference(0, 2 * (MASK - 18)),
            difference(1, 2 * MASK),
            difference(2, 2 * MASK),
            difference(3, 2 * MASK),
            difference(4, 2 * MASK),
        ])
    }

    /// self·other.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub fn times(self, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let zero = _mm512_setzero_si512();
        let (mut low, mut high) = ([zero; 10], [zero; 10]);
        let mut i = 0;
        while i < 5 {
            let mut j = 0;
            while j < 5 {
                low[i + j] = _mm512_madd52lo_epu64(low[i + j], a[i], b[j]);
                high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], a[i], b[j]);
                j += 1;
            }
            i += 1;
        }
        folded(low, high)
    }

    /// self².
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    pub fn squared(self) -> Self {
        let a = self.0;
        let zero = _mm512_setzero_si512();
        let (mut low, mut high) = ([zero; 10], [zero; 10]);
        let mut i = 0;
        while i < 5 {
            let mut j = i + 1;
            while j < 5 {
                low[i + j] = _mm512_madd52lo_epu64(low[i + j], a[i], a[j]);
                high[i + j + 1] = _mm512_madd52hi_epu64(high[i + j + 1], a[i], a[j]);
                j += 1;
            }
            i += 1;
        }
        let mut k = 0;
        while k < 10 {
            low[k] = _mm512_add_epi64(low[k], low[k]);
            high[k] = _mm512_add_epi64(high[k], high[k]);
            k += 1;
        }
        let mut i = 0;
        while i < 5 {
            low[2 * i] = _mm512_madd52lo_epu64(low[2 * i], a[i], a[i]);
            high[2 * i + 1] = _mm512_madd52hi_epu64(high[2 * i + 1], a[i], a[i]);
            i += 1;
        }
        folded(low, high)
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn squares(mut self, times: u32) -> Self {
        for _ in 0..times {
            self = self.squared();
        }
        self
    }

    /// (self^(2^250 - 1), self^11).
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn power_250(self) -> (Self, Self) {
        let t2 = self.squared();
        let t9 = t2.squares(2).times(self);
        let t11 = t9.times(t2);
        let p5 = t11.squared().times(t9);
        let p10 = p5.squares(5).times(p5);
        let p20 = p10.squares(10).times(p10);
        let p40 = p20.squares(20).times(p20);
        let p50 = p40.squares(10).times(p10);
        let p100 = p50.squares(50).times(p50);
        let p200 = p100.squares(100).times(p100);
        (p200.squares(50).times(p50), t11)
    }

    /// 1/self; zero for zero.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn inverted(self) -> Self {
        let (p250, t11) = self.power_250();
        p250.squares(5).times(t11)
    }

    /// self^((p - 5) / 8).
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn power_p58(self) -> Self {
        self.power_250().0.squares(2).times(self)
    }

    /// The lanes of `other` where the bit in `mask` is set, of `self` elsewhere.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn or(self, mask: u8, other: Self) -> Self {
        let (a, b) = (self.0, other.0);
        let limb = |k: usize| _mm512_mask_mov_epi64(a[k], mask, b[k]);
        Self([limb(0), limb(1), limb(2), limb(3), limb(4)])
    }
}

/// Eight points: x = X/Z, y = Y/Z, T = XY/Z.
#[derive(Clone, Copy)]
pub struct Points8 {
    x: Fe8,
    y: Fe8,
    z: Fe8,
    t: Fe8,
}

/// Eight points as the second operand of an addition: Y+X, Y-X, 2dT, and Z where it is not 1.
#[derive(Clone, Copy)]
struct Cached8 {
    plus: Fe8,
    minus: Fe8,
    t2d: Fe8,
    z: Option<Fe8>,
}

fn lanes_where(is_set: impl Fn(usize) -> bool) -> u8 {
    (0..LANES).fold(0, |mask, lane| mask | u8::from(is_set(lane)) << lane)
}

impl Points8 {
    /// Decodes encodings that are known to be of points.
    ///
    /// With u = y² - 1 and v = d·y² + 1, x is u·v³·(u·v^7)^((p-5)/8) or that times sqrt(-1).
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn decode(encodings: &[[u8; 32]; LANES]) -> Self {
        let y = Fe8::from_lanes(&encodings.map(|mut encoding| {
            encoding[31] &= 0x7f;
            Fe::from_bytes_mod_p(&encoding)
        }));
        let (one, yy) = (Fe8::splat(field::ONE), y.squared());
        let (u, v) = (yy.minus(one), yy.times(Fe8::splat(field::D)).plus(one));
        let vv = v.squared();
        let uv3 = u.times(vv).times(v);
        let x = uv3.times(uv3.times(vv.squared()).power_p58());
        let rests = v.times(x.squared()).minus(u).to_lanes();
        let x = x.or(
            lanes_where(|lane| !rests[lane].is_zero()),
            x.times(Fe8::splat(field::SQRT_MINUS_ONE)),
        );
        let xs = x.to_lanes();
        let wrong = |lane: usize| xs[lane].is_odd() != (encodings[lane][31] >> 7 == 1);
        let x = x.or(lanes_where(wrong), Fe8::splat(field::ZERO).minus(x));
        Self {
            x,
            y,
            z: Fe8::splat(field::ONE),
            t: x.times(y),
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn identity() -> Self {
        let (zero, one) = (Fe8::splat(field::ZERO), Fe8::splat(field::ONE));
        Self {
            x: zero,
            y: one,
            z: one,
            t: zero,
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn cached(self) -> Cached8 {
        Cached8 {
            plus: self.y.plus(self.x),
            minus: self.y.minus(self.x),
            t2d: self.t.times(Fe8::splat(field::TWO_D)),
            z: Some(self.z),
        }
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn add(self, other: Cached8) -> Self {
        let a = self.y.minus(self.x).times(other.minus);
        let b = self.y.plus(self.x).times(other.plus);
        let c = self.t.times(other.t2d);
        let zz = match other.z {
            Some(z) => self.z.times(z),
            None => self.z,
        };
        let d = zz.plus(zz);
        let (e, f, g, h) = (b.minus(a), d.minus(c), d.plus(c), b.plus(a));
        Self {
            x: e.times(f),
            y: g.times(h),
            z: f.times(g),
            t: e.times(h),
        }
    }

    /// 2^times·self, times > 0. T, which a doubling does not read, is computed for the last only.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn doubled(mut self, times: u32) -> Self {
        for left in (0..times).rev() {
            let (a, b, zz) = (self.x.squared(), self.y.squared(), self.z.squared());
            let h = a.plus(b);
            let e = h.minus(self.x.plus(self.y).squared());
            let g = a.minus(b);
            let f = zz.plus(zz).plus(g);
            let t = if left == 0 { e.times(h) } else { self.t };
            self = Self {
                x: e.times(f),
                y: g.times(h),
                z: f.times(g),
                t,
            };
        }
        self
    }

    /// 1/Z of both, by one inversion.
    #[target_feature(enable = "avx512f,avx512ifma")]
    fn inverted_z(self, other: Self) -> (Fe8, Fe8) {
        let inverse = self.z.times(other.z).inverted();
        (inverse.times(other.z), inverse.times(self.z))
    }

    #[target_feature(enable = "avx512f,avx512ifma")]
    fn encoded(self, inverse: Fe8) -> [[u8; 32]; LANES] {
        let x = self.x.times(inverse).to_lanes();
        let y = self.y.times(inverse).to_lanes();
        std::array::from_fn(|lane| {
            let mut encoding = y[lane].to_bytes();
            encoding[31] |= u8::from(x[lane].is_odd()) << 7;
            encoding
        })
    }

    /// The encodings of both, lane by lane.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn encode(self, other: Self) -> ([[u8; 32]; LANES], [[u8; 32]; LANES]) {
        let (mine, others) = self.inverted_z(other);
        (self.encoded(mine), other.encoded(others))
    }
}

/// Parts into which a scalar is cut; each part has its own multiples of the point.
const PARTS: usize = 4;
/// Digits of 4 bits in a part.
const PART_DIGITS: usize = 64 / PARTS;
/// 0 to 8, the magnitudes of a digit.
const MULTIPLES: usize = 9;

/// (y + x, y - x, 2dxy) of an affine point.
type Entry = [[u64; 5]; 3];

/// k·2^(64j)·P for 0 <= k <= 8 and 0 <= j < 4: 4 kB that spare three doublings of four.
pub struct Table(Box<[[Entry; MULTIPLES]; PARTS]>);

impl Table {
    /// Computes the tables of eight points, given by encodings that are known to be of points.
    #[target_feature(enable = "avx512f,avx512ifma")]
    pub fn of_eight(points: &[[u8; 32]; LANES]) -> [Self; LANES] {
        let identity = [field::ONE.limbs(), field::ONE.limbs(), field::ZERO.limbs()];
        let mut tables: [Self; LANES] =
            std::array::from_fn(|_| Self(Box::new([[identity; MULTIPLES]; PARTS])));
        let mut first = Points8::decode(points);
        for part in 0..PARTS {
            let step = first.cached();
            let mut multiples = [first; MULTIPLES - 1];
            for k in 1..multiples.len() {
                multiples[k] = multiples[k - 1].add(step);
            }
            for (k, entries) in affine_entries(&multiples).into_iter().enumerate() {
                for (table, entry) in tables.iter_mut().zip(entries) {
                    table.0[part][k + 1] = entry;
                }
            }
            first = first.doubled(64);
        }
        tables
    }

    /// digit·2^(64·part)·P in each lane, -8 <= digit <= 8.
    #[target_feature(enable = "avx512f,avx512ifma")]
    #[inline]
    fn select(tables: &[&Self; LANES], part: usize, digits: &[i8; LANES]) -> Cached8 {
        let entries: [&Entry; LANES] = std::array::from_fn(|lane| {
            &tables[lane].0[part][usize::from(digits[lane].unsigned_abs())]
        });
        let limb = |which: usize, k: usize| vector(entries.map(|entry| entry[which][k]));
        let element = |which: usize| {
            Fe8([
                limb(which, 0),
                limb(which, 1),
                limb(which, 2),
                limb(which, 3),
                limb(which, 4),
            ])
        };
        let (plus, minus, t2d) = (element(0), element(1), element(2));
        let negative = lanes_where(|lane| digits[lane] < 0);
        Cached8 {
            plus: plus.or(negative, minus),
            minus: minus.or(negative, plus),
            t2d: t2d.or(negative, Fe8::splat(field::ZERO).minus(t2d)),
            z: None,
        }
    }
}

/// The entries of the points' lanes, with one inversion for all.
#[target_feature(enable = "avx512f,avx512ifma")]
fn affine_entries(points: &[Points8; MULTIPLES - 1]) -> [[Entry; LANES]; MULTIPLES - 1] {
    let mut products = [points[0].z; MULTIPLES - 1];
    for k in 1..points.len() {
        products[k] = products[k - 1].times(points[k].z);
    }
    let mut inverse = products[points.len() - 1].inverted();
    let mut entries = [[[[0; 5]; 3]; LANES]; MULTIPLES - 1];
    for k in (0..points.len()).rev() {
        let z_inverse = if k == 0 {
            inverse
        } else {
            inverse.times(products[k - 1])
        };
        inverse = inverse.times(points[k].z);
        let (x, y) = (points[k].x.times(z_inverse), points[k].y.times(z_inverse));
        let t2d = x.times(y).times(Fe8::splat(field::TWO_D));
        let lanes = [y.plus(x).to_lanes(), y.minus(x).to_lanes(), t2d.to_lanes()];
        entries[k] =
            std::array::from_fn(|lane| lanes.each_ref().map(|element| element[lane].limbs()));
    }
    entries
}

/// 64 signed digits of 4 bits, low ones first, of a scalar in each lane.
pub struct Digits8(Box<[[i8; LANES]; 64]>);

impl Digits8 {
    /// Recodes scalars below 2^253.
    pub fn new(scalars: &[[u8; 32]; LANES]) -> Self {
        let mut digits = Box::new([[0; LANES]; 64]);
        for (lane, scalar) in scalars.iter().enumerate() {
            let mut carry = 0;
            for (k, digit) in digits.iter_mut().enumerate() {
                let nibble = (scalar[k / 2] >> (4 * (k % 2)) & 15) as i8 + carry;
                carry = i8::from(nibble > 8);
                digit[lane] = nibble - 16 * carry;
            }
        }
        Self(digits)
    }
}

/// The sum of scalar·point over the terms, in each lane.
#[target_feature(enable = "avx512f,avx512ifma")]
pub fn sum_of_multiples(terms: &[(&Digits8, [&Table; LANES])]) -> Points8 {
    let mut sum = Points8::identity();
    for k in (0..PART_DIGITS).rev() {
        sum = sum.doubled(4);
        for (digits, tables) in terms {
            for part in 0..PARTS {
                let digit = &digits.0[PART_DIGITS * part + k];
                sum = sum.add(Table::select(tables, part, digit));
            }
        }
    }
    sum
}
