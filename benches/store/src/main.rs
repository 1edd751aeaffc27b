//! What the message store costs, one subcommand for each figure that is asked of it; `benches/store/run.py` runs them all.
//!
//! Each prints a table and lines `verdict: name: measured, asked: met|MISSED`. A debug build refuses to be measured.

mod append;
mod arguments;
mod churn;
#[path = "../../../rust/store/tests/churn_support/days.rs"]
mod days;
mod flat;
mod floor;
mod flow;
mod letters;
mod mail;
mod memory;
mod open;
mod portable;
mod recover;
mod report;
mod scratch;
mod search;

use arguments::Arguments;

/// What may go wrong here ends the run.
pub(crate) type Fault = Box<dyn std::error::Error>;

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting;

const USAGE: &str = "usage: ironpost-bench-store FIGURE [--quick] [--folder DIR] ...
  append    durable appends beside their floor   --seconds N (of a turn) --octets N --rounds N
  writes    only the store's appends, for strace and callgrind   --messages N --outstanding N --octets N
  flat      cost by the size of a mailbox and the number of accounts   --messages N (of the largest mailbox) --accounts N --only-mailbox --only-accounts
  open      the first look at a large mailbox, cold and warm   --messages N
  recover   opening after SIGKILL under load   --messages N
  portable  neutral export and import   --messages N --octets N
  search    what searching costs   --messages N --seed N
  mail      writes the generated messages of `search` as a Maildir   --messages N --seed N --folder DIR
  churn     simulated days of deliveries, moves, expunges, compaction   --days N --deliveries N --accounts N";

fn main() -> std::process::ExitCode {
    let mut words = std::env::args().skip(1);
    let figure = words.next().unwrap_or_default();
    let outcome = Arguments::parse(words).map_err(Fault::from).and_then(|arguments| {
        if cfg!(debug_assertions) {
            return Err("this is a debug build: measure with cargo run --release".into());
        }
        match figure.as_str() {
            "append" => append::run(&arguments),
            "writes" => append::run_alone(&arguments),
            "flat" => flat::run(&arguments),
            "open" => open::run(&arguments),
            "open-child" => open::run_child(&arguments),
            "recover" => recover::run(&arguments),
            "recover-child" => recover::run_child(&arguments),
            "portable" => portable::run(&arguments),
            "search" => search::run(&arguments),
            "mail" => mail::run(&arguments),
            "churn" => churn::run(&arguments),
            _ => Err(USAGE.into()),
        }
    });
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{figure}: {fault}");
            std::process::ExitCode::from(2)
        }
    }
}
