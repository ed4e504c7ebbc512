//! Finding the outputs that a wallet owns (CryptoNote's stealth outputs with Monero's view tags).

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::encoding::{decompress, point, scalar};
use crate::hash::{hash_to_scalar, keccak, varint};

/// The shared points 8·(a·R), encoded, of each run of equal R; `None` where R is not a point.
fn derivations(view_secret: &Scalar, tx_pubkeys: &[[u8; 32]]) -> Vec<Option<[u8; 32]>> {
    let mut runs: Vec<Option<usize>> = Vec::with_capacity(tx_pubkeys.len());
    let mut shared = Zeroizing::new(Vec::with_capacity(tx_pubkeys.len()));
    for (k, encoding) in tx_pubkeys.iter().enumerate() {
        if k > 0 && tx_pubkeys[k - 1] == *encoding {
            runs.push(runs[k - 1]);
            continue;
        }
        runs.push(decompress(encoding).map(|point| {
            shared.push((view_secret * point).mul_by_cofactor());
            shared.len() - 1
        }));
    }
    let encodings = Zeroizing::new(EdwardsPoint::compress_batch_alloc(&shared));
    runs.into_iter()
        .map(|run| run.map(|at| encodings[at].to_bytes()))
        .collect()
}

#[pyfunction]
fn scan<'py>(
    py: Python<'py>,
    view_secret: &[u8],
    spend_public: &[u8],
    tx_pubkeys: &[u8],
    output_indexes: Vec<u32>,
    output_keys: &[u8],
    view_tags: &[u8],
) -> PyResult<Vec<(usize, Bound<'py, PyBytes>)>> {
    let view_secret = Zeroizing::new(scalar("view_secret", view_secret)?);
    let spend_public = point("spend_public", spend_public)?;
    let (tx_pubkeys, output_keys) = (tx_pubkeys.as_chunks().0, output_keys.as_chunks::<32>().0);
    let found: Vec<(usize, [u8; 32])> = py.detach(|| {
        let shared = Zeroizing::new(derivations(&view_secret, tx_pubkeys));
        let owned = |k: usize| {
            let derivation = shared[k]?;
            let index = varint(output_indexes[k]);
            if keccak(&[b"view_tag", &derivation, &index])[0] != view_tags[k] {
                return None;
            }
            let key =
                EdwardsPoint::mul_base(&hash_to_scalar(&[&derivation, &index])) + spend_public;
            (key.compress().to_bytes() == output_keys[k]).then_some((k, derivation))
        };
        (0..view_tags.len()).filter_map(owned).collect()
    });
    Ok(found
        .into_iter()
        .map(|(k, derivation)| (k, PyBytes::new(py, &derivation)))
        .collect())
}

/// Adds the function to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(scan, module)?)
}
