//! Random operations from several processes at once against one dictionary. Operations on one account follow each
//! other, those on different accounts run at the same time. Now and then a process is killed: what it had under way has
//! happened as a whole or not at all.
//!
//! `IRONPOST_MODEL_OPERATIONS` (3,000 by default), `IRONPOST_MODEL_PROCESSES` (3), `IRONPOST_MODEL_SEED`.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::durable_support::compare::{History, read_back};
use crate::durable_support::perform::Answer;
use crate::durable_support::script::Author;
use crate::durable_support::steps::Step;
use crate::durable_support::{Random, setting};
use crate::worker::{Said, Worker, options};
use crate::write_support::Rig;

const ACCOUNTS: u32 = 8;
/// Steps that may wait for their accounts.
const WAITING: usize = 24;
/// Answers between two comparisons of everything.
const COMPARE_EVERY: u64 = 1_000;
/// A process is killed about once in so many answers.
const KILL_ONE_IN: u64 = 400;
/// How long any answer may take.
const LIMIT: Duration = Duration::from_secs(60);

struct Crowd {
    rig: Rig,
    folder: tempfile::TempDir,
    says: std::sync::mpsc::Sender<Said>,
    heard: Receiver<Said>,
    workers: Vec<Worker>,
    /// Number of the worker at each place; a place gets a new number with each new worker.
    numbers: Vec<usize>,
    history: History,
    /// Which worker has which step.
    under_way: HashMap<u64, usize>,
    busy: BTreeSet<u32>,
    next_key: u64,
    answered: [u64; 4],
    kills: u64,
}

impl Crowd {
    fn start(processes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rig = Rig::open(folder.path(), &options());
        let (says, heard) = channel();
        let mut crowd = Self {
            rig,
            folder,
            says,
            heard,
            workers: Vec::new(),
            numbers: Vec::new(),
            history: History::default(),
            under_way: HashMap::new(),
            busy: BTreeSet::new(),
            next_key: 0,
            answered: [0; 4],
            kills: 0,
        };
        for place in 0..processes {
            crowd
                .workers
                .push(Worker::start(crowd.folder.path(), place, &crowd.says, None));
            crowd.numbers.push(place);
        }
        crowd
    }

    fn ask(&mut self, place: usize, step: &Step) {
        let key = self.next_key;
        self.next_key += 1;
        self.history.begin(&key.to_string(), step);
        self.busy.extend(step.takes_part());
        self.under_way.insert(key, self.numbers[place]);
        self.workers[place].ask(key, step);
    }

    /// Hears one line.
    fn hear(&mut self) {
        let (number, line) = self.heard.recv_timeout(LIMIT).expect("no worker answers");
        self.take(number, line);
    }

    fn take(&mut self, number: usize, line: Option<String>) {
        let line = line.unwrap_or_else(|| panic!("worker {number} has died by itself"));
        let Some((key, answer)) = line.split_once(' ') else {
            return;
        };
        let of = self.under_way.remove(&key.parse().unwrap());
        assert_eq!(of, Some(number), "{line}");
        let answer = Answer::from(answer);
        let kind = match &answer {
            Answer::Done => 0,
            Answer::Refused(_) => 1,
            Answer::Full => 2,
            Answer::Failed(text) => panic!("a step has failed: {text}"),
        };
        self.answered[kind] += 1;
        let parts = self.history.open[key].takes_part();
        self.busy.retain(|account| !parts.contains(account));
        self.history.answer(key, &answer);
    }

    fn quiet(&mut self) {
        while !self.under_way.is_empty() {
            self.hear();
        }
    }

    /// Everything that the volume holds is what the dictionary says.
    fn compare(&mut self) {
        self.quiet();
        let found = read_back(&self.rig);
        self.history.settle(&found).unwrap();
    }

    /// Kills a worker with its steps under way, reads what became of them, and puts another in its place.
    fn kill(&mut self, place: usize) {
        self.kills += 1;
        self.workers[place].kill();
        let dead = self.numbers[place];
        // Its last words come before its end.
        loop {
            let (number, line) = self.heard.recv_timeout(LIMIT).expect("the end of a killed worker");
            if number == dead && line.is_none() {
                break;
            }
            self.take(number, line);
        }
        self.under_way.retain(|_, number| *number != dead);
        self.compare();
        self.busy.clear();
        self.numbers[place] = self.workers.len() * (self.kills as usize + 1) + place;
        self.workers[place] = Worker::start(self.folder.path(), self.numbers[place], &self.says, None);
    }
}

#[test]
fn processes_agree_with_a_dictionary() {
    let operations = setting("IRONPOST_MODEL_OPERATIONS", 3_000);
    let processes = setting("IRONPOST_MODEL_PROCESSES", 3) as usize;
    let seed = setting("IRONPOST_MODEL_SEED", 1);
    let mut random = Random::new(seed);
    let mut author = Author::new(seed, (1..=ACCOUNTS).collect(), 1_000, 60, true);
    let mut crowd = Crowd::start(processes);
    let mut waiting: VecDeque<Step> = VecDeque::new();
    let (mut asked, mut next_compare, mut next_kill) = (0, COMPARE_EVERY, 1 + random.below(2 * KILL_ONE_IN));
    while asked < operations || !crowd.under_way.is_empty() {
        while waiting.len() < WAITING && asked < operations {
            waiting.push_back(author.step());
            asked += 1;
        }
        // The first steps whose accounts are idle, and not waited for by an earlier step.
        let mut taken = crowd.busy.clone();
        let mut rest = VecDeque::new();
        for step in waiting.drain(..) {
            let parts = step.takes_part();
            if parts.is_disjoint(&taken) {
                let place = random.below(processes as u64) as usize;
                crowd.ask(place, &step);
            } else {
                rest.push_back(step);
            }
            taken.extend(parts);
        }
        waiting = rest;
        if !crowd.under_way.is_empty() {
            crowd.hear();
        }
        let answers = crowd.answered.iter().sum::<u64>();
        if answers >= next_kill {
            next_kill = answers + 1 + random.below(2 * KILL_ONE_IN);
            crowd.kill(random.below(processes as u64) as usize);
            author.expected = crowd.history.answered.clone();
        }
        if answers >= next_compare {
            next_compare = answers + COMPARE_EVERY;
            crowd.compare();
            crowd.rig.assert_clean();
        }
    }
    crowd.compare();
    assert!(
        crowd.answered[0] > operations / 2 && crowd.answered[1] > 0,
        "{:?}",
        crowd.answered
    );
    println!("seed {seed}: {:?} answers, {} kills", crowd.answered, crowd.kills);
    for worker in &mut crowd.workers {
        worker.dismiss();
    }
    let mut closed = 0;
    while closed < processes {
        let (_, line) = crowd.heard.recv_timeout(LIMIT).unwrap();
        closed += usize::from(line.as_deref() == Some("closed"));
    }
    crowd.rig.assert_clean();
    let Crowd {
        rig,
        folder,
        mut history,
        ..
    } = crowd;
    rig.finish();
    let rig = Rig::open(folder.path(), &options());
    assert!(
        rig.volume.recovery().starts_with("dead writers 0"),
        "{}",
        rig.volume.recovery()
    );
    history.settle(&read_back(&rig)).unwrap();
    rig.finish();
}
