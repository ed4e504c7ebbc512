//! The curve of Hearth's private market, for Python: `crypto.curve` says what each function means.
//!
//! Bytes come in, are decoded strictly, and bytes go out; whole verifications run behind one call
//! with the interpreter's lock released. dalek chooses its vector instructions when it is built.

mod bpp;
mod clsag;
mod encoding;
mod errors;
mod field;
mod hash;
#[cfg(lanes)]
mod lanes;
#[cfg(lanes)]
mod lockstep;
mod map;
mod points;
mod scalars;
mod scan;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;

/// Refuses to load where the processor lacks what the build assumed, instead of crashing later.
#[cfg(target_arch = "x86_64")]
fn check_processor() -> PyResult<()> {
    let lacks = [
        cfg!(target_feature = "avx2") && !std::is_x86_feature_detected!("avx2"),
        cfg!(target_feature = "avx512ifma") && !std::is_x86_feature_detected!("avx512ifma"),
        cfg!(target_feature = "avx512vl") && !std::is_x86_feature_detected!("avx512vl"),
    ];
    if lacks.contains(&true) {
        return Err(PyImportError::new_err(
            "crypto._curve was built for another processor: install again on this machine",
        ));
    }
    Ok(())
}

#[cfg(not(target_arch = "x86_64"))]
fn check_processor() -> PyResult<()> {
    Ok(())
}

/// The vector instructions that this build uses: "avx512ifma", "avx2" or "serial".
fn instructions() -> &'static str {
    if cfg!(all(
        target_feature = "avx512ifma",
        target_feature = "avx512vl"
    )) {
        "avx512ifma"
    } else if cfg!(target_arch = "x86_64") {
        "avx2"
    } else {
        "serial"
    }
}

/// `crypto._curve`.
#[pymodule]
fn _curve(module: &Bound<'_, PyModule>) -> PyResult<()> {
    check_processor()?;
    module.add("INSTRUCTIONS", instructions())?;
    scalars::register(module)?;
    points::register(module)?;
    clsag::register(module)?;
    bpp::register(module)?;
    scan::register(module)
}
