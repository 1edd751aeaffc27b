//! Octets out of Python buffers, without a copy of our own.

use crate::errors::LocalMisuse;
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;

/// Lends the first `length` octets of a contiguous buffer (bytes, bytearray, memoryview) to `call`.
///
/// `call` must not run Python code, which could write to the buffer meanwhile; it gets no interpreter for that reason.
pub(crate) fn with_octets<R>(
    data: &Bound<'_, PyAny>,
    length: usize,
    call: impl FnOnce(&[u8]) -> PyResult<R>,
) -> PyResult<R> {
    let buffer = PyBuffer::<u8>::get(data)?;
    if !buffer.is_c_contiguous() {
        return Err(LocalMisuse::new_err("the buffer is not contiguous"));
    }
    if length > buffer.len_bytes() {
        return Err(LocalMisuse::new_err(format!(
            "{length} octets of a buffer of {}",
            buffer.len_bytes()
        )));
    }
    if length == 0 {
        return call(&[]);
    }
    // SAFETY: the exported buffer is contiguous, at least `length` octets long, and stays exported and thus in place
    // until `buffer` drops behind the call. Nobody writes to it meanwhile: the interpreter is held and `call` does
    // not run Python code.
    let octets = unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>(), length) };
    call(octets)
}
