//! `ImapServer`, its events and the opaque values of `_core.pyi`: conversion only.

use crate::errors::Fault;
use crate::events::{AuthBegin, AuthResponse, BodyEnd, BodyReady, Closed, event, object};
use crate::signal::answer;
use crate::store::Sink;
use crate::tls::TlsServerConfig;
use crate::wire::{WireState, wire_class};
use ironpost_proto::imap::{self, AppendPart, Arguments, Event, ImapServer as Server, Settings, StoreMode};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

/// A sequence set as the client wrote it.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct SequenceSet {
    pub(crate) inner: imap::sequence::SequenceSet,
}

#[pymethods]
impl SequenceSet {
    #[staticmethod]
    fn of(numbers: Vec<u32>) -> Self {
        Self {
            inner: imap::sequence::SequenceSet::of(numbers),
        }
    }

    #[staticmethod]
    fn every() -> Self {
        use imap::sequence::SequenceNumber::{Largest, Number};
        let ranges = vec![(Number(1), Largest)];
        Self {
            inner: imap::sequence::SequenceSet { ranges },
        }
    }

    fn __str__(&self) -> String {
        self.inner.to_string()
    }

    fn exceeds(&self, count: u32) -> bool {
        self.inner.exceeds(count)
    }
}

/// Parsed FETCH items.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct FetchItems {
    pub(crate) inner: Vec<imap::fetch_att::FetchAttribute>,
    pub(crate) modifiers: imap::modseq::FetchModifiers,
}

#[pymethods]
impl FetchItems {
    #[staticmethod]
    fn changes(since: u64) -> Self {
        use imap::fetch_att::FetchAttribute::{Flags, ModSeq, Uid};
        let changed_since = Some(since);
        Self {
            inner: vec![Uid, Flags, ModSeq],
            modifiers: imap::modseq::FetchModifiers {
                changed_since,
                ..Default::default()
            },
        }
    }

    #[getter]
    fn asks_modseq(&self) -> bool {
        self.modifiers.changed_since.is_some() || self.inner.contains(&imap::fetch_att::FetchAttribute::ModSeq)
    }

    #[getter]
    fn changed_since(&self) -> Option<u64> {
        self.modifiers.changed_since
    }

    #[getter]
    fn vanished(&self) -> bool {
        self.modifiers.vanished
    }

    #[getter]
    fn sets_seen(&self) -> bool {
        self.inner.iter().any(imap::fetch_att::FetchAttribute::sets_seen)
    }
}

/// What a STATUS item tells.
#[derive(FromPyObject)]
enum StatusValue {
    Number(u64),
    Id(String),
}

/// A parsed SEARCH.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct SearchProgram {
    pub(crate) inner: imap::search_key::SearchProgram,
}

#[pymethods]
impl SearchProgram {
    #[getter]
    fn names_numbers(&self) -> bool {
        self.inner.names_numbers()
    }

    #[getter]
    fn asks_modseq(&self) -> bool {
        self.inner.asks_modseq()
    }

    #[getter]
    fn names_saved(&self) -> bool {
        self.inner.names_saved()
    }

    #[getter]
    fn saves(&self) -> bool {
        self.inner.returns.save
    }

    #[getter]
    fn updates(&self) -> bool {
        self.inner.returns.update
    }
}

event!(
    /// A complete, well-formed command that the state allows.
    Command { tag: String, name: &'static str, arguments: Py<PyTuple> }
);
event!(
    /// LIST, plain or extended.
    ListArguments {
        reference: String,
        patterns: Py<PyTuple>,
        select_options: Py<PyTuple>,
        return_options: Py<PyTuple>,
        status_items: Py<PyTuple>,
        entries: Py<PyTuple>,
    }
);
event!(
    /// An APPEND announces its message.
    AppendBegin {
        tag: String,
        name: &'static str,
        mailbox: String,
        replaces: Py<PyAny>,
        parts: Py<PyTuple>,
        size: u64,
        synchronising: bool,
        binary: bool,
    }
);
event!(
    /// DONE.
    IdleDone {}
);
event!(
    /// Malformed, or not allowed in this state.
    ImapBad { tag: Option<String>, kind: &'static str, text: &'static str, forgets: bool }
);

/// An IMAP server core behind optional TLS.
#[pyclass(module = "ironpost._core")]
pub(crate) struct ImapServer {
    wire: WireState<Server>,
}

wire_class! {
    impl ImapServer {
        #[new]
        #[pyo3(signature = (
            *, tls = None, command_octets_max = 65536, append_octets_max = 52_428_800, search_depth_max = 32
        ))]
        fn new(
            tls: Option<&TlsServerConfig>,
            command_octets_max: usize,
            append_octets_max: u64,
            search_depth_max: usize,
        ) -> PyResult<Self> {
            let settings = Settings { command_octets_max, append_octets_max, search_depth_max };
            Ok(Self { wire: WireState::server(Server::new(settings), tls)? })
        }

        fn next_event(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
            let next = self.wire.enter(|wire| Ok::<_, Fault>(wire.core_mut().next_event()))?;
            answer(py, next, convert)
        }

        #[getter]
        fn auth_tag(&self) -> &str {
            self.wire.look().auth_tag()
        }

        #[getter]
        fn backlog(&self) -> usize {
            self.wire.look().backlog()
        }

        fn greet(&mut self, status: &str, code: &str, text: &str) -> PyResult<()> {
            self.wire.core(|core| core.greet(status, code, text))
        }

        fn respond(&mut self, tag: &str, status: &str, code: &str, text: &str) -> PyResult<()> {
            self.wire.core(|core| core.respond(tag, status, code, text))
        }

        fn untagged(&mut self, line: &str) -> PyResult<()> {
            self.wire.core(|core| core.untagged(line))
        }

        #[pyo3(signature = (name, attributes, mailbox, extended = ""))]
        fn untagged_list(
            &mut self,
            name: &str,
            attributes: Vec<String>,
            mailbox: &str,
            extended: &str,
        ) -> PyResult<()> {
            self.wire.core(|core| core.untagged_list(name, &attributes, mailbox, extended))
        }

        fn untagged_renamed(&mut self, attributes: Vec<String>, mailbox: &str, old_name: &str) -> PyResult<()> {
            self.wire.core(|core| core.untagged_renamed(&attributes, mailbox, old_name))
        }

        fn untagged_status(&mut self, mailbox: &str, items: Vec<(String, StatusValue)>) -> PyResult<()> {
            let value = |value| match value {
                StatusValue::Number(number) => imap::StatusValue::Number(number),
                StatusValue::Id(id) => imap::StatusValue::Id(id),
            };
            let items: Vec<_> = items.into_iter().map(|(item, told)| (item, value(told))).collect();
            self.wire.core(|core| core.untagged_status(mailbox, &items))
        }

        fn untagged_words(&mut self, response: &str, mailbox: &str, words: Vec<String>) -> PyResult<()> {
            self.wire.core(|core| core.untagged_words(response, mailbox, &words))
        }

        fn untagged_found(&mut self, tag: &str, mailbox: &str, uid_validity: u32, data: &str) -> PyResult<()> {
            self.wire
                .core(|core| core.untagged_found(tag, mailbox, uid_validity, data))
        }

        fn untagged_metadata(&mut self, mailbox: &str, values: Vec<(String, Option<Vec<u8>>)>) -> PyResult<()> {
            self.wire.core(|core| core.untagged_metadata(mailbox, &values))
        }

        fn untagged_quota(&mut self, root: &str, resources: Vec<(String, u64, u64)>) -> PyResult<()> {
            self.wire.core(|core| core.untagged_quota(root, &resources))
        }

        fn untagged_quota_root(&mut self, mailbox: &str, roots: Vec<String>) -> PyResult<()> {
            self.wire.core(|core| core.untagged_quota_root(mailbox, &roots))
        }

        fn untagged_genurlauth(&mut self, urls: Vec<String>) -> PyResult<()> {
            self.wire.core(|core| core.untagged_genurlauth(&urls))
        }

        #[pyo3(signature = (url, octets))]
        fn untagged_urlfetch(&mut self, url: &str, octets: Option<u64>) -> PyResult<()> {
            self.wire.core(|core| core.untagged_urlfetch(url, octets))
        }

        fn untagged_id(&mut self, fields: Vec<(String, String)>) -> PyResult<()> {
            self.wire.core(|core| {
                core.untagged_id(&fields);
                Ok(())
            })
        }

        fn append_output(&mut self, rendered: &[u8]) -> PyResult<()> {
            self.wire.core(|core| {
                core.append_output(rendered);
                Ok(())
            })
        }

        fn continue_(&mut self, text: &str) -> PyResult<()> {
            self.wire.core(|core| core.continue_(text))
        }

        fn auth_challenge(&mut self, data: &[u8]) -> PyResult<()> {
            self.wire.core(|core| core.auth_challenge(data))
        }

        fn accept_literal(&mut self) -> PyResult<()> {
            self.wire.core(Server::accept_literal)
        }

        fn refuse_literal(&mut self, status: &str, code: &str, text: &str) -> PyResult<()> {
            self.wire.core(|core| core.refuse_literal(status, code, text))
        }

        fn feed_sink(&mut self, sink: &Sink) -> PyResult<bool> {
            let wire = &mut self.wire;
            sink.with_body_sink(|body| wire.core(|core| core.feed(body)))?
        }

        fn discard_body(&mut self) -> PyResult<()> {
            self.wire.core(Server::discard_body)
        }

        fn authenticated(&mut self) -> PyResult<()> {
            self.wire.core(Server::authenticated)
        }

        fn selected(&mut self, read_only: bool) -> PyResult<()> {
            self.wire.core(|core| core.selected(read_only))
        }

        fn unselected(&mut self) -> PyResult<()> {
            self.wire.core(Server::unselected)
        }

        fn begin_idle(&mut self) -> PyResult<()> {
            self.wire.core(Server::begin_idle)
        }

        fn logout(&mut self) -> PyResult<()> {
            self.wire.core(|core| {
                core.logout();
                Ok(())
            })
        }

        fn start_tls(&mut self, config: &TlsServerConfig, tag: &str, text: &str) -> PyResult<()> {
            self.wire.start_tls(config, |core| core.start_tls(tag, text))
        }

        fn start_deflate(&mut self) -> PyResult<bool> {
            self.wire.enter(|wire| Ok::<_, Fault>(wire.start_deflate()))
        }

        fn inflate(&mut self) -> PyResult<bool> {
            self.wire.enter(|wire| Ok::<_, Fault>(wire.inflate()))
        }

        #[getter]
        fn compressed(&self) -> bool {
            self.wire.look_wire().compressed()
        }

        #[getter]
        fn deflate_broken(&self) -> bool {
            self.wire.look_wire().deflate_broken()
        }

        fn unauthenticated(&mut self) -> PyResult<()> {
            self.wire.core(Server::unauthenticated)
        }

        fn enable_utf8(&mut self) -> PyResult<()> {
            self.wire.core(|core| {
                core.enable_utf8();
                Ok(())
            })
        }

        fn enable_rev2(&mut self) -> PyResult<()> {
            self.wire.core(|core| {
                core.enable_rev2();
                Ok(())
            })
        }
    }
}

fn convert(py: Python<'_>, event: Event) -> PyResult<Py<PyAny>> {
    match event {
        Event::Command(command) => {
            let arguments = arguments(py, command.arguments)?.unbind();
            object(
                py,
                Command {
                    tag: command.tag,
                    name: command.name,
                    arguments,
                },
            )
        }
        Event::AuthBegin { mechanism, initial } => object(py, AuthBegin { mechanism, initial }),
        Event::AuthResponse(data) => object(py, AuthResponse { data }),
        Event::AppendBegin(begin) => object(
            py,
            AppendBegin {
                tag: begin.tag,
                name: begin.name,
                mailbox: begin.target.mailbox,
                replaces: replaces(py, begin.target.replaces)?,
                parts: append_parts(py, begin.parts)?.unbind(),
                size: begin.size,
                synchronising: begin.synchronising,
                binary: begin.binary,
            },
        ),
        Event::BodyReady => object(py, BodyReady {}),
        Event::BodyEnd(end) => object(
            py,
            BodyEnd {
                size: end.size,
                bare_cr: end.bare_cr,
                bare_lf: end.bare_lf,
                nul: end.nul,
            },
        ),
        Event::IdleDone => object(py, IdleDone {}),
        Event::Bad(bad) => object(
            py,
            ImapBad {
                tag: bad.tag,
                kind: bad.kind.as_str(),
                text: bad.text,
                forgets: bad.forgets,
            },
        ),
        Event::Closed(reason) => object(
            py,
            Closed {
                reason: reason.to_owned(),
            },
        ),
    }
}

/// Strings as a tuple.
fn tuple<'py, Text, Texts>(py: Python<'py>, texts: Texts) -> PyResult<Py<PyTuple>>
where
    Text: IntoPyObject<'py>,
    Texts: IntoIterator<Item = Text, IntoIter: ExactSizeIterator>,
{
    Ok(PyTuple::new(py, texts)?.unbind())
}

/// The message that REPLACE is about, or None.
fn replaces(py: Python<'_>, set: Option<imap::sequence::SequenceSet>) -> PyResult<Py<PyAny>> {
    set.map(|inner| SequenceSet { inner }).into_py_any(py)
}

/// `(flags, internal date, pieces)` where a message begins, and URLs.
fn append_parts(py: Python<'_>, parts: Vec<AppendPart>) -> PyResult<Bound<'_, PyTuple>> {
    let parts: PyResult<Vec<_>> = parts
        .into_iter()
        .map(|part| match part {
            AppendPart::Message {
                flags,
                internal_date,
                pieces,
            } => (tuple(py, flags)?, internal_date, pieces).into_bound_py_any(py),
            AppendPart::Url(url) => url.into_bound_py_any(py),
        })
        .collect();
    PyTuple::new(py, parts?)
}

/// How a mode is told to Python.
fn sign(mode: StoreMode) -> &'static str {
    match mode {
        StoreMode::Add => "+",
        StoreMode::Remove => "-",
        StoreMode::Replace => "=",
    }
}

/// The tuple that `_core.pyi` documents under `Command`.
fn arguments<'py>(py: Python<'py>, arguments: Arguments) -> PyResult<Bound<'py, PyTuple>> {
    match arguments {
        Arguments::None => Ok(PyTuple::empty(py)),
        Arguments::Login { user, password } => (user, password).into_pyobject(py),
        // The core makes an event of its own of it.
        Arguments::Append { target, parts } => {
            (target.mailbox, replaces(py, target.replaces)?, append_parts(py, parts)?).into_pyobject(py)
        }
        Arguments::Authenticate { mechanism, initial } => (mechanism, initial).into_pyobject(py),
        Arguments::Enable(names) => (tuple(py, names)?,).into_pyobject(py),
        Arguments::Id(None) => (py.None(),).into_pyobject(py),
        Arguments::Id(Some(fields)) => {
            let dict = PyDict::new(py);
            for (name, value) in fields {
                dict.set_item(name, value)?;
            }
            (dict,).into_pyobject(py)
        }
        Arguments::Select {
            mailbox,
            parameters,
            resync,
        } => {
            let set = |inner| SequenceSet { inner };
            let resync = resync.map(|resync| {
                let matches = resync.matches.map(|(numbers, uids)| (set(numbers), set(uids)));
                (resync.uid_validity, resync.modseq, resync.known.map(set), matches)
            });
            (mailbox, tuple(py, parameters)?, resync).into_pyobject(py)
        }
        Arguments::Create { mailbox, special_use } => (mailbox, special_use).into_pyobject(py),
        Arguments::Mailbox(mailbox) => (mailbox,).into_pyobject(py),
        Arguments::Rename { old, new } => (old, new).into_pyobject(py),
        Arguments::List(list) => {
            let list = ListArguments {
                reference: list.reference,
                patterns: tuple(py, list.patterns)?,
                select_options: tuple(py, list.select_options)?,
                return_options: tuple(py, list.return_options)?,
                status_items: tuple(py, list.status_items)?,
                entries: tuple(py, list.entries)?,
            };
            (list.into_py_any(py)?,).into_pyobject(py)
        }
        Arguments::Lsub { reference, pattern } => (reference, pattern).into_pyobject(py),
        Arguments::Status { mailbox, items } => (mailbox, tuple(py, items)?).into_pyobject(py),
        Arguments::Search(inner) => (SearchProgram { inner }.into_py_any(py)?,).into_pyobject(py),
        Arguments::Fetch { set, items, modifiers } => {
            let set = SequenceSet { inner: set }.into_py_any(py)?;
            let items = FetchItems {
                inner: items,
                modifiers,
            };
            (set, items.into_py_any(py)?).into_pyobject(py)
        }
        Arguments::Store {
            set,
            mode,
            silent,
            flags,
            unchanged_since,
        } => {
            let mode = sign(mode);
            let set = SequenceSet { inner: set }.into_py_any(py)?;
            (set, mode, silent, tuple(py, flags)?, unchanged_since).into_pyobject(py)
        }
        Arguments::Copy { set, mailbox } => (SequenceSet { inner: set }.into_py_any(py)?, mailbox).into_pyobject(py),
        Arguments::Language(ranges) => (tuple(py, ranges)?,).into_pyobject(py),
        Arguments::Compress(algorithm) => (algorithm,).into_pyobject(py),
        Arguments::GenUrlAuth(wanted) => (tuple(py, wanted)?,).into_pyobject(py),
        Arguments::UrlFetch(urls) => (tuple(py, urls)?,).into_pyobject(py),
        Arguments::ResetKey { mailbox, mechanisms } => (mailbox, tuple(py, mechanisms)?).into_pyobject(py),
        Arguments::Identifier { mailbox, identifier } => (mailbox, identifier).into_pyobject(py),
        Arguments::SetAcl {
            mailbox,
            identifier,
            mode,
            rights,
        } => (mailbox, identifier, sign(mode), rights).into_pyobject(py),
        Arguments::GetMetadata {
            mailbox,
            max_size,
            depth,
            entries,
        } => {
            let depth = match depth {
                imap::Depth::Zero => "0",
                imap::Depth::One => "1",
                imap::Depth::Infinity => "infinity",
            };
            (mailbox, max_size, depth, tuple(py, entries)?).into_pyobject(py)
        }
        Arguments::Notify(wanted) => {
            let set = wanted.map(|set| {
                let groups = set.groups.into_iter().map(|group| {
                    let items = FetchItems {
                        inner: group.fetch,
                        modifiers: imap::modseq::FetchModifiers::default(),
                    };
                    let items = (!items.inner.is_empty()).then_some(items);
                    let names = tuple(py, group.filter.names().to_vec())?;
                    (group.filter.word(), names, tuple(py, group.events)?, items).into_py_any(py)
                });
                let groups = groups.collect::<PyResult<Vec<_>>>()?;
                Ok::<_, PyErr>((set.status, tuple(py, groups)?))
            });
            (set.transpose()?,).into_pyobject(py)
        }
        Arguments::SetMetadata { mailbox, values } => (mailbox, tuple(py, values)?).into_pyobject(py),
        Arguments::QuotaRoot(root) => (root,).into_pyobject(py),
        Arguments::SetQuota { root, limits } => (root, tuple(py, limits)?).into_pyobject(py),
        Arguments::MultiSearch { sources, program } => {
            let source = |filter: &imap::mailbox_filter::MailboxFilter| {
                PyResult::Ok((filter.word(), tuple(py, filter.names().to_vec())?))
            };
            let sources = match sources {
                Some(sources) => Some(tuple(py, sources.iter().map(source).collect::<PyResult<Vec<_>>>()?)?),
                None => None,
            };
            (sources, SearchProgram { inner: program }.into_py_any(py)?).into_pyobject(py)
        }
        Arguments::UidBatches { size, batches } => (size, batches).into_pyobject(py),
        Arguments::CancelUpdate(tags) => (tuple(py, tags)?,).into_pyobject(py),
        Arguments::Set(set) => (SequenceSet { inner: set }.into_py_any(py)?,).into_pyobject(py),
    }
}

/// LIST matching with `*` and `%` (RFC 9051 §6.3.9).
#[pyfunction]
fn mailbox_matches(name: &str, reference: &str, pattern: &str) -> bool {
    imap::mailbox_matches(name, reference, pattern)
}

/// Adds the classes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SequenceSet>()?;
    module.add_class::<FetchItems>()?;
    module.add_class::<SearchProgram>()?;
    module.add_class::<Command>()?;
    module.add_class::<ListArguments>()?;
    module.add_class::<AppendBegin>()?;
    module.add_class::<IdleDone>()?;
    module.add_class::<ImapBad>()?;
    module.add_class::<ImapServer>()?;
    module.add_function(wrap_pyfunction!(mailbox_matches, module)?)
}
