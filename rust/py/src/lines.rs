//! `Rewriter`, `FromLines` and `Fingerprint` of `_core.pyi`: messages of other formats become ours, and back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ironpost_mime::lines::{Ending, FromLines as Lines, Quoting, Rewriter as Rewriting};
use ironpost_store::listing::Fingerprint as Hashing;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::enter::long;
use crate::errors::LocalMisuse;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rewrites one message, in pieces.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct Rewriter(Mutex<Rewriting>);

#[pymethods]
impl Rewriter {
    #[new]
    fn new(ending: &str, quoting: &str) -> PyResult<Self> {
        let ending = match ending {
            "keep" => Ending::Keep,
            "auto" => Ending::Auto,
            "crlf" => Ending::Crlf,
            "lf" => Ending::Lf,
            other => return Err(LocalMisuse::new_err(format!("ending {other:?}"))),
        };
        let quoting = match quoting {
            "keep" => Quoting::Keep,
            "unquote" => Quoting::Unquote,
            "unquote-once" => Quoting::UnquoteOnce,
            "quote" => Quoting::Quote,
            other => return Err(LocalMisuse::new_err(format!("quoting {other:?}"))),
        };
        Ok(Self(Mutex::new(Rewriting::new(ending, quoting))))
    }

    #[pyo3(signature = (data, last = false))]
    fn feed<'py>(&self, py: Python<'py>, data: &[u8], last: bool) -> PyResult<Bound<'py, PyBytes>> {
        let out = long(py, || {
            let mut out = Vec::new();
            let mut rewriter = lock(&self.0);
            rewriter.feed(data, &mut out);
            if last {
                rewriter.finish(&mut out);
            }
            out
        })?;
        Ok(PyBytes::new(py, &out))
    }

    #[getter]
    fn nul(&self) -> bool {
        lock(&self.0).nul
    }

    #[getter]
    fn bare_cr(&self) -> bool {
        lock(&self.0).bare_cr
    }

    #[getter]
    fn bare_lf(&self) -> bool {
        lock(&self.0).bare_lf
    }
}

/// Finds `From ` lines, in pieces.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct FromLines(Mutex<Lines>);

#[pymethods]
impl FromLines {
    #[new]
    fn new() -> Self {
        Self(Mutex::new(Lines::new()))
    }

    fn feed(&self, py: Python<'_>, data: &[u8]) -> PyResult<Vec<u64>> {
        long(py, || lock(&self.0).feed(data))
    }
}

/// What tells a message from others, in pieces.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct Fingerprint(Mutex<Hashing>);

#[pymethods]
impl Fingerprint {
    #[new]
    #[pyo3(signature = (data = None))]
    fn new(py: Python<'_>, data: Option<&[u8]>) -> PyResult<Self> {
        let made = Self(Mutex::default());
        if let Some(data) = data {
            made.update(py, data)?;
        }
        Ok(made)
    }

    fn update(&self, py: Python<'_>, data: &[u8]) -> PyResult<()> {
        long(py, || lock(&self.0).update(data))
    }

    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &lock(&self.0).digest())
    }
}

/// Adds the classes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Rewriter>()?;
    module.add_class::<FromLines>()?;
    module.add_class::<Fingerprint>()
}
