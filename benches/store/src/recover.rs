//! Opening a volume whose process was killed under load.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ironpost_store::{Options, Volume};

use crate::Fault;
use crate::arguments::Arguments;
use crate::flow::deliver;
use crate::letters::letter;
use crate::report::{head, median, row, say, verdict};
use crate::scratch::Scratch;

/// Seconds for each 100,000 messages since the last seal.
const SECONDS_MAX: f64 = 1.0;
/// Small bodies, so that 100,000 of them do not fill a pack, which would be sealed.
const OCTETS: usize = 1000;
/// The child is given up after this.
const CHILD: Duration = Duration::from_secs(300);

/// Kills children of its own and times what opening takes afterwards.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let messages = arguments.number("messages", 20_000, 100_000)?;
    say(&format!(
        "A process is killed under load (200 outstanding) after {messages} messages of {OCTETS} octets, all since the last seal."
    ))?;
    head(&[
        "run",
        "messages found",
        "recovery says",
        "open ms",
        "ms for 100,000 messages",
    ])?;
    let mut times = Vec::new();
    for number in 1..=3 {
        let scratch = Scratch::new(arguments)?;
        let folder = scratch.path().join("store");
        let mut child = Command::new(std::env::current_exe()?)
            .args(["recover-child", "--messages", &messages.to_string(), "--folder"])
            .arg(&folder)
            .stdout(Stdio::piped())
            .spawn()?;
        let ready = child.stdout.take().map(|out| BufReader::new(out).lines().next());
        child.kill()?;
        child.wait()?;
        if !matches!(ready, Some(Some(Ok(line))) if line == "ready") {
            return Err("the child ended before its time".into());
        }
        let began = Instant::now();
        let volume = Volume::open(&folder, &Options::default())?;
        let seconds = began.elapsed().as_secs_f64();
        let found = {
            let txn = volume.context().begin()?;
            volume.context().tables.messages.len(&txn)?
        };
        if found < messages {
            return Err(format!("{found} of {messages} acknowledged messages are there").into());
        }
        let of_many = seconds * 1e5 / messages as f64;
        row([
            number.to_string(),
            found.to_string(),
            volume.recovery().to_owned(),
            format!("{:.1}", seconds * 1e3),
            format!("{:.1}", of_many * 1e3),
        ])?;
        times.push(of_many);
        volume.close();
    }
    let seconds = median(times);
    verdict(
        "recovery on open, for 100,000 messages since the last seal",
        &format!("{:.0} ms", seconds * 1e3),
        "less than 1 s",
        seconds < SECONDS_MAX,
    )
}

/// Delivers, says so, and goes on delivering until it is killed.
pub(crate) fn run_child(arguments: &Arguments) -> Result<(), Fault> {
    let messages = arguments.number("messages", 1000, 1000)?;
    let folder = arguments.folder().ok_or("no --folder")?;
    let volume = Volume::open(&folder, &Options::default())?;
    let bodies: Vec<Vec<u8>> = (0..64).map(|number| letter(OCTETS, number)).collect();
    let began = Instant::now();
    deliver(&volume, messages, 200, 20, &bodies)?;
    say("ready")?;
    while began.elapsed() < CHILD {
        deliver(&volume, 200, 200, 20, &bodies)?;
    }
    Ok(())
}
