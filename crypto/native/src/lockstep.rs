//! The rounds of eight CLSAGs at a time, one in each lane: within one signature every round waits
//! for the hash of the one before, so only several together keep the multiplier busy.

use std::array::from_fn;
use std::sync::OnceLock;

use crate::clsag::{Opened, Ring};
use crate::lanes::{Digits8, LANES, Table, sum_of_multiples};
use curve25519_dalek::constants::ED25519_BASEPOINT_COMPRESSED as G;
use curve25519_dalek::scalar::Scalar;

/// The encoding of a point that has been decoded before.
pub type Encoded = [u8; 32];

/// Fewer signatures than this are faster one by one.
const LANES_MIN: usize = 3;

/// A signature whose form is right, and its ring.
pub type Job<'a> = (&'a Ring, &'a Opened);

/// The tables of a ring: of P_i, C_i and Hp(P_i), in the order of the members.
pub struct RingTables {
    keys: Vec<Table>,
    commitments: Vec<Table>,
    images: Vec<Table>,
}

impl RingTables {
    /// Computes them; 4 kB a point.
    pub fn new(keys: &[Encoded], commitments: &[Encoded], images: &[Encoded]) -> Self {
        Self {
            keys: tables(keys),
            commitments: tables(commitments),
            images: tables(images),
        }
    }
}

fn tables(points: &[Encoded]) -> Vec<Table> {
    let all = points.chunks(LANES).flat_map(|chunk| {
        let eight = from_fn(|lane| *chunk.get(lane).unwrap_or(&chunk[0]));
        // SAFETY: this module is compiled only for processors that have these instructions, and
        // `check_processor` refuses to load the library on any other.
        #[allow(unsafe_code)]
        let made = unsafe { Table::of_eight(&eight) };
        made.into_iter().take(chunk.len())
    });
    all.collect()
}

fn base() -> &'static Table {
    static BASE: OnceLock<Table> = OnceLock::new();
    BASE.get_or_init(|| tables(&[G.to_bytes()]).remove(0))
}

fn digits(scalars: [Scalar; LANES]) -> Digits8 {
    Digits8::new(&scalars.map(|s| s.to_bytes()))
}

/// Whether the rounds of each lane's signature lead back to its c_0; all rings have n members.
#[target_feature(enable = "avx512f,avx512ifma")]
fn close(lanes: [Job<'_>; LANES], n: usize) -> [bool; LANES] {
    let rings = lanes.map(|(ring, _)| ring.tables());
    let pseudo_outs = Table::of_eight(&lanes.map(|(_, opened)| opened.pseudo_out_encoded()));
    let images = Table::of_eight(&lanes.map(|(_, opened)| opened.image_encoded()));
    let mut c = lanes.map(|(_, opened)| opened.c1);
    let mut ok = [true; LANES];
    for i in 0..n {
        for lane in 0..LANES {
            ok[lane] &= c[lane] != Scalar::ZERO;
        }
        let c_c: [Scalar; LANES] = from_fn(|lane| c[lane] * lanes[lane].1.mu_c);
        let s = digits(lanes.map(|(_, opened)| opened.s[i]));
        let left = sum_of_multiples(&[
            (&s, [base(); LANES]),
            (
                &digits(from_fn(|lane| c[lane] * lanes[lane].1.mu_p)),
                rings.map(|r| &r.keys[i]),
            ),
            (&digits(c_c), rings.map(|r| &r.commitments[i])),
            (&digits(c_c.map(|s| -s)), pseudo_outs.each_ref()),
        ]);
        let right = sum_of_multiples(&[
            (&s, rings.map(|r| &r.images[i])),
            (&digits(c), images.each_ref()),
        ]);
        let (left, right) = left.encode(right);
        c = from_fn(|lane| {
            lanes[lane]
                .1
                .round
                .hash_to_scalar(&[&left[lane], &right[lane]])
        });
    }
    from_fn(|lane| ok[lane] && c[lane] != Scalar::ZERO && c[lane] == lanes[lane].1.c1)
}

/// Whether each signature's rounds close: eight at a time where their rings are in use already,
/// the rest one by one.
pub fn close_all(jobs: &[Job<'_>]) -> Vec<bool> {
    let mut closed = vec![None; jobs.len()];
    let mut order: Vec<usize> = (0..jobs.len()).filter(|k| jobs[*k].0.is_known()).collect();
    order.sort_by_key(|k| jobs[*k].1.s.len());
    for same in order.chunk_by(|a, b| jobs[*a].1.s.len() == jobs[*b].1.s.len()) {
        for group in same.chunks(LANES).filter(|group| group.len() >= LANES_MIN) {
            // A short group is filled up with its first; what comes out twice is dropped.
            let lanes = from_fn(|lane| jobs[*group.get(lane).unwrap_or(&group[0])]);
            let n = lanes[0].1.s.len();
            // SAFETY: as in `tables`.
            #[allow(unsafe_code)]
            let results = unsafe { close(lanes, n) };
            group
                .iter()
                .zip(results)
                .for_each(|(k, result)| closed[*k] = Some(result));
        }
    }
    let one_by_one =
        |(job, closed): (&Job<'_>, Option<bool>)| closed.unwrap_or_else(|| job.1.closes(job.0));
    jobs.iter().zip(closed).map(one_by_one).collect()
}
