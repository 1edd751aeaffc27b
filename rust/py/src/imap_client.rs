//! `ImapClient`, its events and `Digest` of `_core.pyi`: conversion only.

use crate::enter::instant;
use crate::errors::Fault;
use crate::events::{BodyReady, Closed, event, object};
use crate::signal::answer;
use crate::store::Sink;
use crate::tls::TlsClientConfig;
use crate::wire::{WireState, wire_class};
use ironpost_proto::imap::client::{
    ClientEvent, Condition, FetchedBody, ImapClient as Client, ListKind, Namespace, RESPONSE_OCTETS_MAX,
};
use ironpost_proto::imap::mailbox_name::decode_modified_utf7;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

event!(
    /// The first line.
    ImapGreeting { status: &'static str, code: String, arguments: String, text: String }
);
event!(
    /// A command is complete.
    ImapDone { tag: u32, command: &'static str, status: &'static str, code: String, arguments: String, text: String }
);
event!(
    /// A condition that belongs to no command.
    ImapNotice { status: &'static str, code: String, arguments: String, text: String }
);
event!(
    /// LIST, LSUB or XLIST.
    ImapList {
        kind: &'static str,
        attributes: Py<PyTuple>,
        separator: Option<String>,
        wire: Py<PyBytes>,
        name: String,
    }
);
event!(
    /// STATUS.
    ImapStatus { wire: Py<PyBytes>, items: Vec<(String, u64)> }
);
event!(
    /// NAMESPACE: prefix and separator of each.
    ImapNamespaces { personal: Vec<(String, Option<String>)>, others: Vec<(String, Option<String>)> }
);
event!(
    /// The octets of a message follow.
    ImapFetchBegin { number: u32, size: u64 }
);
event!(
    /// They have passed.
    ImapBodyEnd { size: u64, digest: Py<PyBytes> }
);
event!(
    /// A FETCH response is complete.
    ImapFetch {
        number: u32,
        uid: Option<u32>,
        flags: Option<Py<PyTuple>>,
        internal_date: Option<(i64, i32)>,
        size: Option<u64>,
        modseq: Option<u64>,
        labels: Option<Py<PyTuple>>,
        streamed: bool,
        body: Option<Py<PyBytes>>,
    }
);
event!(
    /// A message has gone.
    ImapExpunge { number: u32 }
);
event!(
    /// What a SEARCH has found.
    ImapSearch { ranges: Vec<(u32, u32)>, count: Option<u64> }
);
event!(
    /// A response that cannot be understood.
    ImapOdd { text: String }
);
event!(
    /// What the server has told of the mailbox that is open.
    ImapSelected {
        exists: u32,
        uid_validity: Option<u32>,
        uid_next: Option<u32>,
        highest_modseq: Option<u64>,
        flags: Py<PyTuple>,
        permanent_flags: Py<PyTuple>,
        read_only: bool,
    }
);

/// An IMAP client core behind optional TLS.
#[pyclass(module = "ironpost._core")]
pub(crate) struct ImapClient {
    wire: WireState<Client>,
}

wire_class! {
    impl ImapClient {
        #[new]
        #[pyo3(signature = (*, tls = None, server_name = "", response_octets_max = RESPONSE_OCTETS_MAX))]
        fn new(tls: Option<&TlsClientConfig>, server_name: &str, response_octets_max: usize) -> PyResult<Self> {
            Ok(Self { wire: WireState::client(Client::new(response_octets_max), tls, server_name)? })
        }

        fn next_event(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
            let next = self.wire.enter(|wire| Ok::<_, Fault>(wire.core_mut().next_event()))?;
            answer(py, next, convert)
        }

        #[getter]
        fn capabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
            PyTuple::new(py, self.wire.look().capabilities())
        }

        #[getter]
        fn selected(&self, py: Python<'_>) -> PyResult<ImapSelected> {
            let selected = self.wire.look().selected();
            Ok(ImapSelected {
                exists: selected.exists,
                uid_validity: selected.uid_validity,
                uid_next: selected.uid_next,
                highest_modseq: selected.highest_modseq,
                flags: PyTuple::new(py, &selected.flags)?.unbind(),
                permanent_flags: PyTuple::new(py, &selected.permanent_flags)?.unbind(),
                read_only: selected.read_only,
            })
        }

        fn feed_sink(&mut self, sink: &Sink) -> PyResult<bool> {
            let wire = &mut self.wire;
            sink.with_body_sink(|body| wire.core(|core| core.feed(body)))?
        }

        fn discard_body(&mut self) -> PyResult<()> {
            self.wire.core(Client::discard_body)
        }

        fn capability(&mut self) -> PyResult<u32> {
            self.wire.core(|core| Ok(core.capability()))
        }

        fn noop(&mut self) -> PyResult<u32> {
            self.wire.core(|core| Ok(core.noop()))
        }

        fn namespace(&mut self) -> PyResult<u32> {
            self.wire.core(|core| Ok(core.namespace()))
        }

        fn logout(&mut self) -> PyResult<u32> {
            self.wire.core(|core| Ok(core.logout()))
        }

        fn id(&mut self, name: &str, version: &str) -> PyResult<u32> {
            self.wire.core(|core| core.id(name, version))
        }

        fn start_tls(&mut self) -> PyResult<u32> {
            self.wire.core(|core| Ok(core.start_tls()))
        }

        fn begin_tls(&mut self, config: &TlsClientConfig, server_name: &str) -> PyResult<()> {
            self.wire.enter(|wire| {
                if wire.core_mut().begin_tls()?.is_ok() {
                    let fresh = wire.core().after_tls();
                    wire.start_client(config.inner(), server_name, fresh)?;
                }
                Ok::<(), Fault>(())
            })
        }

        fn login(&mut self, user: &str, password: &str) -> PyResult<u32> {
            self.wire.core(|core| core.login(user, password))
        }

        fn authenticate(&mut self, mechanism: &str, response: &[u8], farewell: &[u8]) -> PyResult<u32> {
            self.wire.core(|core| core.authenticate(mechanism, response, farewell))
        }

        fn list(&mut self, kind: &str) -> PyResult<u32> {
            let kind = match kind {
                "LIST" => ListKind::All,
                "SPECIAL-USE" => ListKind::SpecialUse,
                "XLIST" => ListKind::Xlist,
                "LSUB" => ListKind::Subscribed,
                _ => return Err(PyValueError::new_err("no such kind of list")),
            };
            self.wire.core(|core| Ok(core.list(kind)))
        }

        fn status(&mut self, wire: &[u8], items: &str) -> PyResult<u32> {
            self.wire.core(|core| core.status(wire, items))
        }

        fn examine(&mut self, wire: &[u8]) -> PyResult<u32> {
            self.wire.core(|core| core.examine(wire))
        }

        fn fetch(&mut self, set: &str, items: &str) -> PyResult<u32> {
            self.wire.core(|core| core.fetch(false, set, items))
        }

        fn uid_fetch(&mut self, set: &str, items: &str) -> PyResult<u32> {
            self.wire.core(|core| core.fetch(true, set, items))
        }

        fn uid_search(&mut self, keys: &str) -> PyResult<u32> {
            self.wire.core(|core| core.search(keys))
        }
    }
}

fn convert(py: Python<'_>, event: ClientEvent) -> PyResult<Py<PyAny>> {
    match event {
        ClientEvent::Greeting(condition) => {
            let Condition {
                status,
                code,
                arguments,
                text,
            } = condition;
            object(
                py,
                ImapGreeting {
                    status,
                    code,
                    arguments,
                    text,
                },
            )
        }
        ClientEvent::Done {
            tag,
            command,
            condition,
        } => {
            let Condition {
                status,
                code,
                arguments,
                text,
            } = condition;
            object(
                py,
                ImapDone {
                    tag,
                    command,
                    status,
                    code,
                    arguments,
                    text,
                },
            )
        }
        ClientEvent::Notice(condition) => {
            let Condition {
                status,
                code,
                arguments,
                text,
            } = condition;
            object(
                py,
                ImapNotice {
                    status,
                    code,
                    arguments,
                    text,
                },
            )
        }
        ClientEvent::List(entry) => object(
            py,
            ImapList {
                kind: entry.kind,
                attributes: PyTuple::new(py, entry.attributes)?.unbind(),
                separator: entry.separator.map(String::from),
                wire: PyBytes::new(py, &entry.wire).unbind(),
                name: entry.name,
            },
        ),
        ClientEvent::Status(wire, items) => {
            let wire = PyBytes::new(py, &wire).unbind();
            object(py, ImapStatus { wire, items })
        }
        ClientEvent::Namespaces(personal, others) => object(
            py,
            ImapNamespaces {
                personal: namespaces(personal),
                others: namespaces(others),
            },
        ),
        ClientEvent::FetchBegin { number, size } => object(py, ImapFetchBegin { number, size }),
        ClientEvent::BodyReady => object(py, BodyReady {}),
        ClientEvent::BodyEnd { size, digest } => {
            let digest = PyBytes::new(py, &digest).unbind();
            object(py, ImapBodyEnd { size, digest })
        }
        ClientEvent::Fetch(fetch) => {
            let flags = fetch.flags.map(|flags| PyTuple::new(py, flags)).transpose()?;
            let labels = fetch.labels.map(|labels| {
                let labels: Vec<_> = labels.iter().map(|label| PyBytes::new(py, label)).collect();
                PyTuple::new(py, labels)
            });
            let (streamed, body) = match fetch.body {
                FetchedBody::Absent | FetchedBody::Nil => (false, None),
                FetchedBody::Inline(octets) => (false, Some(PyBytes::new(py, &octets).unbind())),
                FetchedBody::Streamed => (true, None),
            };
            object(
                py,
                ImapFetch {
                    number: fetch.number,
                    uid: fetch.uid,
                    flags: flags.map(Bound::unbind),
                    internal_date: fetch.internal_date,
                    size: fetch.size,
                    modseq: fetch.modseq,
                    labels: labels.transpose()?.map(Bound::unbind),
                    streamed,
                    body,
                },
            )
        }
        ClientEvent::Expunge(number) => object(py, ImapExpunge { number }),
        ClientEvent::Search(search) => object(
            py,
            ImapSearch {
                ranges: search.ranges,
                count: search.count,
            },
        ),
        ClientEvent::Odd(text) => object(py, ImapOdd { text }),
        ClientEvent::Closed(reason) => object(
            py,
            Closed {
                reason: reason.to_owned(),
            },
        ),
    }
}

fn namespaces(found: Vec<Namespace>) -> Vec<(String, Option<String>)> {
    found
        .into_iter()
        .map(|namespace| (namespace.prefix, namespace.separator.map(String::from)))
        .collect()
}

/// BLAKE3 over what is given piece by piece.
#[pyclass(module = "ironpost._core")]
#[derive(Default)]
pub(crate) struct Digest(blake3::Hasher);

#[pymethods]
impl Digest {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn update(&mut self, data: &[u8]) -> PyResult<()> {
        instant(|| {
            self.0.update(data);
            Ok(())
        })
    }

    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.finalize().as_bytes())
    }
}

/// A name in modified UTF-7 as text; None when it is none (RFC 3501 §5.1.3).
#[pyfunction]
fn modified_utf7(octets: &[u8]) -> Option<String> {
    decode_modified_utf7(octets)
}

/// Adds the classes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ImapGreeting>()?;
    module.add_class::<ImapDone>()?;
    module.add_class::<ImapNotice>()?;
    module.add_class::<ImapList>()?;
    module.add_class::<ImapStatus>()?;
    module.add_class::<ImapNamespaces>()?;
    module.add_class::<ImapFetchBegin>()?;
    module.add_class::<ImapBodyEnd>()?;
    module.add_class::<ImapFetch>()?;
    module.add_class::<ImapExpunge>()?;
    module.add_class::<ImapSearch>()?;
    module.add_class::<ImapOdd>()?;
    module.add_class::<ImapSelected>()?;
    module.add_class::<Digest>()?;
    module.add_class::<ImapClient>()?;
    module.add_function(wrap_pyfunction!(modified_utf7, module)?)
}
