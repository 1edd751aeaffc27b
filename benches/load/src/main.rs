//! Protocol-level load generator for the benchmarks: one thread, epoll, no protocol library, one JSON line of results.
//!
//! It keeps to what a benchmark needs: it knows when an answer is complete, times it, and counts what was accepted. It
//! sends to loopback addresses only.

mod arguments;
mod connection;
mod idle;
mod imap;
mod report;
mod smtp;

use arguments::Arguments;

const USAGE: &str = "usage: ironpost-load smtp|lmtp|imap|login|idle --port N [--connections N] [--messages N] ...
  smtp, lmtp  --messages N --per-connection N --size OCTETS --users N [--sequential]
  imap        --users N --setup 'SELECT INBOX' --command 'FETCH %n BODY.PEEK[]' --repeat N --modulo N
  login       --users N --repeat N
  idle        --users N --hold (until standard input ends)";

fn main() {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let arguments = match Arguments::parse(words) {
        Ok(arguments) => arguments,
        Err(fault) => fail(&fault),
    };
    let outcome = match mode.as_str() {
        "smtp" => smtp::run(&arguments, false),
        "lmtp" => smtp::run(&arguments, true),
        "imap" => imap::run(&arguments),
        "login" => imap::run_logins(&arguments),
        "idle" => idle::run(&arguments),
        _ => fail(USAGE),
    };
    if let Err(fault) = outcome {
        fail(&fault.to_string());
    }
}

fn fail(text: &str) -> ! {
    eprintln!("{text}");
    std::process::exit(2);
}
