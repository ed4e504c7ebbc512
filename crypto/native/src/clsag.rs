//! CLSAG verification (Goodell, Noether, RandomRun, eprint 2019/654), as Monero's consensus has
//! it, with the check of the key image's order. Everything here is public.

#[cfg(lanes)]
use std::sync::OnceLock;
#[cfg(lanes)]
use std::sync::atomic::{AtomicBool, Ordering};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT as G;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, VartimeMultiscalarMul};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::encoding::{
    bytes32, canonical, chunks, decompress, pack, point, points, scalar, scalars,
};
use crate::errors::{Checked, Invalid};
use crate::hash::Prefix;
#[cfg(lanes)]
use crate::lockstep::{Encoded, RingTables, close_all};
use crate::map::hash_to_point;

const AGG_0: [u8; 32] = padded(b"CLSAG_agg_0");
const AGG_1: [u8; 32] = padded(b"CLSAG_agg_1");
const ROUND: [u8; 32] = padded(b"CLSAG_round");

const fn padded(text: &[u8; 11]) -> [u8; 32] {
    let mut out = [0; 32];
    let mut i = 0;
    while i < text.len() {
        out[i] = text[i];
        i += 1;
    }
    out
}

/// A ring: P_i, C_i and Hp(P_i), decoded, and the hashes that begin with all P_i and C_i.
#[pyclass(frozen)]
pub struct Ring {
    /// For verification in lock-step; computed when first asked for.
    #[cfg(lanes)]
    tables: OnceLock<RingTables>,
    #[cfg(lanes)]
    is_known: AtomicBool,
    keys: Vec<EdwardsPoint>,
    commitments: Vec<EdwardsPoint>,
    images: Vec<EdwardsPoint>,
    agg_0: Prefix,
    agg_1: Prefix,
    round: Prefix,
}

impl Ring {
    fn new(keys: &[u8], commitments: &[u8]) -> Checked<Self> {
        let image = |(k, key): (usize, &[u8; 32])| {
            hash_to_point(key).ok_or_else(|| {
                Invalid::Point(format!("points[{k}]"), "must not hash to the identity")
            })
        };
        let packed_keys = chunks(keys).unwrap_or_default();
        let images: Vec<_> = packed_keys
            .iter()
            .enumerate()
            .map(image)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            #[cfg(lanes)]
            tables: OnceLock::new(),
            #[cfg(lanes)]
            is_known: AtomicBool::new(false),
            keys: points("points", keys)?,
            commitments: points("points", commitments)?,
            images,
            agg_0: Prefix::new(&[&AGG_0, keys, commitments]),
            agg_1: Prefix::new(&[&AGG_1, keys, commitments]),
            round: Prefix::new(&[&ROUND, keys, commitments]),
        })
    }
}

#[cfg(lanes)]
impl Ring {
    /// Whether the ring has been asked this before. Its tables cost as much as one signature, so
    /// that a ring which is used once had better do without.
    pub fn is_known(&self) -> bool {
        self.is_known.swap(true, Ordering::Relaxed)
    }

    /// The multiples of its points that the lanes read.
    pub fn tables(&self) -> &RingTables {
        self.tables.get_or_init(|| {
            RingTables::new(
                &encoded(&self.keys),
                &encoded(&self.commitments),
                &encoded(&self.images),
            )
        })
    }
}

#[cfg(lanes)]
fn encoded(points: &[EdwardsPoint]) -> Vec<Encoded> {
    let encodings = EdwardsPoint::compress_batch_alloc(points);
    encodings
        .iter()
        .map(|encoding| encoding.to_bytes())
        .collect()
}

/// A signature with its statement, in bytes; the fields are those of `ClsagInstance`.
struct Instance<'a> {
    ring: &'a Ring,
    pseudo_out: &'a [u8],
    key_image: &'a [u8],
    message: &'a [u8],
    d: &'a [u8],
    c1: &'a [u8],
    s: &'a [u8],
}

/// What `Instance` says, decoded, and the two aggregation coefficients.
pub struct Opened {
    pseudo_out: EdwardsPoint,
    /// mu_P·I + mu_C·D: both have one factor, c, in every round.
    image: EdwardsPoint,
    pub mu_p: Scalar,
    pub mu_c: Scalar,
    pub c1: Scalar,
    pub s: Vec<Scalar>,
    /// The round's hash up to the message.
    pub round: Prefix,
}

impl Instance<'_> {
    fn open(&self) -> Option<Opened> {
        let s = scalars("s", self.s).ok()?;
        if s.len() != self.ring.keys.len() || bytes32(self.message).is_none() {
            return None;
        }
        let c1 = canonical(self.c1)?;
        let pseudo_out = decompress(self.pseudo_out)?;
        let image = decompress(self.key_image)?;
        let d = decompress(self.d)?.mul_by_cofactor();
        if image.is_identity() || d.is_identity() || !image.is_torsion_free() {
            return None;
        }
        let statement: [&[u8]; 3] = [self.key_image, self.d, self.pseudo_out];
        let mu_p = self.ring.agg_0.hash_to_scalar(&statement);
        let mu_c = self.ring.agg_1.hash_to_scalar(&statement);
        let image = EdwardsPoint::vartime_multiscalar_mul([mu_p, mu_c], [image, d]);
        let round = self.ring.round.and(&[self.pseudo_out, self.message]);
        Some(Opened {
            pseudo_out,
            mu_p,
            mu_c,
            image,
            c1,
            s,
            round,
        })
    }
}

impl Opened {
    /// c_{i+1} of c_i.
    fn next(&self, ring: &Ring, i: usize, s: &Scalar, c: &Scalar) -> Scalar {
        let left = EdwardsPoint::vartime_multiscalar_mul(
            [*s, c * self.mu_p, c * self.mu_c],
            [G, ring.keys[i], ring.commitments[i] - self.pseudo_out],
        );
        let right = EdwardsPoint::vartime_multiscalar_mul([*s, *c], [ring.images[i], self.image]);
        let [left, right] = EdwardsPoint::compress_batch(&[left, right]);
        self.round
            .hash_to_scalar(&[left.as_bytes(), right.as_bytes()])
    }

    /// Whether the rounds lead from c_0 back to c_0.
    pub fn closes(&self, ring: &Ring) -> bool {
        let mut c = self.c1;
        for (i, s) in self.s.iter().enumerate() {
            if c == Scalar::ZERO {
                return false;
            }
            c = self.next(ring, i, s, &c);
        }
        c != Scalar::ZERO && c == self.c1
    }
}

#[cfg(lanes)]
impl Opened {
    /// The pseudo-output encoded.
    pub fn pseudo_out_encoded(&self) -> Encoded {
        self.pseudo_out.compress().to_bytes()
    }

    /// mu_P·I + mu_C·D encoded.
    pub fn image_encoded(&self) -> Encoded {
        self.image.compress().to_bytes()
    }
}

fn verify_many(instances: &[Instance<'_>]) -> Vec<bool> {
    let opened: Vec<Option<Opened>> = instances.iter().map(Instance::open).collect();
    let well_formed: Vec<(&Ring, &Opened)> = instances
        .iter()
        .zip(&opened)
        .filter_map(|(instance, opened)| opened.as_ref().map(|opened| (instance.ring, opened)))
        .collect();
    let mut closed = close_all(&well_formed).into_iter();
    opened
        .iter()
        .map(|opened| opened.is_some() && closed.next() == Some(true))
        .collect()
}

#[cfg(not(lanes))]
fn close_all(jobs: &[(&Ring, &Opened)]) -> Vec<bool> {
    jobs.iter()
        .map(|(ring, opened)| opened.closes(ring))
        .collect()
}

#[pyfunction]
fn ring(py: Python<'_>, keys: &[u8], commitments: &[u8]) -> PyResult<Ring> {
    Ok(py.detach(|| Ring::new(keys, commitments))?)
}

#[pyfunction]
fn ring_images<'py>(py: Python<'py>, handle: &Ring) -> Bound<'py, PyBytes> {
    let encodings = EdwardsPoint::compress_batch_alloc(&handle.images);
    let packed: Vec<u8> = encodings
        .iter()
        .flat_map(|point| point.to_bytes())
        .collect();
    PyBytes::new(py, &packed)
}

type Fields<'py> = (
    Bound<'py, PyAny>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
    Bound<'py, PyBytes>,
);

#[pyfunction]
fn clsag_verify_many<'py>(
    py: Python<'py>,
    instances: Vec<(Bound<'py, Ring>, Fields<'py>)>,
) -> Vec<bool> {
    let instances: Vec<Instance<'_>> = instances
        .iter()
        .map(
            |(ring, (_, pseudo_out, key_image, message, d, c1, s))| Instance {
                ring: ring.get(),
                pseudo_out: pseudo_out.as_bytes(),
                key_image: key_image.as_bytes(),
                message: message.as_bytes(),
                d: d.as_bytes(),
                c1: c1.as_bytes(),
                s: s.as_bytes(),
            },
        )
        .collect();
    py.detach(|| verify_many(&instances))
}

/// The n challenges c_start, c_{start+1}, ...: the signer's way round the ring.
#[pyfunction]
fn clsag_walk<'py>(
    py: Python<'py>,
    ring: &Ring,
    aggregate: (&[u8], &[u8], &[u8]),
    pseudo_out: &[u8],
    message: &[u8],
    start: usize,
    c: &[u8],
    s: &[u8],
) -> PyResult<Bound<'py, PyBytes>> {
    let (image, mu_p, mu_c) = aggregate;
    let opened = Opened {
        pseudo_out: point("pseudo_out", pseudo_out)?,
        image: point("image", image)?,
        mu_p: scalar("mu_P", mu_p)?,
        mu_c: scalar("mu_C", mu_c)?,
        c1: scalar("c", c)?,
        s: scalars("s", s)?,
        round: ring.round.and(&[pseudo_out, message]),
    };
    let n = ring.keys.len();
    if opened.s.len() != n {
        return Err(Invalid::Scalar("s".into(), "must be one scalar for each member").into());
    }
    let challenges: Vec<Scalar> = py.detach(|| {
        let mut c = opened.c1;
        let mut all = vec![c];
        for i in (start..).take(n - 1).map(|i| i % n) {
            c = opened.next(ring, i, &opened.s[i], &c);
            all.push(c);
        }
        all
    });
    Ok(PyBytes::new(py, &pack(&challenges)))
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Ring>()?;
    module.add_function(wrap_pyfunction!(ring, module)?)?;
    module.add_function(wrap_pyfunction!(ring_images, module)?)?;
    module.add_function(wrap_pyfunction!(clsag_walk, module)?)?;
    module.add_function(wrap_pyfunction!(clsag_verify_many, module)?)
}
