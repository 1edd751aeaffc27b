//! The two doors from Python into Rust. Both turn a panic into `InternalError`; neither decides anything.

use crate::errors::InternalError;
use pyo3::prelude::*;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// For calls of bounded work under about 50 µs: the interpreter stays held.
///
/// What the call was changing may be half changed after a panic: the caller must not use it again (see `WireState`).
pub(crate) fn instant<R>(call: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(internal_error(&*panic)))
}

/// For calls that wait or work long: detached from the interpreter, never on the loop's thread.
pub(crate) fn long<R: Send>(py: Python<'_>, call: impl FnOnce() -> R + Send) -> PyResult<R> {
    py.detach(|| catch_unwind(AssertUnwindSafe(call)))
        .map_err(|panic| internal_error(&*panic))
}

fn internal_error(panic: &(dyn Any + Send)) -> PyErr {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned());
    InternalError::new_err(text)
}
