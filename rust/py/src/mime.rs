//! The namespace class `mime` of `_core.pyi`: what the store knows of a message, for tests.

use crate::enter::instant;
use crate::errors::LocalMisuse;
use ironpost_mime::{Limits, Structure, bodystructure, envelope};
use ironpost_proto::imap::fetch_att::{Section, SectionText};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Never instantiated: functions under one name.
#[pyclass(module = "ironpost._core", name = "mime")]
pub(crate) struct Mime;

#[pymethods]
impl Mime {
    /// ENVELOPE of a message.
    #[staticmethod]
    fn envelope<'py>(py: Python<'py>, message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let written = instant(|| {
            let mut out = Vec::new();
            envelope(message, &mut out);
            Ok(out)
        })?;
        Ok(PyBytes::new(py, &written))
    }

    /// BODY, or BODYSTRUCTURE when extended.
    #[staticmethod]
    fn bodystructure<'py>(py: Python<'py>, message: &[u8], extended: bool) -> PyResult<Bound<'py, PyBytes>> {
        let written = instant(|| {
            let mut out = Vec::new();
            let structure = Structure::parse(message, &Limits::default());
            bodystructure(message, &structure, extended, &mut out);
            Ok(out)
        })?;
        Ok(PyBytes::new(py, &written))
    }

    /// The octets of BODY[path.text]; text is "", "HEADER", "TEXT" or "MIME". None: no such section.
    #[staticmethod]
    fn section<'py>(
        py: Python<'py>,
        message: &[u8],
        path: Vec<u32>,
        text: &str,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let text = match text {
            "" => SectionText::Whole,
            "HEADER" => SectionText::Header,
            "TEXT" => SectionText::Text,
            "MIME" => SectionText::Mime,
            other => return Err(LocalMisuse::new_err(format!("section text {other:?}"))),
        };
        let found = instant(|| {
            let structure = Structure::parse(message, &Limits::default());
            Ok(structure.section(&Section { path, text }).octets())
        })?;
        Ok(found
            .and_then(|range| message.get(range))
            .map(|octets| PyBytes::new(py, octets)))
    }
}

/// Adds the class.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Mime>()
}
