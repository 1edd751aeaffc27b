//! Finished tickets and the eventfd that tells of them.

use std::collections::{HashSet, VecDeque};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd};

use crate::error::{Result, StoreError};
use crate::ids::{AccountId, MailboxId, Ticket};
use crate::ops::Outcome;

/// What a ticket came to.
pub type Finished = (Ticket, Result<Outcome>);

/// The list of finished tickets. The eventfd is written only when it is not readable already.
#[derive(Debug)]
pub struct Completions {
    descriptor: OwnedFd,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: Ticket,
    /// Tickets whose result somebody still wants.
    open: HashSet<Ticket>,
    finished: VecDeque<Finished>,
    dirty: HashSet<(AccountId, MailboxId)>,
    /// The eventfd has been written and not been read since.
    signalled: bool,
}

impl Completions {
    /// An empty list.
    pub fn new() -> Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            descriptor,
            state: Mutex::default(),
        })
    }

    /// The eventfd: readable while finished tickets wait.
    #[must_use]
    pub fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// Blocks until the eventfd is readable or the time is up.
    pub(crate) fn wait(&self, limit: Duration) -> Result<()> {
        let mut descriptors = [PollFd::new(&self.descriptor, PollFlags::IN)];
        let limit = Timespec::try_from(limit).map_err(|_| rustix::io::Errno::INVAL)?;
        match rustix::event::poll(&mut descriptors, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A new ticket.
    pub(crate) fn issue(&self) -> Ticket {
        let mut state = self.state.lock();
        state.next += 1;
        let ticket = state.next;
        state.open.insert(ticket);
        ticket
    }

    /// Takes a ticket back that was never handed out.
    pub(crate) fn withdraw(&self, ticket: Ticket) {
        self.state.lock().open.remove(&ticket);
    }

    /// The result is not wanted any more.
    pub fn cancel(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        if !state.open.remove(&ticket) {
            state.finished.retain(|(finished, _)| *finished != ticket);
        }
    }

    /// Tells results; those of cancelled tickets are dropped.
    pub(crate) fn finish(&self, results: impl IntoIterator<Item = Finished>) {
        self.finish_with(results, []);
    }

    /// As [`Self::finish`], with the pairs that the commit has changed.
    pub(crate) fn finish_with(
        &self,
        results: impl IntoIterator<Item = Finished>,
        dirty: impl IntoIterator<Item = (AccountId, MailboxId)>,
    ) {
        let wake = {
            let mut state = self.state.lock();
            let before = state.dirty.len();
            state.dirty.extend(dirty);
            let mut news = state.dirty.len() > before;
            for (ticket, result) in results {
                if state.open.remove(&ticket) {
                    state.finished.push_back((ticket, result));
                    news = true;
                }
            }
            news && !std::mem::replace(&mut state.signalled, true)
        };
        if wake {
            // A full counter still reads as readable, so a failing write of 1 loses nothing.
            let _ = rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes());
        }
    }

    /// Fails every ticket that is still open: after a panic nobody knows which of them would ever be told.
    pub(crate) fn fail_open(&self, reason: &str) {
        let open: Vec<Ticket> = self.state.lock().open.iter().copied().collect();
        self.finish(
            open.into_iter()
                .map(|ticket| (ticket, Err(StoreError::Failed(reason.to_owned())))),
        );
    }

    /// Clears the eventfd and takes at most `limit` results; when more are left the eventfd stays readable.
    pub fn take(&self, limit: usize) -> Vec<Finished> {
        let mut state = self.state.lock();
        let mut counter = [0; 8];
        // EAGAIN: nothing was written since; that is what the loop of the caller expects now and then.
        let _ = rustix::io::read(&self.descriptor, &mut counter);
        state.signalled = false;
        let count = limit.min(state.finished.len());
        let taken: Vec<Finished> = state.finished.drain(..count).collect();
        if !state.finished.is_empty() {
            state.signalled = true;
            let _ = rustix::io::write(&self.descriptor, &1_u64.to_ne_bytes());
        }
        taken
    }

    /// Takes the (account, mailbox) pairs that commits of this process have changed; mailbox 0 is the account's list
    /// of mailboxes, account 0 the queue.
    pub fn take_dirty(&self) -> Vec<(AccountId, MailboxId)> {
        self.state.lock().dirty.drain().collect()
    }

    /// Tickets that wait for their result.
    #[must_use]
    pub fn open(&self) -> usize {
        self.state.lock().open.len()
    }
}

/// The error for what comes after the volume was closed.
pub(crate) fn closed() -> StoreError {
    StoreError::Failed("the volume is closed".to_owned())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn readable(completions: &Completions) -> bool {
        let mut descriptors = [PollFd::new(&completions.descriptor, PollFlags::IN)];
        rustix::event::poll(&mut descriptors, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn the_descriptor_is_readable_exactly_while_news_wait() {
        let completions = Completions::new().unwrap();
        let tickets: Vec<Ticket> = (0..4).map(|_| completions.issue()).collect();
        assert!(!readable(&completions));
        completions.finish_with([(tickets[0], Ok(Outcome::None))], [(1, 2)]);
        completions.finish([(tickets[1], Ok(Outcome::None))]);
        assert!(readable(&completions));
        assert_eq!(completions.take(1).len(), 1);
        assert!(readable(&completions), "one is left");
        assert_eq!(completions.take(9).len(), 1);
        assert!(!readable(&completions));
        // Dirty pairs that nobody has taken must not keep later results from waking the pump.
        completions.finish([(tickets[2], Ok(Outcome::None))]);
        assert!(readable(&completions));
        completions.cancel(tickets[2]);
        assert_eq!(completions.take(9).len(), 0);
        completions.cancel(tickets[3]);
        completions.finish([(tickets[3], Ok(Outcome::None))]);
        assert!(!readable(&completions));
        assert_eq!((completions.take_dirty(), completions.open()), (vec![(1, 2)], 0));
    }
}
