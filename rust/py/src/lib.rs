//! The extension module `ironpost._core`: conversion only, no logic.
use pyo3::prelude::*;

#[pymodule]
mod _core {}
