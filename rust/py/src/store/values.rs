//! What the store's tickets come to, as Python objects, and its errors as exceptions.

use ironpost_store::compaction::Compacted;
use ironpost_store::ids::{AccountId, Uid};
use ironpost_store::listing::{FINGERPRINT_OCTETS, ListedMessage, WholeMessage};
use ironpost_store::ops;
use ironpost_store::reader::{
    Located, MessageFact, Opened, QueueItem as QueuedItem, RetainedMessage, StoreAnswer, Updated,
};
use ironpost_store::scrub::Scrubbed;
use ironpost_store::search::filter::build::IndexStep;
use ironpost_store::view::ranges::write_set;
use ironpost_store::{Outcome, StoreError as Fault};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use super::keep::Retained;
use super::maintain;
use super::view::MailboxView;
use super::{Handle, micros_to_seconds};
use crate::errors::{
    AlreadyExists, NotFound, OverQuota, Refused, StoreBusy, StoreCorrupt, StoreError, StoreFailed, StoreFull,
};

/// The exception for a fault of the store.
pub(crate) fn exception(fault: &Fault) -> PyErr {
    let text = fault.to_string();
    match fault {
        Fault::Busy => StoreBusy::new_err(text),
        Fault::Full(_) => StoreFull::new_err(text),
        Fault::Corrupt(_) => StoreCorrupt::new_err(text),
        Fault::Failed(_) => StoreFailed::new_err(text),
        Fault::NotFound(_) => NotFound::new_err(text),
        Fault::AlreadyExists(_) => AlreadyExists::new_err(text),
        Fault::OverQuota(_) => OverQuota::new_err(text),
        Fault::Refused(_) => Refused::new_err(text),
        _ => StoreError::new_err(text),
    }
}

/// A mailbox for LIST and STATUS.
#[pyclass(frozen, get_all, module = "ironpost._core")]
pub(crate) struct MailboxInfo {
    id: u32,
    name: String,
    special_use: String,
    subscribed: bool,
    uid_validity: u32,
    uid_next: u32,
    messages: u32,
    unseen: u32,
    deleted: u32,
    recent: u32,
    size: u64,
    highest_modseq: u64,
}

#[pymethods]
impl MailboxInfo {
    fn __repr__(&self) -> String {
        format!("<MailboxInfo {} {:?}: {} messages>", self.id, self.name, self.messages)
    }
}

impl From<ops::MailboxInfo> for MailboxInfo {
    fn from(info: ops::MailboxInfo) -> Self {
        Self {
            id: info.id,
            name: info.name,
            special_use: info.special_use,
            subscribed: info.subscribed,
            uid_validity: info.uid_validity,
            uid_next: info.uid_next,
            messages: info.messages,
            unseen: info.unseen,
            deleted: info.deleted,
            recent: info.recent,
            size: info.size,
            highest_modseq: info.highest_modseq,
        }
    }
}

/// Where a message has been stored.
#[pyclass(frozen, get_all, module = "ironpost._core")]
pub(crate) struct StoredMessage {
    account: u32,
    mailbox: u32,
    uid_validity: u32,
    uid: u32,
}

#[pymethods]
impl StoredMessage {
    fn __repr__(&self) -> String {
        format!(
            "<StoredMessage account {} mailbox {} uid {}>",
            self.account, self.mailbox, self.uid
        )
    }
}

impl From<ops::StoredMessage> for StoredMessage {
    fn from(message: ops::StoredMessage) -> Self {
        Self {
            account: message.account,
            mailbox: message.mailbox,
            uid_validity: message.uid_validity,
            uid: message.uid,
        }
    }
}

/// One item of the queue.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct QueueItem {
    #[pyo3(get)]
    id: u64,
    #[pyo3(get)]
    due: f64,
    #[pyo3(get)]
    created: f64,
    #[pyo3(get)]
    size: u32,
    state: Vec<u8>,
}

#[pymethods]
impl QueueItem {
    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.state)
    }

    fn __repr__(&self) -> String {
        format!("<QueueItem {} of {} octets>", self.id, self.size)
    }
}

impl From<QueuedItem> for QueueItem {
    fn from(item: QueuedItem) -> Self {
        Self {
            id: item.id,
            due: micros_to_seconds(item.record.due),
            created: micros_to_seconds(item.record.created),
            size: item.record.size,
            state: item.record.state,
        }
    }
}

/// What consistency checking found.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct CheckReport(ops::CheckReport);

#[pymethods]
impl CheckReport {
    #[getter]
    fn problems<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.0.problems)
    }

    #[getter]
    fn accounts(&self) -> u64 {
        self.0.accounts
    }

    #[getter]
    fn mailboxes(&self) -> u64 {
        self.0.mailboxes
    }

    #[getter]
    fn messages(&self) -> u64 {
        self.0.messages
    }

    #[getter]
    fn blobs(&self) -> u64 {
        self.0.blobs
    }

    #[getter]
    fn packs(&self) -> u64 {
        self.0.packs
    }

    #[getter]
    fn queue(&self) -> u64 {
        self.0.queue
    }

    fn __repr__(&self) -> String {
        format!(
            "<CheckReport: {} problems, {} messages>",
            self.0.problems.len(),
            self.0.messages
        )
    }
}

/// A ticket's result as an object; a fault becomes an exception instance, which the pump raises.
pub(crate) fn result(py: Python<'_>, handle: &Handle, result: Result<Outcome, Fault>) -> PyResult<Py<PyAny>> {
    match result {
        Ok(outcome) => object(py, handle, outcome),
        Err(fault) => Ok(exception(&fault).into_value(py).into_any()),
    }
}

fn object(py: Python<'_>, handle: &Handle, outcome: Outcome) -> PyResult<Py<PyAny>> {
    Ok(match outcome {
        Outcome::None | Outcome::Recent(..) | Outcome::Flags(_) | Outcome::Restored(_) => py.None(),
        Outcome::Submitted(messages, queue) => {
            let messages: Vec<Option<StoredMessage>> = messages
                .into_iter()
                .map(|message| message.map(StoredMessage::from))
                .collect();
            (messages, queue).into_pyobject(py)?.into_any().unbind()
        }
        Outcome::Stored(message) => Py::new(py, StoredMessage::from(message))?.into_any(),
        Outcome::Mailbox(mailbox) => Py::new(py, MailboxInfo::from(mailbox))?.into_any(),
        Outcome::Copied(copied) => {
            let set = |uids: &mut dyn Iterator<Item = Uid>| {
                let mut text = Vec::new();
                write_set(&mut text, uids);
                String::from_utf8_lossy(&text).into_owned()
            };
            let sources = set(&mut copied.uids.iter().map(|&(source, _)| source));
            let targets = set(&mut copied.uids.iter().map(|&(_, target)| target));
            (copied.uid_validity, sources, targets)
                .into_pyobject(py)?
                .into_any()
                .unbind()
        }
        Outcome::Count(count) => count.into_pyobject(py)?.into_any().unbind(),
        Outcome::Check(report) => Py::new(py, CheckReport(report))?.into_any(),
        Outcome::Bytes(bytes) => PyBytes::new(py, &bytes).into_any().unbind(),
        Outcome::Boxed(made) => boxed(py, handle, made)?,
    })
}

/// What read jobs make: the types that `ironpost_store::reader` names.
fn boxed(py: Python<'_>, handle: &Handle, made: Box<dyn std::any::Any + Send>) -> PyResult<Py<PyAny>> {
    let made = match made.downcast::<Updated>() {
        Ok(updated) => return Ok(PyBytes::new(py, &updated.lines).into_any().unbind()),
        Err(made) => made,
    };
    let made = match made.downcast::<Opened>() {
        Ok(opened) => return Ok(Py::new(py, MailboxView::new(opened.view, handle.clone()))?.into_any()),
        Err(made) => made,
    };
    let made = match made.downcast::<StoreAnswer>() {
        Ok(answer) => {
            let modified = String::from_utf8_lossy(&answer.modified);
            let answer = (PyBytes::new(py, &answer.lines), modified);
            return Ok(answer.into_pyobject(py)?.into_any().unbind());
        }
        Err(made) => made,
    };
    let made = match made.downcast::<Located>() {
        Ok(located) => {
            return Ok(match *located {
                Located::Octets(range) => (range.start, range.end).into_pyobject(py)?.into_any().unbind(),
                Located::Fields(octets) => PyBytes::new(py, &octets).into_any().unbind(),
                Located::Missing => py.None(),
            });
        }
        Err(made) => made,
    };
    let made = match made.downcast::<Vec<MessageFact>>() {
        Ok(facts) => return message_facts(py, *facts),
        Err(made) => made,
    };
    let made = match made.downcast::<IndexStep>() {
        Ok(step) => {
            let step = (step.documents, step.merged, step.more);
            return Ok(step.into_pyobject(py)?.into_any().unbind());
        }
        Err(made) => made,
    };
    let made = match made.downcast::<Vec<(Uid, u32)>>() {
        Ok(listed) => return Ok(listed.into_pyobject(py)?.into_any().unbind()),
        Err(made) => made,
    };
    let made = match made.downcast::<Vec<ops::MailboxInfo>>() {
        Ok(listed) => {
            let listed: Vec<MailboxInfo> = listed.into_iter().map(MailboxInfo::from).collect();
            return Ok(listed.into_pyobject(py)?.into_any().unbind());
        }
        Err(made) => made,
    };
    let made = match made.downcast::<Vec<QueuedItem>>() {
        Ok(listed) => {
            let listed: Vec<QueueItem> = listed.into_iter().map(QueueItem::from).collect();
            return Ok(listed.into_pyobject(py)?.into_any().unbind());
        }
        Err(made) => made,
    };
    let made = match made.downcast::<Compacted>() {
        Ok(done) => return Ok(maintain::compacted(py, &done)?.into_any().unbind()),
        Err(made) => made,
    };
    let made = match made.downcast::<Scrubbed>() {
        Ok(done) => return Ok(maintain::scrubbed(py, &done)?.into_any().unbind()),
        Err(made) => made,
    };
    let made = match made.downcast::<Vec<RetainedMessage>>() {
        Ok(listed) => {
            let listed: Vec<Retained> = listed.into_iter().map(Retained::from).collect();
            return Ok(listed.into_pyobject(py)?.into_any().unbind());
        }
        Err(made) => made,
    };
    let made = match made.downcast::<Vec<AccountId>>() {
        Ok(listed) => return Ok(listed.into_pyobject(py)?.into_any().unbind()),
        Err(made) => made,
    };
    let made = match made.downcast::<Vec<ListedMessage>>() {
        Ok(listed) => return Ok(listed_messages(py, *listed)?.unbind()),
        Err(made) => made,
    };
    let made = match made.downcast::<Vec<WholeMessage>>() {
        Ok(read) => return Ok(whole_messages(py, *read)?.unbind()),
        Err(made) => made,
    };
    let made = match made.downcast::<Vec<Option<[u8; FINGERPRINT_OCTETS]>>>() {
        Ok(digests) => {
            let digests = digests
                .iter()
                .map(|digest| digest.map(|digest| PyBytes::new(py, &digest)));
            return Ok(PyList::new(py, digests.collect::<Vec<_>>())?.into_any().unbind());
        }
        Err(made) => made,
    };
    match made.downcast::<Option<u64>>() {
        Ok(due) => Ok(due.map(micros_to_seconds).into_pyobject(py)?.into_any().unbind()),
        Err(_) => Err(crate::errors::InternalError::new_err(
            "a read job made something unknown",
        )),
    }
}

/// Rows of a listing as tuples.
fn listed_messages(py: Python<'_>, listed: Vec<ListedMessage>) -> PyResult<Bound<'_, PyAny>> {
    let rows: PyResult<Vec<_>> = listed
        .into_iter()
        .map(|row| {
            let flags = PyTuple::new(py, row.flags)?;
            (row.uid, row.size, row.internal_date, row.internal_zone, flags).into_pyobject(py)
        })
        .collect();
    Ok(PyList::new(py, rows?)?.into_any())
}

/// Whole messages: octets, a text that says why not, or None.
fn whole_messages(py: Python<'_>, read: Vec<WholeMessage>) -> PyResult<Bound<'_, PyAny>> {
    let rows: PyResult<Vec<_>> = read
        .into_iter()
        .map(|(uid, message)| {
            let message = match message {
                None => py.None().into_bound(py),
                Some(Ok(octets)) => PyBytes::new(py, &octets).into_any(),
                Some(Err(text)) => PyString::new(py, &text).into_any(),
            };
            (uid, message).into_pyobject(py)
        })
        .collect();
    Ok(PyList::new(py, rows?)?.into_any())
}

/// Keyword names as a tuple.
pub(crate) fn names<'py>(py: Python<'py>, names: &[std::sync::Arc<str>]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(
        py,
        names
            .iter()
            .filter(|name| !name.is_empty())
            .map(|name| PyString::new(py, name))
            .collect::<Vec<_>>(),
    )
}

/// `(uid, size, digest, flags, internal_date)` of each.
fn message_facts(py: Python<'_>, facts: Vec<MessageFact>) -> PyResult<Py<PyAny>> {
    let mut rows = Vec::with_capacity(facts.len());
    for fact in facts {
        let digest = PyBytes::new(py, &fact.digest);
        let flags = PyTuple::new(py, fact.flags)?;
        rows.push((fact.uid, fact.size, digest, flags, fact.internal_date).into_pyobject(py)?);
    }
    Ok(PyList::new(py, rows)?.into_any().unbind())
}
