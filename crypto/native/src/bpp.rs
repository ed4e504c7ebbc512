//! Bulletproofs+ verification, many proofs in one equation (eprint 2020/735), with Monero's
//! transcript. Everything here is public.

use std::sync::OnceLock;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT as G;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::encoding::{H, INV8, canonical, chunks, decompress, scalars};
use crate::hash::{hash_to_scalar, keccak, varint};
use crate::map::hash_to_point;
use crate::scalars::powers;

const BITS: usize = 64;
const VALUES_MAX: usize = 16;
const TERMS_MAX: usize = BITS * VALUES_MAX;

/// Hp(K("bulletproof_plus_transcript")).
fn transcript_init() -> [u8; 32] {
    static INIT: OnceLock<[u8; 32]> = OnceLock::new();
    *INIT.get_or_init(|| {
        let seed = keccak(&[b"bulletproof_plus_transcript"]);
        hash_to_point(&seed)
            .expect("a fixed point")
            .compress()
            .to_bytes()
    })
}

/// The vectors by turns: Hi[0], Gi[0], Hi[1], Gi[1], …
fn generators() -> &'static [EdwardsPoint] {
    static GENERATORS: OnceLock<Vec<EdwardsPoint>> = OnceLock::new();
    GENERATORS.get_or_init(|| {
        let generator = |i| {
            let seed = keccak(&[&H, b"bulletproof_plus", &varint(i)]);
            hash_to_point(&seed).expect("a fixed point")
        };
        (0..2 * TERMS_MAX as u32).map(generator).collect()
    })
}

/// A proof with its statement, in bytes; the fields are those of `BppInstance`.
struct Instance<'a> {
    commitments: &'a [u8],
    points: [&'a [u8]; 3],
    scalars: [&'a [u8]; 3],
    left: &'a [u8],
    right: &'a [u8],
    value_base: &'a [u8],
    extra: &'a [u8],
}

/// A decoded proof and its challenges. The points are as they were sent, without the factor 8.
struct Proof {
    v: Vec<EdwardsPoint>,
    a: EdwardsPoint,
    a1: EdwardsPoint,
    b: EdwardsPoint,
    r1: Scalar,
    s1: Scalar,
    d1: Scalar,
    left: Vec<EdwardsPoint>,
    right: Vec<EdwardsPoint>,
    value_base: [u8; 32],
    y: Scalar,
    z: Scalar,
    e: Scalar,
    x: Vec<Scalar>,
}

impl Proof {
    /// n = 64·M, M the least power of 2 that is at least the number of values.
    fn n(&self) -> usize {
        BITS * self.v.len().next_power_of_two()
    }
}

fn decode_all(packed: &[[u8; 32]]) -> Option<Vec<EdwardsPoint>> {
    packed.iter().map(|encoding| decompress(encoding)).collect()
}

impl Instance<'_> {
    fn open(&self) -> Option<Proof> {
        let commitments = chunks(self.commitments)?;
        let m = commitments.len();
        if !(1..=VALUES_MAX).contains(&m) {
            return None;
        }
        let rounds = (BITS * m.next_power_of_two()).ilog2() as usize;
        let (left, right) = (chunks(self.left)?, chunks(self.right)?);
        if left.len() != rounds || right.len() != rounds {
            return None;
        }
        let [r1, s1, d1] = self.scalars.map(canonical);
        let [a, a1, b] = self.points.map(decompress);
        let inv8 = Scalar::from_bytes_mod_order(INV8);
        let v: Vec<_> = decode_all(commitments)?.iter().map(|c| inv8 * c).collect();
        let packed_v: Vec<u8> = EdwardsPoint::compress_batch_alloc(&v)
            .iter()
            .flat_map(|encoding| encoding.to_bytes())
            .collect();
        let (y, z, x, e) = self.challenges(&packed_v, left, right)?;
        Some(Proof {
            v,
            a: a?,
            a1: a1?,
            b: b?,
            r1: r1?,
            s1: s1?,
            d1: d1?,
            left: decode_all(left)?,
            right: decode_all(right)?,
            value_base: self.value_base.try_into().ok()?,
            y,
            z,
            x,
            e,
        })
    }

    /// y, z, the rounds' x and e; `None` if one is zero.
    fn challenges(
        &self,
        v: &[u8],
        left: &[[u8; 32]],
        right: &[[u8; 32]],
    ) -> Option<(Scalar, Scalar, Vec<Scalar>, Scalar)> {
        let [a, a1, b] = self.points;
        let values = hash_to_scalar(&[v]);
        let start = hash_to_scalar(&[&transcript_init(), values.as_bytes(), self.extra]);
        let y = hash_to_scalar(&[start.as_bytes(), a]);
        let z = hash_to_scalar(&[y.as_bytes()]);
        let mut x = Vec::with_capacity(left.len());
        let mut last = z;
        for (l, r) in left.iter().zip(right) {
            last = hash_to_scalar(&[last.as_bytes(), l, r]);
            x.push(last);
        }
        let e = hash_to_scalar(&[last.as_bytes(), a1, b]);
        let zero = [y, z, e].contains(&Scalar::ZERO) || x.contains(&Scalar::ZERO);
        (!zero).then_some((y, z, x, e))
    }
}

/// The batch's equation: the sum of all terms is to be the identity. The fixed points' scalars
/// are meant times 1/8, since the whole sum is multiplied by 8.
struct Equation {
    g: Scalar,
    /// The generators of values with their scalars: few, so a list.
    values: Vec<([u8; 32], Scalar)>,
    /// Of Hi and Gi by turns.
    vectors: Vec<Scalar>,
    scalars: Vec<Scalar>,
    points: Vec<EdwardsPoint>,
}

impl Equation {
    fn new(n_max: usize) -> Self {
        Self {
            g: Scalar::ZERO,
            values: Vec::new(),
            vectors: vec![Scalar::ZERO; 2 * n_max],
            scalars: Vec::new(),
            points: Vec::new(),
        }
    }

    fn term(&mut self, scalar: Scalar, point: EdwardsPoint) {
        self.scalars.push(scalar);
        self.points.push(point);
    }

    fn value(&mut self, scalar: Scalar, base: [u8; 32]) {
        match self.values.iter_mut().find(|(known, _)| *known == base) {
            Some((_, sum)) => *sum += scalar,
            None => self.values.push((base, scalar)),
        }
    }

    /// Adds w times the proof's equation. `inverses`: of y, then of the x_j.
    fn add(&mut self, proof: &Proof, w: Scalar, inverses: &[Scalar]) {
        let (y, z, e, n) = (proof.y, proof.z, proof.e, proof.n());
        let (y_inv, x_inv) = (inverses[0], &inverses[1..]);
        let (z2, we, we2) = (z * z, w * e, w * e * e);
        let y_powers = powers(y, n + 2);
        let z_powers = powers(z2, n / BITS + 1);

        for (v, z_power) in proof.v.iter().zip(&z_powers[1..]) {
            self.term(-we2 * z_power * y_powers[n + 1], *v);
        }
        self.term(-w, proof.b);
        self.term(-we, proof.a1);
        self.term(-we2, proof.a);
        for (j, (x, x_inv)) in proof.x.iter().zip(x_inv).enumerate() {
            self.term(-we2 * x * x, proof.left[j]);
            self.term(-we2 * x_inv * x_inv, proof.right[j]);
        }

        let sum_d = Scalar::from(u64::MAX) * z_powers[1..].iter().sum::<Scalar>();
        let sum_y = y_powers[1..=n].iter().sum::<Scalar>();
        let ranges = y_powers[n + 1] * z * sum_d + (z2 - z) * sum_y;
        self.g += w * proof.d1;
        self.value(
            w * (proof.r1 * y * proof.s1) + we2 * ranges,
            proof.value_base,
        );
        self.add_vectors(proof, [we, we2, y_inv], x_inv, &y_powers, &z_powers);
    }

    /// Adds the scalars of Gi and Hi: with S_i the product over the rounds j, the first of which
    /// is the highest bit of i, of x_j where the bit is 1 and 1/x_j where it is 0,
    /// Gi: we·r1·y^-i·S_i + we²·z; Hi: we·s1·S_(n-1-i) - we²·z - we²·d_i·y^(n-i).
    fn add_vectors(
        &mut self,
        proof: &Proof,
        [we, we2, y_inv]: [Scalar; 3],
        x_inv: &[Scalar],
        y_powers: &[Scalar],
        z_powers: &[Scalar],
    ) {
        let n = proof.n();
        let mut products = vec![Scalar::ONE];
        for (x, x_inv) in proof.x.iter().zip(x_inv) {
            products = products.iter().flat_map(|s| [s * x_inv, s * x]).collect();
        }
        let shift = we2 * proof.z;
        let (mut r, s) = (we * proof.r1, we * proof.s1);
        let mut d = Scalar::ZERO;
        for i in 0..n {
            d = if i % BITS == 0 {
                we2 * z_powers[i / BITS + 1]
            } else {
                d + d
            };
            self.vectors[2 * i + 1] += r * products[i] + shift;
            self.vectors[2 * i] += s * products[n - 1 - i] - shift - d * y_powers[n - i];
            r *= y_inv;
        }
    }

    /// Whether the sum, times 8, is the identity; `None` if a generator of values is unfit.
    fn holds(mut self) -> Option<bool> {
        let inv8 = Scalar::from_bytes_mod_order(INV8);
        for (base, scalar) in std::mem::take(&mut self.values) {
            let point = decompress(&base)?;
            if base != H && (point.is_identity() || !point.is_torsion_free()) {
                return None;
            }
            self.term(inv8 * scalar, point);
        }
        self.term(inv8 * self.g, G);
        let n = self.vectors.len();
        self.scalars
            .extend(self.vectors.iter().map(|scalar| inv8 * scalar));
        self.points.extend_from_slice(&generators()[..n]);
        let sum = EdwardsPoint::vartime_multiscalar_mul(&self.scalars, &self.points);
        Some(sum.mul_by_cofactor().is_identity())
    }
}

fn holds(instances: &[Instance<'_>], weights: &[Scalar]) -> Option<bool> {
    let proofs: Vec<Proof> = instances
        .iter()
        .map(Instance::open)
        .collect::<Option<_>>()?;
    let n_max = proofs.iter().map(Proof::n).max();
    let Some(n_max) = n_max else {
        return Some(true);
    };
    let mut inverses: Vec<Scalar> = proofs
        .iter()
        .flat_map(|p| std::iter::once(p.y).chain(p.x.iter().copied()))
        .collect();
    Scalar::invert_batch_alloc(&mut inverses);
    let mut equation = Equation::new(n_max);
    let mut rest = inverses.as_slice();
    for (proof, weight) in proofs.iter().zip(weights) {
        let (mine, others) = rest.split_at(1 + proof.x.len());
        equation.add(proof, *weight, mine);
        rest = others;
    }
    equation.holds()
}

#[pyfunction]
fn bpp_verify_batch<'py>(
    py: Python<'py>,
    instances: Vec<[Bound<'py, PyBytes>; 11]>,
    weights: &[u8],
) -> PyResult<bool> {
    let weights = scalars("weights", weights)?;
    let instances: Vec<Instance<'_>> = instances
        .iter()
        .map(|fields| {
            let [
                commitments,
                a,
                a1,
                b,
                r1,
                s1,
                d1,
                left,
                right,
                value_base,
                extra,
            ] = fields.each_ref().map(|field| field.as_bytes());
            Instance {
                commitments,
                points: [a, a1, b],
                scalars: [r1, s1, d1],
                left,
                right,
                value_base,
                extra,
            }
        })
        .collect();
    Ok(py.detach(|| holds(&instances, &weights)) == Some(true))
}

/// Adds the function to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(bpp_verify_batch, module)?)
}
