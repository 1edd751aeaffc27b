//! `Store` of `_core.pyi`: tickets of the message store. Conversion only: what is read and written is the store's affair.

mod keep;
mod maintain;
mod sharing;
mod sink;
mod values;
mod view;

use std::collections::{HashMap, HashSet};
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ironpost_proto::imap::modseq::FetchModifiers;
use ironpost_store::fetch::{FetchCursor as StoreCursor, paged};
use ironpost_store::ids::Ticket;
use ironpost_store::listing;
use ironpost_store::ops::{Arrival, Delivery, Enqueue, FlagMode, FlagSet, Requeue, Submit};
use ironpost_store::reader::{self, Opened, StoreAnswer, Updated};
use ironpost_store::view::told::Permitted;
use ironpost_store::view::{MailboxView as StoreView, StoreLines};
use ironpost_store::{Op, Options, Outcome, ReadJob, StoreError as Fault, Volume};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

pub(crate) use self::values::exception;
use self::view::{FetchCursor, MailboxView};
use crate::enter::{instant, long};
use crate::errors::{LocalMisuse, Refused, StoreFailed};
use crate::imap::{FetchItems, SearchProgram, SequenceSet};
use crate::imap_url::ImapUrl;

pub(crate) use self::sink::Sink;

/// (account, mailbox, prefix, flags) of one recipient.
type DeliveryTuple = (u32, String, PyBackedBytes, Vec<String>);

/// (sink, flags, internal date, zone) of one message of several.
type ArrivalTuple<'py> = (Bound<'py, Sink>, Vec<String>, Option<f64>, i16);

/// What comes along with the body of such a message.
fn arrival((_, flags, internal_date, internal_zone): &ArrivalTuple<'_>) -> PyResult<Arrival> {
    Ok(Arrival {
        flags: flag_set(flags)?,
        internal_date: internal_date.map(|seconds| seconds.floor() as i64),
        internal_zone: *internal_zone,
    })
}

/// The volume as objects that outlive `close` hold it.
#[derive(Clone)]
pub(crate) struct Handle(Weak<Volume>);

impl Handle {
    /// Calls the volume; StoreFailed once it is closed.
    fn with<R>(&self, call: impl FnOnce(&Volume) -> Result<R, Fault>) -> PyResult<R> {
        let volume = self.0.upgrade().ok_or_else(closed)?;
        call(&volume).map_err(|fault| exception(&fault))
    }
}

fn closed() -> PyErr {
    StoreFailed::new_err("the store is closed")
}

/// One volume.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct Store {
    volume: Mutex<Option<Arc<Volume>>>,
    handle: Handle,
    descriptor: RawFd,
    recovery: String,
    tickets: Mutex<Tickets>,
}

/// What is known of tickets beside their results.
#[derive(Default)]
struct Tickets {
    /// Nobody waits for these: the store's own second halves.
    own: HashSet<Ticket>,
    /// Searches, which may be told to stop.
    searches: HashMap<Ticket, Arc<AtomicBool>>,
}

impl Store {
    fn volume(&self) -> PyResult<Arc<Volume>> {
        lock(&self.volume).as_ref().map(Arc::clone).ok_or_else(closed)
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        lock(&self.tickets)
    }

    /// An instant call on the volume.
    fn call<R>(&self, call: impl FnOnce(&Volume) -> Result<R, Fault>) -> PyResult<R> {
        let volume = self.volume()?;
        instant(|| call(&volume).map_err(|fault| exception(&fault)))
    }

    fn read(&self, job: ReadJob) -> PyResult<Ticket> {
        self.call(|volume| volume.read(job))
    }

    fn write(&self, op: Op) -> PyResult<Ticket> {
        self.call(|volume| volume.write(op))
    }

    /// A read of an account; an account that the store has not seen is made first.
    fn read_account(&self, account: u32, job: ReadJob) -> PyResult<Ticket> {
        self.call(|volume| {
            if reader::knows_account(volume.context(), account)? {
                volume.read(job)
            } else {
                volume.write_then(Op::EnsureAccount { account }, Box::new(move |context, _| job(context)))
            }
        })
    }

    /// STORE of the messages named, by number or, with the second of the pair, by UID.
    fn change_flags(
        &self,
        view: &MailboxView,
        (messages, uid): (&SequenceSet, bool),
        mode: FlagMode,
        flags: &[String],
        silent: bool,
        unchanged_since: Option<u64>,
    ) -> PyResult<Ticket> {
        let flags = flag_set(flags)?;
        let view = view.inner();
        let uids = view.resolve(&messages.inner, uid).ranges();
        if uids.is_empty() {
            return self.nothing(Outcome::Boxed(Box::new(StoreAnswer::default())));
        }
        let op = Op::StoreFlags {
            account: view.account,
            mailbox: view.mailbox,
            uids,
            mode,
            flags,
            unchanged_since,
        };
        let follow = reader::answer_store(Arc::clone(view), StoreLines { silent, uids: uid });
        self.call(|volume| volume.write_then(op, follow))
    }

    /// A search, which `cancel` of its ticket ends.
    fn cancellable(&self, job: impl FnOnce(Arc<AtomicBool>) -> ReadJob) -> PyResult<Ticket> {
        let cancelled = Arc::new(AtomicBool::new(false));
        let ticket = self.read(job(Arc::clone(&cancelled)))?;
        self.tickets().searches.insert(ticket, cancelled);
        Ok(ticket)
    }

    /// A ticket that completes at once.
    fn nothing(&self, outcome: Outcome) -> PyResult<Ticket> {
        self.read(Box::new(move |_| Ok(outcome)))
    }

    /// Claims \Recent for a view; the answer goes to the view and to nobody else.
    fn claim_recent(&self, view: &Arc<StoreView>) -> PyResult<()> {
        let op = Op::ClaimRecent {
            account: view.account,
            mailbox: view.mailbox,
        };
        let follow = reader::answer_claim(Arc::clone(view));
        let ticket = self.volume()?.write_then(op, follow);
        match ticket {
            Ok(ticket) => {
                self.tickets().own.insert(ticket);
                Ok(())
            }
            // The messages stay \Recent to the next session too, which RFC 3501 §2.3.2 allows.
            Err(Fault::Busy) => Ok(()),
            Err(fault) => Err(exception(&fault)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970 as microseconds; what lies before is 0.
fn seconds_to_micros(seconds: f64) -> u64 {
    // The cast saturates, and NaN is 0.
    (seconds * 1e6) as u64
}

pub(crate) fn micros_to_seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn flag_set(names: &[String]) -> PyResult<FlagSet> {
    FlagSet::parse(names.iter().map(String::as_str))
        .map_err(|name| Refused::new_err(format!("no such system flag: {name}")))
}

#[pymethods]
impl Store {
    #[staticmethod]
    #[pyo3(signature = (
        path, *, map_size = 64 << 30, min_free = 64 << 20, readers = 2, sync = true, retention = 0, search_index = true
    ))]
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    fn open(
        py: Python<'_>,
        path: &str,
        map_size: usize,
        min_free: u64,
        readers: usize,
        sync: bool,
        retention: u32,
        search_index: bool,
    ) -> PyResult<Self> {
        let options = Options {
            map_size,
            min_free,
            readers,
            sync,
            retention,
            search_index,
            ..Options::default()
        };
        let volume = long(py, || Volume::open(Path::new(path), &options))?.map_err(|fault| exception(&fault))?;
        let volume = Arc::new(volume);
        Ok(Self {
            handle: Handle(Arc::downgrade(&volume)),
            descriptor: volume.descriptor(),
            recovery: volume.recovery().to_owned(),
            volume: Mutex::new(Some(volume)),
            tickets: Mutex::default(),
        })
    }

    #[getter]
    fn eventfd(&self) -> RawFd {
        self.descriptor
    }

    #[getter]
    fn recovery(&self) -> &str {
        &self.recovery
    }

    #[pyo3(signature = (limit = 256))]
    fn completions(&self, py: Python<'_>, limit: usize) -> PyResult<Vec<(Ticket, Py<PyAny>)>> {
        let finished = self.call(|volume| Ok(volume.completions(limit)))?;
        let mut results = Vec::with_capacity(finished.len());
        for (ticket, result) in finished {
            {
                let mut tickets = self.tickets();
                if tickets.own.remove(&ticket) {
                    continue;
                }
                tickets.searches.remove(&ticket);
            }
            if let Ok(Outcome::Boxed(made)) = &result {
                let claims = match (made.downcast_ref::<Opened>(), made.downcast_ref::<Updated>()) {
                    (Some(opened), _) if opened.claim_recent => Some(&opened.view),
                    (_, Some(updated)) if updated.claim_recent => Some(&updated.view),
                    _ => None,
                };
                if let Some(view) = claims {
                    self.claim_recent(view)?;
                }
            }
            let object = instant(|| values::result(py, &self.handle, result))?;
            results.push((ticket, object));
        }
        Ok(results)
    }

    fn take_dirty(&self) -> PyResult<Vec<(u32, u32)>> {
        self.call(|volume| Ok(volume.take_dirty()))
    }

    fn cancel(&self, ticket: Ticket) -> PyResult<()> {
        if let Some(search) = self.tickets().searches.remove(&ticket) {
            search.store(true, Ordering::Relaxed);
        }
        self.call(|volume| {
            volume.cancel(ticket);
            Ok(())
        })
    }

    fn failed(&self) -> PyResult<Option<String>> {
        self.call(|volume| Ok(volume.failed()))
    }

    fn oldest_commit_age(&self) -> PyResult<f64> {
        self.call(|volume| Ok(volume.oldest_commit_age()))
    }

    fn free_bytes(&self) -> PyResult<u64> {
        self.call(|volume| volume.free_bytes())
    }

    fn index_step(&self) -> PyResult<Ticket> {
        self.call(|volume| volume.index_step())
    }

    fn metrics(&self) -> PyResult<HashMap<&'static str, u64>> {
        self.call(|volume| Ok(volume.metrics()))
    }

    fn clear_dead_readers(&self) -> PyResult<usize> {
        self.call(|volume| volume.clear_dead_readers())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let Some(volume) = lock(&self.volume).take() else {
            return Ok(());
        };
        // Dropping the last reference closes; a call on another thread may hold one for an instant longer.
        long(py, || match Arc::try_unwrap(volume) {
            Ok(volume) => volume.close(),
            Err(shared) => drop(shared),
        })
    }

    // -- writing

    #[pyo3(signature = (*, size_hint = 0))]
    fn sink(&self, size_hint: u64) -> PyResult<Sink> {
        self.call(|volume| Ok(Sink::new(volume.sink(size_hint))))
    }

    fn wait_sink(&self, sink: &Sink) -> PyResult<Ticket> {
        let volume = self.volume()?;
        sink.look(|sink| volume.wait_sink(sink))?
            .map_err(|fault| exception(&fault))
    }

    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    #[pyo3(signature = (
        sink, *, deliveries = Vec::new(), internal_date = None, enqueue = Vec::new(), dequeue = Vec::new(),
        requeue = Vec::new(), partial = false
    ))]
    fn submit(
        &self,
        sink: Option<&Sink>,
        deliveries: Vec<DeliveryTuple>,
        internal_date: Option<f64>,
        enqueue: Vec<(f64, PyBackedBytes, PyBackedBytes)>,
        dequeue: Vec<u64>,
        requeue: Vec<(u64, f64, PyBackedBytes)>,
        partial: bool,
    ) -> PyResult<Ticket> {
        let deliveries = deliveries
            .into_iter()
            .map(|(account, mailbox, prefix, flags)| {
                Ok(Delivery {
                    account,
                    mailbox,
                    prefix: prefix.to_vec(),
                    flags: flag_set(&flags)?,
                })
            })
            .collect::<PyResult<Vec<Delivery>>>()?;
        let op = Op::Submit(Submit {
            deliveries,
            internal_date: internal_date.map(|seconds| seconds.floor() as i64),
            enqueue: enqueue
                .into_iter()
                .map(|(due, prefix, state)| Enqueue {
                    due: seconds_to_micros(due),
                    prefix: prefix.to_vec(),
                    state: state.to_vec(),
                })
                .collect(),
            dequeue,
            requeue: requeue
                .into_iter()
                .map(|(id, due, state)| Requeue {
                    id,
                    due: seconds_to_micros(due),
                    state: state.to_vec(),
                })
                .collect(),
            partial,
        });
        let body = sink.map(Sink::take).transpose()?;
        self.call(|volume| volume.submit(op, body, None))
    }

    #[pyo3(signature = (account, mailbox, sink, flags, internal_date, internal_zone = 0))]
    fn append(
        &self,
        account: u32,
        mailbox: String,
        sink: &Sink,
        flags: Vec<String>,
        internal_date: Option<f64>,
        internal_zone: i16,
    ) -> PyResult<Ticket> {
        let flags = flag_set(&flags)?;
        let internal_date = internal_date.map(|seconds| seconds.floor() as i64);
        let op = Op::Append {
            account,
            mailbox,
            flags,
            internal_date,
            internal_zone,
        };
        let body = sink.take()?;
        self.call(|volume| volume.submit(op, Some(body), None))
    }

    fn append_all(&self, account: u32, mailbox: String, messages: Vec<ArrivalTuple<'_>>) -> PyResult<Ticket> {
        let arrivals = messages.iter().map(arrival).collect::<PyResult<Vec<Arrival>>>()?;
        let bodies: PyResult<Vec<_>> = messages.iter().map(|(sink, ..)| sink.get().take()).collect();
        let op = Op::AppendAll {
            account,
            mailbox,
            messages: arrivals,
        };
        let bodies = bodies?;
        self.call(|volume| volume.submit_all(op, bodies, None))
    }

    fn replace(
        &self,
        account: u32,
        mailbox: String,
        message: ArrivalTuple<'_>,
        view: &MailboxView,
        uid: u32,
    ) -> PyResult<Ticket> {
        let view = view.inner();
        let op = Op::Replace {
            account,
            mailbox,
            message: arrival(&message)?,
            replaced: (view.account, view.mailbox, uid),
        };
        let body = message.0.get().take()?;
        self.call(|volume| volume.submit(op, Some(body), None))
    }

    #[pyo3(signature = (account, name, special_use = String::new()))]
    fn create_mailbox(&self, account: u32, name: String, special_use: String) -> PyResult<Ticket> {
        self.write(Op::CreateMailbox {
            account,
            name,
            special_use,
        })
    }

    fn delete_mailbox(&self, account: u32, name: String) -> PyResult<Ticket> {
        self.write(Op::DeleteMailbox { account, name })
    }

    fn rename_mailbox(&self, account: u32, old: String, new: String) -> PyResult<Ticket> {
        self.write(Op::RenameMailbox { account, old, new })
    }

    fn subscribe(&self, account: u32, name: String, subscribed: bool) -> PyResult<Ticket> {
        self.write(Op::Subscribe {
            account,
            name,
            subscribed,
        })
    }

    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    #[pyo3(signature = (view, messages, uid, mode, flags, silent, unchanged_since = None))]
    fn store_flags(
        &self,
        view: &MailboxView,
        messages: &SequenceSet,
        uid: bool,
        mode: &str,
        flags: Vec<String>,
        silent: bool,
        unchanged_since: Option<u64>,
    ) -> PyResult<Ticket> {
        let mode = match mode {
            "+" => FlagMode::Add,
            "-" => FlagMode::Remove,
            "=" => FlagMode::Replace,
            other => return Err(LocalMisuse::new_err(format!("{other:?} is none of the modes + - ="))),
        };
        self.change_flags(view, (messages, uid), mode, &flags, silent, unchanged_since)
    }

    fn mark_seen(&self, view: &MailboxView, messages: &SequenceSet, uid: bool, items: &FetchItems) -> PyResult<Ticket> {
        let view = view.inner();
        let FetchModifiers {
            changed_since, partial, ..
        } = items.modifiers;
        let wanted = paged(view.resolve(&messages.inner, uid), partial);
        let uids = self
            .call(|volume| reader::unseen_of(volume.context(), view, &wanted, changed_since))?
            .ranges();
        if uids.is_empty() {
            return self.nothing(Outcome::None);
        }
        self.write(Op::MarkSeen {
            account: view.account,
            mailbox: view.mailbox,
            uids,
        })
    }

    fn copy(
        &self,
        view: &MailboxView,
        messages: &SequenceSet,
        uid: bool,
        target: String,
        r#move: bool,
    ) -> PyResult<Ticket> {
        let view = view.inner();
        let uids = view.resolve(&messages.inner, uid).ranges();
        self.write(Op::Copy {
            account: view.account,
            mailbox: view.mailbox,
            uids,
            target,
            remove: r#move,
        })
    }

    fn expunge(&self, view: &MailboxView, messages: Option<&SequenceSet>) -> PyResult<Ticket> {
        let view = view.inner();
        let uids = messages.map(|messages| view.resolve(&messages.inner, true).ranges());
        self.write(Op::Expunge {
            account: view.account,
            mailbox: view.mailbox,
            uids,
        })
    }

    fn expunge_uids(&self, view: &MailboxView, mut uids: Vec<u32>) -> PyResult<Ticket> {
        let view = view.inner();
        uids.sort_unstable();
        let uids = uids
            .into_iter()
            .collect::<ironpost_store::view::uids::UidSet>()
            .ranges();
        if uids.is_empty() {
            return self.nothing(Outcome::Count(0));
        }
        self.write(Op::ExpungeUids {
            account: view.account,
            mailbox: view.mailbox,
            uids,
        })
    }

    fn remove_account(&self, account: u32) -> PyResult<Ticket> {
        self.write(Op::RemoveAccount { account })
    }

    // -- reading

    fn list_mailboxes(&self, account: u32) -> PyResult<Ticket> {
        self.read_account(account, reader::list_mailboxes(account))
    }

    fn mailbox(&self, account: u32, name: String) -> PyResult<Ticket> {
        self.read_account(account, reader::mailbox(account, name))
    }

    fn deleted_octets(&self, mailbox: u32) -> PyResult<Ticket> {
        self.read(reader::deleted_octets(mailbox))
    }

    fn open_view(&self, account: u32, name: String, read_only: bool) -> PyResult<Ticket> {
        self.read_account(account, reader::open_view(account, name, read_only))
    }

    #[pyo3(signature = (view, *, expunges, flags = true, uids = false))]
    fn refresh(&self, view: &MailboxView, expunges: bool, flags: bool, uids: bool) -> PyResult<Ticket> {
        let permitted = Permitted { expunges, flags, uids };
        self.read(reader::refresh(Arc::clone(view.inner()), permitted))
    }

    /// `matches` are message numbers and UIDs.
    fn vanished(
        &self,
        view: &MailboxView,
        since: u64,
        known: Option<&SequenceSet>,
        matches: Option<(PyRef<'_, SequenceSet>, PyRef<'_, SequenceSet>)>,
    ) -> PyResult<Ticket> {
        let known = known.map(|known| known.inner.clone());
        let matches = matches.map(|(numbers, uids)| (numbers.inner.clone(), uids.inner.clone()));
        self.read(reader::vanished(Arc::clone(view.inner()), since, known, matches))
    }

    fn fetch_cursor(
        &self,
        view: &MailboxView,
        messages: &SequenceSet,
        uid: bool,
        items: &FetchItems,
    ) -> PyResult<FetchCursor> {
        instant(|| {
            let view = Arc::clone(view.inner());
            Ok(FetchCursor::new(StoreCursor::new(
                view,
                &messages.inner,
                uid,
                &items.inner,
                items.modifiers,
            )))
        })
    }

    #[pyo3(signature = (cursor, limit = 131_072))]
    fn fetch(&self, cursor: &FetchCursor, limit: usize) -> PyResult<Ticket> {
        self.read(reader::fetch(cursor.inner(), limit))
    }

    fn fetch_now<'py>(&self, py: Python<'py>, cursor: &FetchCursor) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let octets = self.call(|volume| reader::fetch_now(volume.context(), cursor.inner().as_ref()))?;
        Ok(octets.map(|octets| PyBytes::new(py, &octets)))
    }

    fn search(&self, view: &MailboxView, program: &SearchProgram, uid: bool, tag: String) -> PyResult<Ticket> {
        let (view, program) = (Arc::clone(view.inner()), program.inner.clone());
        self.cancellable(|cancelled| reader::search(view, program, uid, tag, cancelled))
    }

    fn search_data(&self, view: &MailboxView, program: &SearchProgram) -> PyResult<Ticket> {
        let (view, program) = (Arc::clone(view.inner()), program.inner.clone());
        self.cancellable(|cancelled| reader::search_data(view, program, cancelled))
    }

    fn messages(&self, view: &MailboxView) -> PyResult<Ticket> {
        self.read(reader::messages(Arc::clone(view.inner())))
    }

    #[pyo3(signature = (view, after = 0, limit = 10_000))]
    fn facts(&self, view: &MailboxView, after: u32, limit: usize) -> PyResult<Ticket> {
        self.read(reader::facts(Arc::clone(view.inner()), after, limit))
    }

    fn read_message(&self, view: &MailboxView, uid: u32, offset: u64, length: u64) -> PyResult<Ticket> {
        self.read(reader::read_message(Arc::clone(view.inner()), uid, offset, length))
    }

    fn locate(&self, view: &MailboxView, url: &ImapUrl) -> PyResult<Ticket> {
        let (section, partial) = (url.inner.section.clone(), url.inner.partial);
        self.read(reader::locate(
            Arc::clone(view.inner()),
            url.inner.uid,
            section,
            partial,
        ))
    }

    #[pyo3(signature = (view, after = 0, limit = 1000))]
    fn message_rows(&self, view: &MailboxView, after: u32, limit: usize) -> PyResult<Ticket> {
        self.read(listing::rows(Arc::clone(view.inner()), after, limit))
    }

    #[pyo3(signature = (view, uids, limit = 1 << 20))]
    fn whole_messages(&self, view: &MailboxView, uids: Vec<u32>, limit: u64) -> PyResult<Ticket> {
        self.read(listing::whole(Arc::clone(view.inner()), uids, limit))
    }

    fn fingerprints(&self, view: &MailboxView, uids: Vec<u32>) -> PyResult<Ticket> {
        self.read(listing::fingerprints(Arc::clone(view.inner()), uids))
    }

    fn top_octets(&self, view: &MailboxView, uid: u32, lines: u64) -> PyResult<Ticket> {
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        self.read(reader::top_octets(Arc::clone(view.inner()), uid, lines))
    }

    // -- queue

    fn queue_due(&self, now: f64, limit: usize) -> PyResult<Ticket> {
        self.read(reader::queue_due(seconds_to_micros(now), limit))
    }

    fn queue_next_due(&self) -> PyResult<Ticket> {
        self.read(reader::queue_next_due())
    }

    fn queue_list(&self, after: u64, limit: usize) -> PyResult<Ticket> {
        self.read(reader::queue_list(after, limit))
    }

    fn queue_read(&self, id: u64, offset: u64, length: u64) -> PyResult<Ticket> {
        self.read(reader::queue_read(id, offset, length))
    }

    fn queue_size(&self) -> PyResult<Ticket> {
        self.read(reader::queue_size())
    }

    // -- health

    fn check(&self, full: bool) -> PyResult<Ticket> {
        self.call(|volume| volume.check(full))
    }

    fn accounts(&self) -> PyResult<Ticket> {
        self.read(reader::accounts())
    }
}

/// Adds the classes.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Store>()?;
    module.add_class::<Sink>()?;
    module.add_class::<MailboxView>()?;
    module.add_class::<FetchCursor>()?;
    module.add_class::<keep::Quota>()?;
    module.add_class::<keep::Retained>()?;
    module.add_class::<values::MailboxInfo>()?;
    module.add_class::<values::StoredMessage>()?;
    module.add_class::<values::QueueItem>()?;
    module.add_class::<values::CheckReport>()
}
