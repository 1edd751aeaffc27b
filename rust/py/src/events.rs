//! Event classes: frozen, with `__match_args__` in the order of their fields. This file holds those that several wires
//! share; each wire's own stand in its file, made by the same macro.

use pyo3::prelude::*;

/// Declares an event class: `event!(Name { field: Type, ... });`, an optional attribute line above the name.
///
/// The repr names the class only, since fields may hold secrets.
macro_rules! event {
    ($(#[$attribute:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$attribute])*
        #[pyo3::pyclass(frozen, module = "ironpost._core")]
        pub(crate) struct $name {
            $(#[pyo3(get)] pub(crate) $field: $type,)*
        }

        #[pyo3::pymethods]
        impl $name {
            #[classattr]
            fn __match_args__<'py>(
                py: pyo3::Python<'py>,
            ) -> pyo3::PyResult<pyo3::Bound<'py, pyo3::types::PyTuple>> {
                let names: &[&str] = &[$(stringify!($field)),*];
                pyo3::types::PyTuple::new(py, names)
            }

            fn __repr__(&self) -> &'static str {
                concat!("<", stringify!($name), ">")
            }
        }
    };
}
pub(crate) use event;

/// An event as the object that `next_event` returns.
pub(crate) fn object<T>(py: Python<'_>, event: T) -> PyResult<Py<PyAny>>
where
    T: pyo3::PyClass + Into<pyo3::PyClassInitializer<T>>,
{
    Ok(Py::new(py, event)?.into_any())
}

event!(
    /// The client begins SASL; `initial` is the decoded initial response.
    AuthBegin { mechanism: String, initial: Option<Vec<u8>> }
);
event!(
    /// The decoded answer to a challenge, `None` when the client cancelled.
    AuthResponse { data: Option<Vec<u8>> }
);
event!(
    /// The peer's fault; the session goes on.
    Bad { kind: &'static str, code: u16, enhanced: String, text: String }
);
event!(
    /// Nothing more comes.
    Closed { reason: String }
);
event!(
    /// Octets of a body wait: `feed_sink` or `discard_body`.
    BodyReady {}
);
event!(
    /// A whole message body has passed.
    BodyEnd { size: u64, bare_cr: bool, bare_lf: bool, nul: bool }
);

/// Adds the shared event classes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<AuthBegin>()?;
    module.add_class::<AuthResponse>()?;
    module.add_class::<Bad>()?;
    module.add_class::<Closed>()?;
    module.add_class::<BodyReady>()?;
    module.add_class::<BodyEnd>()
}
