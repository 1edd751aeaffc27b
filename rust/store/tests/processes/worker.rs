//! A process with the volume open that takes steps by its standard input and tells the answers.
//!
//! To it: `<key> <step>`. From it: `open`, then `<key> <answer>` for each, in the order of completion.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ironpost_store::{Options, Volume};

use crate::durable_support::perform::Performer;
use crate::durable_support::steps::Step;

const FOLDER: &str = "IRONPOST_WORKER_FOLDER";

pub fn options() -> Options {
    Options {
        map_size: 1 << 30,
        min_free: 0,
        // A kill is no power loss: what was written is there. Power loss is simulated by tests/power_loss.
        sync: false,
        retention: 3_600,
        ..Options::default()
    }
}

/// Not a test by itself: the process.
#[test]
fn worker() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let volume = Volume::open(Path::new(&folder), &options()).unwrap();
    let mut out = std::io::stdout().lock();
    // The harness has begun a line of its own.
    writeln!(out, "\nopen").unwrap();
    let (lines, taken) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if lines.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    let mut performer = Performer::new(&volume);
    loop {
        let next = if performer.is_idle() {
            taken.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            taken.recv_timeout(Duration::ZERO)
        };
        match next {
            Ok(line) => {
                let (key, step) = line.split_once(' ').unwrap();
                let step: Step = step.parse().unwrap();
                if let Some(answer) = performer.start(key, &step) {
                    writeln!(out, "{key} {answer}").unwrap();
                }
                continue;
            }
            Err(RecvTimeoutError::Disconnected) if performer.is_idle() => break,
            Err(_) => {}
        }
        for (key, answer) in performer.answers(Duration::from_millis(2)) {
            writeln!(out, "{key} {answer}").unwrap();
        }
    }
    volume.close();
    writeln!(out, "closed").unwrap();
}

/// What a worker says, with its number: a line, or its end (`None`).
pub type Said = (usize, Option<String>);

/// A running worker. Dropping it kills it.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    input: Option<ChildStdin>,
}

impl Worker {
    /// Starts one; its lines come with `number` by `says`.
    pub fn start(folder: &Path, number: usize, says: &Sender<Said>, failpoint: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "worker::worker", "--nocapture"])
            .env(FOLDER, folder);
        if let Some(failpoint) = failpoint {
            command.env("IRONPOST_FAILPOINT", failpoint);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (output, says) = (child.stdout.take().unwrap(), says.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let first = line.split(' ').next().unwrap_or_default();
                let ours = matches!(first, "open" | "closed") || first.parse::<u64>().is_ok();
                if ours && says.send((number, Some(line))).is_err() {
                    return;
                }
            }
            // The receiver may have gone with its test.
            let _ = says.send((number, None));
        });
        let input = child.stdin.take();
        Self { child, input }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Hands a step over; a dead worker hears nothing.
    pub fn ask(&mut self, key: u64, step: &Step) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{key} {step}");
        }
    }

    /// No more steps: it finishes, closes the volume and ends.
    pub fn dismiss(&mut self) {
        self.input = None;
    }

    /// SIGKILL; returns when it is dead.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
