//! `NEED_DATA` and `PAUSED`: what `next_event` answers when there is no event.

use ironpost_proto::Next;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// One of two constants, compared by identity.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct Signal(&'static str);

#[pymethods]
impl Signal {
    fn __repr__(&self) -> &'static str {
        self.0
    }
}

static NEED_DATA: PyOnceLock<Py<Signal>> = PyOnceLock::new();
static PAUSED: PyOnceLock<Py<Signal>> = PyOnceLock::new();

fn constant(py: Python<'_>, cell: &PyOnceLock<Py<Signal>>, name: &'static str) -> PyResult<Py<PyAny>> {
    Ok(cell
        .get_or_try_init(py, || Py::new(py, Signal(name)))?
        .clone_ref(py)
        .into_any())
}

/// The Python object for what a core's `next_event` has answered; `convert` makes that of an event.
pub(crate) fn answer<E>(
    py: Python<'_>,
    next: Next<E>,
    convert: impl FnOnce(Python<'_>, E) -> PyResult<Py<PyAny>>,
) -> PyResult<Py<PyAny>> {
    match next {
        Next::Event(event) => convert(py, event),
        Next::NeedData => constant(py, &NEED_DATA, "NEED_DATA"),
        Next::Paused => constant(py, &PAUSED, "PAUSED"),
    }
}

/// Adds the class and its two constants.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add_class::<Signal>()?;
    module.add("NEED_DATA", constant(py, &NEED_DATA, "NEED_DATA")?)?;
    module.add("PAUSED", constant(py, &PAUSED, "PAUSED")?)
}
