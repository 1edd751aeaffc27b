//! A process that is stopped (SIGSTOP) while it holds LMDB's writer lock: the others wait, read on, and go on when it
//! is killed or continued. Nothing that was answered is lost.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::durable_support::compare::{History, read_back};
use crate::durable_support::perform::Answer;
use crate::durable_support::script::Author;
use crate::durable_support::steps::Step;
use crate::durable_support::{Random, setting};
use crate::worker::{Said, Worker, options};
use crate::write_support::{Rig, body};

fn pid_of(worker: &Worker) -> Pid {
    Pid::from_raw(worker.pid() as i32).unwrap()
}

/// Returns when the process has stopped.
fn wait_stopped(worker: &Worker) {
    let (_, status) = waitpid(Some(pid_of(worker)), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped(), "{status:?}");
}

/// Two workers that take the steps of their own accounts one after another.
struct Pair {
    rig: Rig,
    heard: Receiver<Said>,
    workers: [Worker; 2],
    steps: [Vec<Step>; 2],
    next: [usize; 2],
    history: History,
}

impl Pair {
    /// The first worker passes the fail point.
    fn start(folder: &std::path::Path, failpoint: Option<&str>, seed: u64) -> Self {
        let rig = Rig::open(folder, &options());
        let (says, heard) = channel();
        let workers = [
            Worker::start(folder, 0, &says, failpoint),
            Worker::start(folder, 1, &says, None),
        ];
        for _ in 0..2 {
            let (_, line) = heard.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!(line.as_deref(), Some("open"));
        }
        // The first step is one that needs the lock, whatever the dice say.
        let steps = [1, 2].map(|account: u32| {
            let first = Step::Ensure { account };
            let seed = seed * 2 + u64::from(account);
            let more = Author::new(seed, vec![account], u64::from(account) * 100_000, 20, false).steps(4_000);
            [first].into_iter().chain(more).collect()
        });
        Self {
            rig,
            heard,
            workers,
            steps,
            next: [0, 0],
            history: History::default(),
        }
    }

    /// Gives a worker its next step.
    fn ask(&mut self, worker: usize) {
        let at = self.next[worker];
        self.next[worker] += 1;
        let key = (worker * 1_000_000 + at) as u64;
        self.history.begin(&key.to_string(), &self.steps[worker][at]);
        self.workers[worker].ask(key, &self.steps[worker][at]);
    }

    /// The next answer, and whose; `None` when nobody says anything for so long.
    fn hear(&mut self, limit: Duration) -> Option<usize> {
        loop {
            let (worker, line) = self.heard.recv_timeout(limit).ok()?;
            let Some(line) = line else { continue };
            let Some((key, answer)) = line.split_once(' ') else {
                continue;
            };
            self.history.answer(key, &Answer::from(answer));
            return Some(worker);
        }
    }

    /// Both go on until so many answers of the second have come.
    fn go_on(&mut self, answers: usize, only: Option<usize>) {
        let mut left = answers;
        while left > 0 {
            let worker = self.hear(Duration::from_secs(60)).expect("an answer");
            left -= 1;
            if left > 0 && only.is_none_or(|only| only == worker) {
                self.ask(worker);
            }
        }
    }

    fn verify(mut self) {
        let found = read_back(&self.rig);
        self.history.settle(&found).unwrap();
        self.rig.deliver(50, "INBOX", &body(1, 500)).unwrap();
        self.rig.finish();
    }
}

/// What ends the stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Kill,
    Continue,
}

fn stopped_at(point: &str, end: End) {
    let folder = tempfile::tempdir().unwrap();
    let mut pair = Pair::start(folder.path(), Some(&format!("{point}:6=stop")), 3);
    // The first runs into the point by itself.
    pair.ask(0);
    let mut answers = 0;
    while let Some(worker) = pair.hear(Duration::from_millis(700)) {
        assert_eq!(worker, 0);
        answers += 1;
        assert!(answers < 100, "{point} was never passed");
        pair.ask(0);
    }
    wait_stopped(&pair.workers[0]);
    // The other waits for the lock, however long; its own reads, and ours, go on.
    pair.ask(1);
    assert_eq!(
        pair.hear(Duration::from_millis(300)),
        None,
        "{point}: it was not the lock that the first holds"
    );
    let _ = read_back(&pair.rig);
    match end {
        End::Kill => {
            pair.workers[0].kill();
            pair.go_on(30, Some(1));
        }
        End::Continue => {
            kill_process(pid_of(&pair.workers[0]), Signal::CONT).unwrap();
            pair.go_on(60, None);
            pair.workers[0].kill();
        }
    }
    pair.verify();
}

#[test]
fn a_stopped_holder_of_the_lock_is_killed_and_others_go_on() {
    for point in ["apply", "before-commit"] {
        stopped_at(point, End::Kill);
    }
}

#[test]
fn a_stopped_holder_of_the_lock_goes_on_and_so_do_the_others() {
    stopped_at("before-commit", End::Continue);
}

/// Stops at any instant under load: within a write, a commit, LMDB's own code.
#[test]
fn stops_at_any_instant() {
    let rounds = setting("IRONPOST_STOP_ROUNDS", 8);
    let mut random = Random::new(setting("IRONPOST_STOP_SEED", 1));
    for round in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let mut pair = Pair::start(folder.path(), None, round);
        pair.ask(0);
        pair.ask(1);
        let mut left = 5 + random.below(60);
        while left > 0 {
            let worker = pair.hear(Duration::from_secs(60)).unwrap();
            pair.ask(worker);
            left -= 1;
        }
        std::thread::sleep(Duration::from_micros(random.below(1_500)));
        kill_process(pid_of(&pair.workers[0]), Signal::STOP).unwrap();
        wait_stopped(&pair.workers[0]);
        // The second may go on or not, as the first holds the lock or not. Then the first is killed.
        if pair.hear(Duration::from_millis(30)) == Some(1) {
            pair.ask(1);
        }
        pair.workers[0].kill();
        let mut left = 20;
        while left > 0 {
            if pair.hear(Duration::from_secs(60)).unwrap() == 1 {
                left -= 1;
                if left > 0 {
                    pair.ask(1);
                }
            }
        }
        pair.verify();
    }
}
