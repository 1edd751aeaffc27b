//! The thread of the search index: one step of the builder at a time, at the lowest priority.

use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::filter::build::{self, IndexStep, Limits};
use crate::completion::Completions;
use crate::error::{Result, StoreError};
use crate::ids::Ticket;
use crate::jobs::ReadContext;
use crate::ops::Outcome;

/// How nice the thread is: it gets what others leave.
const NICE: i32 = 19;

/// Runs steps, one at a time; a thread lives as long as a step.
#[derive(Debug, Default)]
pub(crate) struct Indexer {
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Indexer {
    /// Starts a step; its ticket completes with `Boxed(IndexStep)`. While one runs there is nothing more to do.
    pub(crate) fn start(&self, context: &ReadContext, completions: &Arc<Completions>) -> Result<Ticket> {
        let mut running = self.running.lock();
        let ticket = completions.issue();
        if running.as_ref().is_some_and(|thread| !thread.is_finished()) || context.search.is_stopped() {
            completions.finish([(ticket, Ok(Outcome::Boxed(Box::<IndexStep>::default())))]);
            return Ok(ticket);
        }
        let (context, told) = (context.clone(), Arc::clone(completions));
        let work = move || {
            // Refused or not, the step is as correct.
            let _ = rustix::process::nice(NICE);
            let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                build::step(&context, &Limits::default())
            }));
            let step =
                step.unwrap_or_else(|_| Err(StoreError::Failed("building the search index panicked".to_owned())));
            told.finish([(ticket, step.map(|step| Outcome::Boxed(Box::new(step))))]);
        };
        match std::thread::Builder::new().name("store-index".to_owned()).spawn(work) {
            Ok(thread) => *running = Some(thread),
            Err(error) => {
                completions.withdraw(ticket);
                return Err(error.into());
            }
        }
        Ok(ticket)
    }

    /// Ends a running step and waits for it.
    pub(crate) fn close(&self, context: &ReadContext) {
        context.search.stop();
        if let Some(thread) = self.running.lock().take() {
            // A panic of the step was caught and told by its ticket.
            let _ = thread.join();
        }
    }
}
