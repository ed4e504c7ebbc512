//! Points: strict decoding, the group's operations, sums of multiples, hashes to the curve.

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity, MultiscalarMul, VartimeMultiscalarMul};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::encoding::{bytes32, decompress, point, points as decode, scalar, scalars};
use crate::errors::{Checked, Invalid};
use crate::{hash, map};

type Out<'py> = PyResult<Bound<'py, PyBytes>>;

/// Decoded points, which Python keeps as `Points`.
#[pyclass(frozen)]
pub struct Handle(Vec<EdwardsPoint>);

fn out<'py>(py: Python<'py>, point: EdwardsPoint) -> Bound<'py, PyBytes> {
    PyBytes::new(py, point.compress().as_bytes())
}

#[pyfunction]
fn points(py: Python<'_>, packed: &[u8]) -> PyResult<Handle> {
    Ok(Handle(py.detach(|| decode("points", packed))?))
}

#[pyfunction]
fn points_take(handle: &Handle, indexes: Vec<usize>) -> PyResult<Handle> {
    let take = |i: usize| handle.0.get(i).copied();
    let taken: Option<Vec<_>> = indexes.into_iter().map(take).collect();
    taken
        .map(Handle)
        .ok_or_else(|| PyIndexError::new_err("no such point"))
}

#[pyfunction]
fn is_point(encoding: &[u8]) -> bool {
    decompress(encoding).is_some()
}

#[pyfunction]
#[pyo3(signature = (p, /))]
fn is_torsion_free(p: &[u8]) -> PyResult<bool> {
    Ok(point("P", p)?.is_torsion_free())
}

#[pyfunction]
#[pyo3(signature = (p, q, /))]
fn add<'py>(py: Python<'py>, p: &[u8], q: &[u8]) -> Out<'py> {
    Ok(out(py, point("P", p)? + point("Q", q)?))
}

#[pyfunction]
#[pyo3(signature = (p, q, /))]
fn sub<'py>(py: Python<'py>, p: &[u8], q: &[u8]) -> Out<'py> {
    Ok(out(py, point("P", p)? - point("Q", q)?))
}

#[pyfunction]
#[pyo3(signature = (p, /))]
fn neg<'py>(py: Python<'py>, p: &[u8]) -> Out<'py> {
    Ok(out(py, -point("P", p)?))
}

#[pyfunction]
#[pyo3(signature = (p, /))]
fn mul8<'py>(py: Python<'py>, p: &[u8]) -> Out<'py> {
    Ok(out(py, point("P", p)?.mul_by_cofactor()))
}

#[pyfunction]
fn base_mul<'py>(py: Python<'py>, s: &[u8]) -> Out<'py> {
    let s = Zeroizing::new(scalar("s", s)?);
    Ok(out(py, EdwardsPoint::mul_base(&s)))
}

#[pyfunction]
#[pyo3(signature = (s, p, /))]
fn mul<'py>(py: Python<'py>, s: &[u8], p: &[u8]) -> Out<'py> {
    let s = Zeroizing::new(scalar("s", s)?);
    Ok(out(py, *s * point("P", p)?))
}

#[pyfunction]
fn commit<'py>(py: Python<'py>, mask: &[u8], amount: u64, value_base: &[u8]) -> Out<'py> {
    let mask = Zeroizing::new(scalar("mask", mask)?);
    let amount = Zeroizing::new(Scalar::from(amount));
    let value = *amount * point("value_base", value_base)?;
    Ok(out(py, EdwardsPoint::mul_base(&mask) + value))
}

fn terms(packed: &[u8], handle: &Handle) -> Checked<Zeroizing<Vec<Scalar>>> {
    let scalars = Zeroizing::new(scalars("scalars", packed)?);
    if scalars.len() != handle.0.len() {
        return Err(Invalid::Scalar(
            "scalars".into(),
            "must be as many as the points",
        ));
    }
    Ok(scalars)
}

#[pyfunction]
fn msm<'py>(py: Python<'py>, scalars: &[u8], handle: &Handle) -> Out<'py> {
    let scalars = terms(scalars, handle)?;
    let sum = py.detach(|| EdwardsPoint::multiscalar_mul(scalars.iter(), &handle.0));
    Ok(out(py, sum))
}

#[pyfunction]
fn msm_vartime<'py>(py: Python<'py>, scalars: &[u8], handle: &Handle) -> Out<'py> {
    let scalars = terms(scalars, handle)?;
    let sum = py.detach(|| EdwardsPoint::vartime_multiscalar_mul(scalars.iter(), &handle.0));
    Ok(out(py, sum))
}

#[pyfunction]
fn sum_points<'py>(py: Python<'py>, handle: &Handle) -> Bound<'py, PyBytes> {
    out(py, handle.0.iter().sum())
}

fn input(data: &[u8]) -> Checked<[u8; 32]> {
    bytes32(data).ok_or_else(|| Invalid::Point("data".into(), "must be 32 bytes"))
}

#[pyfunction]
fn map_to_point<'py>(py: Python<'py>, data: &[u8]) -> Out<'py> {
    Ok(out(py, map::map_to_point(&input(data)?)))
}

#[pyfunction]
fn hash_to_point<'py>(py: Python<'py>, data: &[u8]) -> Out<'py> {
    let image = map::map_to_point(&hash::keccak(&[&input(data)?])).mul_by_cofactor();
    if image.is_identity() {
        return Err(Invalid::Point("data".into(), "must not hash to the identity").into());
    }
    Ok(out(py, image))
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Handle>()?;
    module.add_function(wrap_pyfunction!(points, module)?)?;
    module.add_function(wrap_pyfunction!(points_take, module)?)?;
    module.add_function(wrap_pyfunction!(is_point, module)?)?;
    module.add_function(wrap_pyfunction!(is_torsion_free, module)?)?;
    module.add_function(wrap_pyfunction!(add, module)?)?;
    module.add_function(wrap_pyfunction!(sub, module)?)?;
    module.add_function(wrap_pyfunction!(neg, module)?)?;
    module.add_function(wrap_pyfunction!(mul8, module)?)?;
    module.add_function(wrap_pyfunction!(base_mul, module)?)?;
    module.add_function(wrap_pyfunction!(mul, module)?)?;
    module.add_function(wrap_pyfunction!(commit, module)?)?;
    module.add_function(wrap_pyfunction!(msm, module)?)?;
    module.add_function(wrap_pyfunction!(msm_vartime, module)?)?;
    module.add_function(wrap_pyfunction!(sum_points, module)?)?;
    module.add_function(wrap_pyfunction!(map_to_point, module)?)?;
    module.add_function(wrap_pyfunction!(hash_to_point, module)?)
}
