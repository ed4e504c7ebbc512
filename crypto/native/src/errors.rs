//! The package's own errors, `crypto.errors.InvalidPoint` and `InvalidScalar`, raised from here.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// What is wrong with an argument: which one, and what was expected.
#[derive(Debug)]
pub enum Invalid {
    /// Not a point in its one allowed form.
    Point(String, &'static str),
    /// Not a scalar below the group order.
    Scalar(String, &'static str),
}

/// The result of a function whose argument may be refused.
pub type Checked<T> = Result<T, Invalid>;

static POINT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static SCALAR: PyOnceLock<Py<PyType>> = PyOnceLock::new();

impl From<Invalid> for PyErr {
    fn from(invalid: Invalid) -> Self {
        Python::attach(|py| {
            let (cell, name, field, reason) = match invalid {
                Invalid::Point(field, reason) => (&POINT, "InvalidPoint", field, reason),
                Invalid::Scalar(field, reason) => (&SCALAR, "InvalidScalar", field, reason),
            };
            match cell.import(py, "crypto.errors", name) {
                Ok(class) => PyErr::from_type(class.clone(), (field, reason)),
                Err(error) => error,
            }
        })
    }
}
