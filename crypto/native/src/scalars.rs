//! Scalars and packed vectors of scalars. All arithmetic is dalek's, constant time.

use curve25519_dalek::scalar::Scalar;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

use crate::encoding::{canonical, pack, scalar, scalars};
use crate::errors::{Checked, Invalid};
use crate::hash;

type Out<'py> = PyResult<Bound<'py, PyBytes>>;

const ZERO: &str = "must not be zero";

fn out<'py>(py: Python<'py>, s: Scalar) -> Bound<'py, PyBytes> {
    PyBytes::new(py, s.as_bytes())
}

fn out_all<'py>(py: Python<'py>, all: &[Scalar]) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &Zeroizing::new(pack(all)))
}

#[pyfunction]
fn is_scalar(s: &[u8]) -> bool {
    canonical(s).is_some()
}

#[pyfunction]
fn reduce32<'py>(py: Python<'py>, data: &[u8]) -> Out<'py> {
    let bytes = data
        .try_into()
        .map_err(|_| Invalid::Scalar("data".into(), "must be 32 bytes"))?;
    Ok(out(py, Scalar::from_bytes_mod_order(bytes)))
}

#[pyfunction]
fn reduce64<'py>(py: Python<'py>, data: &[u8]) -> Out<'py> {
    let bytes = data
        .try_into()
        .map_err(|_| Invalid::Scalar("data".into(), "must be 64 bytes"))?;
    Ok(out(py, Scalar::from_bytes_mod_order_wide(bytes)))
}

#[pyfunction]
fn hash_to_scalar<'py>(py: Python<'py>, data: &[u8]) -> Bound<'py, PyBytes> {
    out(py, hash::hash_to_scalar(&[data]))
}

#[pyfunction]
fn sc_add<'py>(py: Python<'py>, a: &[u8], b: &[u8]) -> Out<'py> {
    Ok(out(py, scalar("a", a)? + scalar("b", b)?))
}

#[pyfunction]
fn sc_sub<'py>(py: Python<'py>, a: &[u8], b: &[u8]) -> Out<'py> {
    Ok(out(py, scalar("a", a)? - scalar("b", b)?))
}

#[pyfunction]
fn sc_mul<'py>(py: Python<'py>, a: &[u8], b: &[u8]) -> Out<'py> {
    Ok(out(py, scalar("a", a)? * scalar("b", b)?))
}

#[pyfunction]
fn sc_neg<'py>(py: Python<'py>, a: &[u8]) -> Out<'py> {
    Ok(out(py, -scalar("a", a)?))
}

#[pyfunction]
fn sc_invert<'py>(py: Python<'py>, a: &[u8]) -> Out<'py> {
    let a = scalar("a", a)?;
    if a == Scalar::ZERO {
        return Err(Invalid::Scalar("a".into(), ZERO).into());
    }
    Ok(out(py, a.invert()))
}

fn pairs(a: &[u8], b: &[u8]) -> Checked<Zeroizing<Vec<(Scalar, Scalar)>>> {
    if a.len() != b.len() {
        return Err(Invalid::Scalar("b".into(), "must be as long as a"));
    }
    let (a, b) = (
        Zeroizing::new(scalars("a", a)?),
        Zeroizing::new(scalars("b", b)?),
    );
    Ok(Zeroizing::new(
        a.iter().copied().zip(b.iter().copied()).collect(),
    ))
}

fn each<'py>(py: Python<'py>, a: &[u8], b: &[u8], f: fn(Scalar, Scalar) -> Scalar) -> Out<'py> {
    let results: Vec<Scalar> = pairs(a, b)?.iter().map(|(x, y)| f(*x, *y)).collect();
    Ok(out_all(py, &Zeroizing::new(results)))
}

#[pyfunction]
fn sv_add<'py>(py: Python<'py>, a: &[u8], b: &[u8]) -> Out<'py> {
    each(py, a, b, |x, y| x + y)
}

#[pyfunction]
fn sv_sub<'py>(py: Python<'py>, a: &[u8], b: &[u8]) -> Out<'py> {
    each(py, a, b, |x, y| x - y)
}

#[pyfunction]
fn sv_mul<'py>(py: Python<'py>, a: &[u8], b: &[u8]) -> Out<'py> {
    each(py, a, b, |x, y| x * y)
}

#[pyfunction]
fn sv_scale<'py>(py: Python<'py>, v: &[u8], s: &[u8]) -> Out<'py> {
    let mut v = Zeroizing::new(scalars("v", v)?);
    let s = scalar("s", s)?;
    v.iter_mut().for_each(|x| *x *= s);
    Ok(out_all(py, &v))
}

#[pyfunction]
fn sv_inner<'py>(py: Python<'py>, a: &[u8], b: &[u8]) -> Out<'py> {
    Ok(out(py, pairs(a, b)?.iter().map(|(x, y)| x * y).sum()))
}

#[pyfunction]
fn sv_powers<'py>(py: Python<'py>, x: &[u8], n: isize) -> Out<'py> {
    let x = scalar("x", x)?;
    let n = usize::try_from(n).map_err(|_| Invalid::Scalar("n".into(), "must not be negative"))?;
    Ok(out_all(py, &powers(x, n)))
}

/// x^0, …, x^(n-1).
pub fn powers(x: Scalar, n: usize) -> Vec<Scalar> {
    std::iter::successors(Some(Scalar::ONE), |power| Some(power * x))
        .take(n)
        .collect()
}

#[pyfunction]
fn sv_invert<'py>(py: Python<'py>, v: &[u8]) -> Out<'py> {
    let mut v = Zeroizing::new(scalars("v", v)?);
    if let Some(k) = v.iter().position(|x| *x == Scalar::ZERO) {
        return Err(Invalid::Scalar(format!("v[{k}]"), ZERO).into());
    }
    Scalar::invert_batch_alloc(&mut v);
    Ok(out_all(py, &v))
}

/// Adds the functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(is_scalar, module)?)?;
    module.add_function(wrap_pyfunction!(reduce32, module)?)?;
    module.add_function(wrap_pyfunction!(reduce64, module)?)?;
    module.add_function(wrap_pyfunction!(hash_to_scalar, module)?)?;
    module.add_function(wrap_pyfunction!(sc_add, module)?)?;
    module.add_function(wrap_pyfunction!(sc_sub, module)?)?;
    module.add_function(wrap_pyfunction!(sc_mul, module)?)?;
    module.add_function(wrap_pyfunction!(sc_neg, module)?)?;
    module.add_function(wrap_pyfunction!(sc_invert, module)?)?;
    module.add_function(wrap_pyfunction!(sv_add, module)?)?;
    module.add_function(wrap_pyfunction!(sv_sub, module)?)?;
    module.add_function(wrap_pyfunction!(sv_mul, module)?)?;
    module.add_function(wrap_pyfunction!(sv_scale, module)?)?;
    module.add_function(wrap_pyfunction!(sv_inner, module)?)?;
    module.add_function(wrap_pyfunction!(sv_powers, module)?)?;
    module.add_function(wrap_pyfunction!(sv_invert, module)?)
}
