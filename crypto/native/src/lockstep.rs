//! The rounds of eight CLSAGs at a time, one in each lane: within one signature every round waits
//! for the hash of the one before, so only several together keep the multiplier busy.

use core::array::from_fn;

use crate::clsag::{Opened, Ring};
use crate::field::Fe;
use crate::lanes::{Digits8, LANES, Points8, Table8, sum_of_multiples};
use curve25519_dalek::constants::ED25519_BASEPOINT_COMPRESSED as G;
use curve25519_dalek::scalar::Scalar;

/// Affine coordinates.
pub type Affine = (Fe, Fe);

/// Fewer signatures than this are faster one by one.
const LANES_MIN: usize = 3;

/// A signature whose form is right, and its ring.
pub type Job<'a> = (&'a Ring, &'a Opened);

#[target_feature(enable = "avx512f,avx512ifma")]
fn points(affine: [Affine; LANES]) -> Points8 {
    Points8::from_affine(&affine.map(|(x, _)| x), &affine.map(|(_, y)| y))
}

fn digits(scalars: [Scalar; LANES]) -> Digits8 {
    Digits8::new(&scalars.map(|s| s.to_bytes()))
}

/// Whether the rounds of each lane's signature lead back to its c_0; all rings have n members.
#[target_feature(enable = "avx512f,avx512ifma")]
fn close(lanes: [Job<'_>; LANES], n: usize) -> [bool; LANES] {
    let base = Table8::new(points([Fe::coordinates(G.as_bytes()); LANES]));
    let pseudo_outs = points(lanes.map(|(_, opened)| opened.pseudo_out_affine()));
    let image = Table8::new(points(lanes.map(|(_, opened)| opened.image_affine())));
    let mut c = lanes.map(|(_, opened)| opened.c1);
    let mut ok = [true; LANES];
    for i in 0..n {
        for lane in 0..LANES {
            ok[lane] &= c[lane] != Scalar::ZERO;
        }
        let s = digits(lanes.map(|(_, opened)| opened.s[i]));
        let whole = digits(c);
        let for_key = digits(from_fn(|lane| c[lane] * lanes[lane].1.mu_p));
        let for_commitment = digits(from_fn(|lane| c[lane] * lanes[lane].1.mu_c));
        let key = Table8::new(points(lanes.map(|(ring, _)| ring.member(i).key)));
        let commitments = points(lanes.map(|(ring, _)| ring.member(i).commitment));
        let difference = Table8::new(commitments.minus(pseudo_outs));
        let own_image = Table8::new(points(lanes.map(|(ring, _)| ring.member(i).image)));
        let left =
            sum_of_multiples(&[(&s, &base), (&for_key, &key), (&for_commitment, &difference)]);
        let right = sum_of_multiples(&[(&s, &own_image), (&whole, &image)]);
        let (left, right) = left.encode(right);
        c = from_fn(|lane| lanes[lane].1.round.hash_to_scalar(&[&left[lane], &right[lane]]));
    }
    from_fn(|lane| ok[lane] && c[lane] != Scalar::ZERO && c[lane] == lanes[lane].1.c1)
}

/// Whether each signature's rounds close: eight at a time, the rest one by one.
pub fn close_all(jobs: &[Job<'_>]) -> Vec<bool> {
    let mut closed = vec![false; jobs.len()];
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|k| jobs[*k].1.s.len());
    for same in order.chunk_by(|a, b| jobs[*a].1.s.len() == jobs[*b].1.s.len()) {
        for group in same.chunks(LANES) {
            if group.len() < LANES_MIN {
                group.iter().for_each(|k| closed[*k] = jobs[*k].1.closes(jobs[*k].0));
                continue;
            }
            // A short group is filled up with its first; what comes out twice is dropped.
            let lanes = from_fn(|lane| jobs[*group.get(lane).unwrap_or(&group[0])]);
            let n = lanes[0].1.s.len();
            // SAFETY: this module is compiled only for processors that have these instructions,
            // and `check_processor` refuses to load the library on any other.
            #[allow(unsafe_code)]
            let results = unsafe { close(lanes, n) };
            group.iter().zip(results).for_each(|(k, result)| closed[*k] = result);
        }
    }
    closed
}
