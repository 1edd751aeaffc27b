//! Threads between sinks and writer: each makes one body's records after the other, and hands the operation on.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_channel::Receiver;

use crate::completion::{Completions, closed};
use crate::error::{StoreError, is_no_space};
use crate::lineup::Lineup;
use crate::prepare::prepare;
use crate::sink::Sink;
use crate::writer::{Queued, WriterShared};

/// One such thread.
pub(crate) struct Preparer {
    pub(crate) work: Receiver<(Queued, Vec<Sink>)>,
    pub(crate) packs: PathBuf,
    pub(crate) shared: Arc<WriterShared>,
    pub(crate) completions: Arc<Completions>,
    pub(crate) lineup: Arc<Lineup>,
}

impl Preparer {
    /// Until the channel is closed.
    pub(crate) fn run(&self) {
        while let Ok((mut queued, sinks)) = self.work.recv() {
            let ticket = queued.ticket;
            let place = queued.place.take();
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() as i64);
            let prepared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                prepare(&queued.op, sinks, &self.packs, now)
            }));
            let fault = match prepared {
                Ok(Ok(prepared)) => {
                    queued.prepared = prepared;
                    match place {
                        None => self.hand_on(queued),
                        Some(place) => self.lineup.arrive(place, Some(queued), |queued| self.hand_on(queued)),
                    }
                    continue;
                }
                Ok(Err(StoreError::Io(error))) if is_no_space(&error) => StoreError::Full(error.to_string()),
                Ok(Err(StoreError::Failed(reason))) => {
                    self.shared.fail(reason.clone());
                    StoreError::Failed(reason)
                }
                Ok(Err(error)) => error,
                Err(_) => StoreError::Failed("preparing a message panicked".to_owned()),
            };
            if let Some(place) = place {
                self.lineup.arrive(place, None, |queued| self.hand_on(queued));
            }
            if let Some(ticket) = ticket {
                self.completions.finish([(ticket, Err(fault))]);
            }
        }
    }

    /// To the writer.
    fn hand_on(&self, queued: Queued) {
        let ticket = queued.ticket;
        if !self.shared.push(queued)
            && let Some(ticket) = ticket
        {
            self.completions.finish([(ticket, Err(closed()))]);
        }
    }
}
