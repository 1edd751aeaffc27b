//! Upkeep of a volume: checks, scrub, compaction, rebuild. Conversion only.

use std::path::Path;

use ironpost_store::compaction::{Compacted, Rules};
use ironpost_store::ids::Ticket;
use ironpost_store::rebuild::Rebuilt;
use ironpost_store::scrub::{self, Scrubbed};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::Store;
use super::values::exception;
use crate::enter::long;

/// What a run of compaction, as a dictionary, has done.
pub(super) fn compacted<'py>(py: Python<'py>, done: &Compacted) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("packs", done.packs)?;
    facts.set_item("blobs", done.blobs)?;
    facts.set_item("copied", done.copied)?;
    facts.set_item("freed", done.freed)?;
    facts.set_item("damaged", &done.damaged)?;
    Ok(facts)
}

/// What a stretch of the scrub, as a dictionary, has read.
pub(super) fn scrubbed<'py>(py: Python<'py>, done: &Scrubbed) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    facts.set_item("after", done.after)?;
    facts.set_item("blobs", done.blobs)?;
    facts.set_item("octets", done.octets)?;
    facts.set_item("problems", &done.problems)?;
    Ok(facts)
}

fn rebuilt<'py>(py: Python<'py>, done: &Rebuilt) -> PyResult<Bound<'py, PyDict>> {
    let facts = PyDict::new(py);
    for (name, count) in [
        ("accounts", done.accounts),
        ("mailboxes", done.mailboxes),
        ("messages", done.messages),
        ("found", done.found),
        ("lost", done.lost),
        ("retained", done.retained),
        ("queue", done.queue),
        ("packs", done.packs),
    ] {
        facts.set_item(name, count)?;
    }
    facts.set_item("damaged", &done.damaged)?;
    Ok(facts)
}

#[pymethods]
impl Store {
    fn check_sample(&self) -> PyResult<Ticket> {
        self.call(|volume| volume.check_sample())
    }

    #[pyo3(signature = (after = 0, octets = 8 << 20))]
    fn scrub(&self, after: u64, octets: u64) -> PyResult<Ticket> {
        self.read(scrub::stretch(after, octets))
    }

    #[pyo3(signature = (
        *, dead_percent = 50, small_octets = 16 << 20, small_count = 16, age = 3600, rate = 32 << 20, budget = 0
    ))]
    fn compact(
        &self,
        dead_percent: u64,
        small_octets: u64,
        small_count: usize,
        age: u32,
        rate: u64,
        budget: u64,
    ) -> PyResult<Ticket> {
        let rules = Rules {
            dead_percent,
            small_octets,
            small_count,
            age,
            rate,
            budget,
        };
        self.call(|volume| volume.compact(rules))
    }

    #[staticmethod]
    #[pyo3(signature = (path, *, map_size = 64 << 30, watch = None))]
    fn rebuild<'py>(
        py: Python<'py>,
        path: &str,
        map_size: usize,
        watch: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut broken: Option<PyErr> = None;
        let report = long(py, || {
            let mut tell = |done: u64, of: u64| {
                if let Some(watch) = &watch
                    && broken.is_none()
                {
                    broken = Python::attach(|py| watch.call1(py, (done, of)).err());
                }
            };
            ironpost_store::rebuild::rebuild(Path::new(path), map_size, &mut tell)
        })?;
        if let Some(error) = broken {
            let wrapped = PyRuntimeError::new_err("the watcher failed; the index has been rebuilt all the same");
            wrapped.set_cause(py, Some(error));
            return Err(wrapped);
        }
        rebuilt(py, &report.map_err(|fault| exception(&fault))?)
    }
}
