//! Tables, verdicts, medians, and what the process has used.

use std::io::Write;

use crate::Fault;

/// Prints a row of a Markdown table.
pub(crate) fn row<C: AsRef<str>>(cells: impl IntoIterator<Item = C>) -> Result<(), Fault> {
    let mut line = String::from("|");
    for cell in cells {
        line.push_str(&format!(" {} |", cell.as_ref()));
    }
    say(&line)
}

/// Prints the head of a Markdown table.
pub(crate) fn head(names: &[&str]) -> Result<(), Fault> {
    say("")?;
    row(names)?;
    say(&format!("|{}", "---|".repeat(names.len())))
}

/// Prints a line.
pub(crate) fn say(line: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Prints what was asked and what was measured.
pub(crate) fn verdict(name: &str, measured: &str, asked: &str, is_met: bool) -> Result<(), Fault> {
    let outcome = if is_met { "met" } else { "MISSED" };
    say(&format!("\nverdict: {name}: {measured}, asked {asked}: {outcome}"))
}

/// The middle one, the higher of two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Seconds of processor time that this process has taken, all threads: what others do meanwhile does not count.
pub(crate) fn processor() -> f64 {
    seconds(rustix::time::ClockId::ProcessCPUTime)
}

/// Likewise of this thread.
pub(crate) fn processor_of_thread() -> f64 {
    seconds(rustix::time::ClockId::ThreadCPUTime)
}

fn seconds(clock: rustix::time::ClockId) -> f64 {
    let now = rustix::time::clock_gettime(clock);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// What proc(5) counts of this process's reads and writes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Io {
    /// Calls that write.
    pub(crate) write_calls: u64,
    /// Octets given to them.
    pub(crate) written: u64,
    /// Octets fetched from the disk.
    pub(crate) fetched: u64,
}

impl Io {
    /// The counts so far.
    pub(crate) fn now() -> Result<Self, Fault> {
        let text = std::fs::read_to_string("/proc/self/io")?;
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
        };
        Ok(Self {
            write_calls: number("syscw:"),
            written: number("wchar:"),
            fetched: number("read_bytes:"),
        })
    }

    /// What has come since.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            write_calls: self.write_calls - before.write_calls,
            written: self.written - before.written,
            fetched: self.fetched - before.fetched,
        }
    }
}

/// Seconds that threads of this process with that name have been ready to run without a core: what a busy machine adds.
pub(crate) fn waited(thread: &str) -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let waits = threads.filter_map(|entry| {
        let folder = entry.path();
        let name = std::fs::read_to_string(folder.join("comm")).ok()?;
        let stat = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        let wait: f64 = stat.split(' ').nth(1)?.parse().ok()?;
        (name.trim() == thread).then_some(wait / 1e9)
    });
    waits.sum()
}
