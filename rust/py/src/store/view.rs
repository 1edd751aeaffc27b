//! `MailboxView` and `FetchCursor` of `_core.pyi`.

use std::sync::Arc;

use ironpost_store::fetch::FetchCursor as StoreCursor;
use ironpost_store::reader;
use ironpost_store::view::MailboxView as StoreView;
use ironpost_store::view::batches::batches;
use ironpost_store::view::told::Sync;
use ironpost_store::view::uids::UidSet;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::Handle;
use super::sharing::classes;
use super::values::names;
use crate::enter::instant;
use crate::imap::SequenceSet;

/// One session's picture of one mailbox.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct MailboxView {
    view: Arc<StoreView>,
    handle: Handle,
}

impl MailboxView {
    pub(crate) fn new(view: Arc<StoreView>, handle: Handle) -> Self {
        Self { view, handle }
    }

    pub(crate) fn inner(&self) -> &Arc<StoreView> {
        &self.view
    }
}

#[pymethods]
impl MailboxView {
    #[getter]
    fn account(&self) -> u32 {
        self.view.account
    }

    #[getter]
    fn mailbox(&self) -> u32 {
        self.view.mailbox
    }

    #[getter]
    fn read_only(&self) -> bool {
        self.view.read_only
    }

    #[getter]
    fn exists(&self) -> u32 {
        self.view.told().uids.len()
    }

    #[getter]
    fn recent(&self) -> u32 {
        self.view.told().recent.len()
    }

    #[getter]
    fn search_progress(&self) -> (u32, u32) {
        self.view.progress().read()
    }

    #[getter]
    fn uid_validity(&self) -> u32 {
        self.view.uid_validity
    }

    #[getter]
    fn uid_next(&self) -> u32 {
        self.view.told().uid_next
    }

    #[getter]
    fn first_unseen(&self) -> u32 {
        self.view.first_unseen
    }

    #[getter]
    fn highest_modseq(&self) -> u64 {
        self.view.highest_modseq()
    }

    #[getter]
    fn keywords<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let keywords = self.view.told().keywords.clone();
        names(py, &keywords)
    }

    fn forget_saved(&self) {
        self.view.told().saved = UidSet::new();
    }

    fn is_updated(&self, tag: &str) -> bool {
        self.view.live().iter().any(|result| result.tag == tag)
    }

    fn cancel_updates(&self, tags: Vec<String>) {
        self.view.live().retain(|result| !tags.contains(&result.tag));
    }

    fn tell_modseqs(&self) {
        let mut told = self.view.told();
        told.sync = told.sync.max(Sync::Modseqs);
    }

    fn tell_vanished(&self) {
        self.view.told().sync = Sync::Vanished;
    }

    fn use_uids_only(&self) {
        self.view.told().uid_only = true;
    }

    fn permit(&self, rights: &str) {
        self.view.told().permits = classes(rights);
    }

    fn hide_recent(&self) {
        self.view.told().hide_recent();
    }

    fn stale(&self) -> PyResult<bool> {
        instant(|| self.handle.with(|volume| reader::stale(volume.context(), &self.view)))
    }

    fn uid_of(&self, messages: &SequenceSet, uid: bool) -> Option<u32> {
        self.view.resolve(&messages.inner, uid).iter().next()
    }

    #[pyo3(signature = (size, first = 1, last = u32::MAX))]
    fn uid_batches(&self, size: u32, first: u32, last: u32) -> Vec<(u32, u32)> {
        batches(&self.view.told().uids, size, first, last)
    }

    fn message(&self, number: u32) -> PyResult<Option<(u32, u32)>> {
        instant(|| {
            self.handle
                .with(|volume| reader::message(volume.context(), &self.view, number))
        })
    }

    fn __repr__(&self) -> String {
        format!(
            "<MailboxView of mailbox {}: {} messages>",
            self.view.mailbox,
            self.exists()
        )
    }
}

/// A FETCH in progress.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct FetchCursor(Arc<StoreCursor>);

impl FetchCursor {
    pub(crate) fn new(cursor: StoreCursor) -> Self {
        Self(Arc::new(cursor))
    }

    pub(crate) fn inner(&self) -> Arc<StoreCursor> {
        Arc::clone(&self.0)
    }
}

#[pymethods]
impl FetchCursor {
    #[getter]
    fn done(&self) -> bool {
        self.0.is_done()
    }
}
