//! `Sink` of `_core.pyi`: gathers one message for the store.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ironpost_proto::body::BodySink;
use ironpost_store::sink::Sink as StoreSink;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::enter::instant;
use crate::errors::LocalMisuse;

/// A message that is being gathered. Submitting takes what it holds; afterwards only `size` still answers.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct Sink(Mutex<State>);

struct State {
    sink: Option<StoreSink>,
    /// Octets of `write` that the full sink did not take; they go in first when it has room.
    waiting: Vec<u8>,
    /// What was gathered when the sink was submitted or discarded.
    final_size: u64,
}

impl State {
    /// Offers the waiting octets; true when none are left.
    fn settle(&mut self) -> bool {
        if let Some(sink) = &mut self.sink
            && !self.waiting.is_empty()
        {
            let taken = sink.push(&self.waiting).min(self.waiting.len());
            self.waiting.drain(..taken);
        }
        self.waiting.is_empty()
    }

    fn size(&self) -> u64 {
        self.sink
            .as_ref()
            .map_or(self.final_size, |sink| sink.size() + self.waiting.len() as u64)
    }
}

impl Sink {
    pub(crate) fn new(sink: StoreSink) -> Self {
        Self(Mutex::new(State {
            sink: Some(sink),
            waiting: Vec::new(),
            final_size: 0,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends the sink to a core that feeds it. Raises LocalMisuse after it was submitted or discarded.
    pub(crate) fn with_body_sink<R>(&self, feed: impl FnOnce(&mut dyn BodySink) -> R) -> PyResult<R> {
        struct Full;
        impl BodySink for Full {
            fn push(&mut self, _: &[u8]) -> usize {
                0
            }
        }
        let mut state = self.state();
        if state.sink.is_none() {
            return Err(spent());
        }
        if !state.settle() {
            return Ok(feed(&mut Full));
        }
        state.sink.as_mut().map(|sink| feed(sink)).ok_or_else(spent)
    }

    /// Looks at the sink, for `wait_sink`.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&StoreSink) -> R) -> PyResult<R> {
        self.state().sink.as_ref().map(look).ok_or_else(spent)
    }

    /// Takes the sink out for the store. Octets that it did not take before must go in now.
    pub(crate) fn take(&self) -> PyResult<StoreSink> {
        let mut state = self.state();
        if state.sink.is_some() && !state.settle() {
            return Err(LocalMisuse::new_err(
                "the sink is full: await wait_sink before submitting",
            ));
        }
        state.final_size = state.size();
        state.sink.take().ok_or_else(spent)
    }
}

fn spent() -> PyErr {
    LocalMisuse::new_err("the sink has been submitted or discarded")
}

#[pymethods]
impl Sink {
    #[getter]
    fn size(&self) -> u64 {
        self.state().size()
    }

    #[getter]
    fn full(&self) -> bool {
        let state = self.state();
        !state.waiting.is_empty() || state.sink.as_ref().is_some_and(StoreSink::full)
    }

    #[getter]
    fn failed(&self) -> bool {
        self.state().sink.as_ref().is_some_and(StoreSink::failed)
    }

    fn header<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let state = self.state();
        PyBytes::new(py, state.sink.as_ref().map_or(&[][..], |sink| sink.header()))
    }

    fn hops(&self) -> usize {
        self.state().sink.as_ref().map_or(0, StoreSink::hops)
    }

    fn write(&self, data: &[u8]) -> PyResult<bool> {
        instant(|| {
            let mut state = self.state();
            if state.sink.is_none() {
                return Err(spent());
            }
            let settled = state.settle();
            let taken = match &mut state.sink {
                Some(sink) if settled => sink.push(data).min(data.len()),
                _ => 0,
            };
            let rest = data.get(taken..).unwrap_or_default();
            state.waiting.extend_from_slice(rest);
            Ok(state.waiting.is_empty() && !state.sink.as_ref().is_some_and(StoreSink::full))
        })
    }

    fn discard(&self) {
        let mut state = self.state();
        state.final_size = state.size();
        state.sink = None;
        state.waiting = Vec::new();
    }

    fn __repr__(&self) -> String {
        format!("<Sink of {} octets>", self.size())
    }
}
