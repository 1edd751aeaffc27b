//! `StoreTask` of `_core.pyi`: long work on a thread of its own. Conversion only: backups and exports are the store's.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ironpost_store::backup::restore_accounts;
use ironpost_store::backup::{self, PackList, Snapshot, TakeOptions};
use ironpost_store::portable::Progress;
use ironpost_store::portable::export::{AccountPlan, Front, Plan, Summary, export};
use ironpost_store::portable::format::Record;
use ironpost_store::portable::format::hex;
use ironpost_store::portable::import::{ImportOptions, Imported, import};
use ironpost_store::{Options, StoreError as Fault, Volume};
use pyo3::prelude::*;

use crate::enter::{instant, long};
use crate::errors::LocalMisuse;
use crate::store::exception;

/// Numbers by name, and texts by name.
type Told = (HashMap<&'static str, u64>, Vec<String>);
/// Name and value, as records of the stream have them.
type FieldTuples = Vec<(String, String)>;

/// Octets gathered before they are written.
const WRITE_OCTETS: usize = 1 << 20;

#[derive(Default)]
struct State {
    question: Option<FieldTuples>,
    answer: Option<Option<u32>>,
    outcome: Option<Result<Told, Fault>>,
}

#[derive(Default)]
struct Shared {
    progress: Progress,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks Python, and waits for the answer.
    fn ask(&self, record: &Record) -> Result<Option<u32>, Fault> {
        let mut question = vec![("Kind".to_owned(), record.kind.clone())];
        question.extend(record.fields().iter().cloned());
        let mut state = self.state();
        state.question = Some(question);
        self.changed.notify_all();
        loop {
            if let Some(answer) = state.answer.take() {
                return Ok(answer);
            }
            self.progress.go_on()?;
            state = self.wait(state, Duration::from_millis(500));
        }
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>, limit: Duration) -> MutexGuard<'s, State> {
        self.changed
            .wait_timeout(state, limit)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}

/// One long work.
#[pyclass(frozen, module = "ironpost._core")]
pub(crate) struct StoreTask {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl StoreTask {
    fn start(work: impl FnOnce(&Arc<Shared>) -> Result<Told, Fault> + Send + 'static) -> PyResult<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("store-task".to_owned());
        let thread = builder.spawn(move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&own)))
                .unwrap_or_else(|_| Err(Fault::Failed("the task panicked".to_owned())));
            own.state().outcome = Some(outcome);
            own.changed.notify_all();
        })?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }
}

fn volume_options(map_size: usize) -> Options {
    Options {
        map_size,
        readers: 1,
        sync: true,
        ..Options::default()
    }
}

fn summary_of(summary: &Summary) -> HashMap<&'static str, u64> {
    HashMap::from([
        ("accounts", summary.accounts),
        ("mailboxes", summary.mailboxes),
        ("messages", summary.messages),
        ("retained", summary.retained),
        ("queue", summary.queue),
        ("bodies", summary.bodies),
        ("octets", summary.octets),
        ("damaged", summary.damaged),
    ])
}

fn accounts_of(accounts: Vec<(u32, FieldTuples)>) -> Vec<AccountPlan> {
    accounts
        .into_iter()
        .map(|(id, fields)| AccountPlan { id, fields })
        .collect()
}

fn imported_of(imported: &Imported) -> HashMap<&'static str, u64> {
    let mut numbers = summary_of(&imported.stored);
    numbers.insert("present", imported.present);
    numbers.insert("passed", imported.passed);
    numbers
}

/// A file that gets its octets, or the standard output.
fn output(path: Option<&Path>) -> std::io::Result<Box<dyn Write>> {
    Ok(match path {
        Some(path) => Box::new(File::options().write(true).create(true).truncate(true).open(path)?),
        None => Box::new(std::io::stdout()),
    })
}

#[pymethods]
impl StoreTask {
    #[staticmethod]
    #[pyo3(signature = (store, packs, snapshot, lists, *, map_size, copy = false, rate = None))]
    fn backup(
        store: PathBuf,
        packs: PathBuf,
        snapshot: PathBuf,
        lists: Vec<PathBuf>,
        map_size: usize,
        copy: bool,
        rate: Option<u64>,
    ) -> PyResult<Self> {
        Self::start(move |shared| {
            let mut known = PackList::default();
            for list in lists {
                known.merge(&PackList::load(&list)?);
            }
            let options = TakeOptions { copy, rate };
            let volume = volume_options(map_size);
            let taken = backup::take_of(&store, &volume, &packs, &snapshot, &known, options, &shared.progress)?;
            let numbers = HashMap::from([
                ("accounts", taken.counts.accounts),
                ("mailboxes", taken.counts.mailboxes),
                ("messages", taken.counts.messages),
                ("octets", taken.counts.octets),
                ("packs", taken.packs),
                ("pack_octets", taken.pack_octets),
                ("packs_kept", taken.packs_kept),
                ("packs_linked", taken.packs_linked),
                ("octets_copied", taken.octets_copied),
            ]);
            Ok((numbers, vec![hex(&taken.volume)]))
        })
    }

    #[staticmethod]
    #[pyo3(signature = (store, *, map_size))]
    fn volume_of(py: Python<'_>, store: PathBuf, map_size: usize) -> PyResult<String> {
        let volume = long(py, || backup::volume_of(&store, &volume_options(map_size)))?;
        let volume = volume.map_err(|fault| exception(&fault))?;
        Ok(hex(&volume))
    }

    #[staticmethod]
    fn verify_packs(list: PathBuf, packs: PathBuf) -> PyResult<Self> {
        Self::start(move |shared| {
            backup::verify::packs(&PackList::load(&list)?, &packs, &shared.progress)?;
            Ok((HashMap::new(), Vec::new()))
        })
    }

    #[staticmethod]
    fn check_snapshot(index: PathBuf, list: PathBuf, packs: PathBuf, scratch: PathBuf, full: bool) -> PyResult<Self> {
        Self::start(move |_| {
            let report = backup::verify::check(&index, &PackList::load(&list)?, &packs, &scratch, full)?;
            let numbers = HashMap::from([
                ("accounts", report.accounts),
                ("mailboxes", report.mailboxes),
                ("messages", report.messages),
                ("blobs", report.blobs),
                ("packs", report.packs),
                ("queue", report.queue),
            ]);
            Ok((numbers, report.problems))
        })
    }

    #[staticmethod]
    fn digest(path: PathBuf) -> PyResult<Self> {
        Self::start(move |shared| {
            let length = std::fs::metadata(&path)?.len();
            let digest = backup::verify::digest(&path, length, &shared.progress)?;
            Ok((HashMap::from([("octets", length)]), vec![digest.to_hex().to_string()]))
        })
    }

    #[staticmethod]
    fn restore_packs(list: PathBuf, source: PathBuf, target: PathBuf) -> PyResult<Self> {
        Self::start(move |shared| {
            backup::restore::packs(&PackList::load(&list)?, &source, &target, &shared.progress)?;
            Ok((HashMap::new(), Vec::new()))
        })
    }

    #[staticmethod]
    #[pyo3(signature = (
        store, path, *, begin, front, accounts, unknown_accounts, mailbox = None, queue = true, retained = true,
        map_size, snapshot_packs = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "named by its caller")]
    fn export(
        store: PathBuf,
        path: Option<PathBuf>,
        begin: FieldTuples,
        front: Vec<(String, FieldTuples)>,
        accounts: Vec<(u32, FieldTuples)>,
        unknown_accounts: bool,
        mailbox: Option<String>,
        queue: bool,
        retained: bool,
        map_size: usize,
        snapshot_packs: Option<PathBuf>,
    ) -> PyResult<Self> {
        let plan = Plan {
            begin,
            front: front.into_iter().map(|(kind, fields)| Front { kind, fields }).collect(),
            accounts: accounts_of(accounts),
            unknown_accounts,
            mailbox,
            queue,
            retained,
        };
        Self::start(move |shared| {
            let out = BufWriter::with_capacity(WRITE_OCTETS, output(path.as_deref())?);
            let summary = if let Some(packs) = snapshot_packs {
                let snapshot = Snapshot::open(&store, &packs)?;
                let exported = export(snapshot.context(), out, &plan, &shared.progress).map(|(summary, _)| summary);
                snapshot.close();
                exported?
            } else {
                let volume = Volume::open(&store, &volume_options(map_size))?;
                let exported = export(volume.context(), out, &plan, &shared.progress).map(|(summary, _)| summary);
                volume.close();
                exported?
            };
            Ok((summary_of(&summary), Vec::new()))
        })
    }

    /// The stream comes from a file, from the standard input, or straight out of a snapshot.
    #[staticmethod]
    #[pyo3(signature = (store, path, *, map_size, prefix = String::new(), queue = false, retained = true))]
    fn import_(
        store: PathBuf,
        path: Option<PathBuf>,
        map_size: usize,
        prefix: String,
        queue: bool,
        retained: bool,
    ) -> PyResult<Self> {
        let options = ImportOptions {
            prefix,
            queue,
            retained,
        };
        Self::start(move |shared| {
            let input: Box<dyn Read> = match path {
                Some(path) => Box::new(File::open(path)?),
                None => Box::new(std::io::stdin()),
            };
            let volume = Volume::open(&store, &volume_options(map_size))?;
            let imported = import(&volume, input, &options, &shared.progress, &mut |record| {
                shared.ask(record)
            });
            volume.close();
            Ok((imported_of(&imported?), Vec::new()))
        })
    }

    #[staticmethod]
    #[pyo3(signature = (
        store, index, packs, accounts, *, map_size, mailbox = None, prefix = String::new(), retained = false
    ))]
    #[expect(clippy::too_many_arguments, reason = "named by its caller")]
    fn restore_accounts(
        store: PathBuf,
        index: PathBuf,
        packs: PathBuf,
        accounts: Vec<(u32, FieldTuples)>,
        map_size: usize,
        mailbox: Option<String>,
        prefix: String,
        retained: bool,
    ) -> PyResult<Self> {
        let options = ImportOptions {
            prefix,
            queue: false,
            retained,
        };
        let plan = Plan {
            accounts: accounts_of(accounts),
            mailbox,
            retained,
            ..Plan::default()
        };
        Self::start(move |shared| {
            let volume = Volume::open(&store, &volume_options(map_size))?;
            let ask = &mut |record: &Record| shared.ask(record);
            let imported = restore_accounts(&volume, &index, &packs, &plan, &options, &shared.progress, ask);
            volume.close();
            Ok((imported_of(&imported?), Vec::new()))
        })
    }

    /// Waits; true when it is done or asks.
    fn wait(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let limit = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        long(py, || {
            let mut state = self.shared.state();
            if state.outcome.is_none() && state.question.is_none() {
                state = self.shared.wait(state, limit);
            }
            state.outcome.is_some() || state.question.is_some()
        })
    }

    /// (done, octets, total).
    fn progress(&self) -> (u64, u64, u64) {
        self.shared.progress.counts()
    }

    #[getter]
    fn problems(&self) -> u64 {
        self.shared.progress.problems()
    }

    fn notes(&self) -> Vec<String> {
        self.shared.progress.take_notes()
    }

    fn question(&self) -> Option<FieldTuples> {
        self.shared.state().question.clone()
    }

    fn answer(&self, account: Option<u32>) {
        let mut state = self.shared.state();
        state.question = None;
        state.answer = Some(account);
        drop(state);
        self.shared.changed.notify_all();
    }

    fn cancel(&self) {
        self.shared.progress.cancel();
    }

    fn result(&self, py: Python<'_>) -> PyResult<Told> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        long(py, || {
            if let Some(thread) = thread {
                // Its panic was caught within.
                let _ = thread.join();
            }
        })?;
        let outcome = self.shared.state().outcome.take();
        instant(|| match outcome {
            None => Err(LocalMisuse::new_err("the task's result was taken before")),
            Some(Ok(told)) => Ok(told),
            Some(Err(fault)) => Err(exception(&fault)),
        })
    }
}

/// Adds the class.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<StoreTask>()
}
