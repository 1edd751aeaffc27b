//! Thirty simulated days of churn: what operations cost, and what the volume holds, day by day.
//!
//! The days are those of the test `churn` of the store (rust/store/tests/churn_support), with more mail.

use std::time::{Duration, Instant};

use ironpost_store::Options;

use crate::Fault;
use crate::arguments::Arguments;
use crate::days::{Census, Days, Plan, STEADY};
use crate::report::{head, processor, row, say, verdict};
use crate::scratch::Scratch;

/// Figures of the last days to those of the first steady ones.
const GROWTH_MAX: f64 = 1.3;
/// The run is given up after this.
const LIMIT: Duration = Duration::from_secs(1800);

/// What a day came to.
#[derive(Clone, Copy, Default)]
struct Day {
    census: Census,
    /// Microseconds of the processor for an operation by day, and for a delivery by night.
    by_day: f64,
    by_night: f64,
}

/// Simulates the days.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Fault> {
    let days = arguments.number("days", 16, 30)? as usize;
    let plan = Plan {
        accounts: arguments.number("accounts", 10, 20)? as u32,
        deliveries: arguments.number("deliveries", 1000, 5000)? as usize,
        seed: arguments.number("seed", 1, 1)?,
    };
    if days < STEADY + 6 {
        return Err(format!("at least {} days: the state is steady from day {STEADY} on", STEADY + 6).into());
    }
    let scratch = Scratch::new(arguments)?;
    // What is measured is processor time and space: the disk would only blur it.
    let options = Options {
        sync: false,
        ..Options::default()
    };
    say(&format!(
        "{days} days, {} deliveries a day (1 to 8 KB, one in 200 of 300 KB) into {} accounts; syncs off; processor time.",
        plan.deliveries, plan.accounts
    ))?;
    head(&[
        "day",
        "µs/operation",
        "night µs/delivery",
        "messages",
        "retained",
        "index pages",
        "free pages",
        "change rows",
        "packs",
        "pack MB",
        "pack/live",
        "disk MB",
        "search MB",
    ])?;
    let began = Instant::now();
    let mut simulated = Days::begin(&scratch.path().join("store"), &options, plan)?;
    let mut all = Vec::new();
    for number in 1..=days {
        if began.elapsed() > LIMIT {
            return Err(format!("day {number} comes too late").into());
        }
        let used = processor();
        let done = simulated.daytime()?;
        let by_day = (processor() - used) * 1e6 / (done.operations + done.deliveries) as f64;
        let used = processor();
        simulated.night()?;
        let by_night = (processor() - used) * 1e6 / done.deliveries as f64;
        let census = simulated.census()?;
        all.push(Day {
            census,
            by_day,
            by_night,
        });
        if number % 2 == 0 || number == days {
            row([
                number.to_string(),
                format!("{by_day:.0}"),
                format!("{by_night:.0}"),
                census.messages.to_string(),
                census.retained.to_string(),
                census.pages.to_string(),
                census.free_pages.to_string(),
                census.changes.to_string(),
                census.packs.to_string(),
                format!("{:.1}", census.pack_octets as f64 / 1e6),
                format!("{:.2}", census.pack_octets as f64 / census.live_octets.max(1) as f64),
                format!("{:.1}", census.disk_octets as f64 / 1e6),
                format!("{:.1}", census.search_octets as f64 / 1e6),
            ])?;
        }
    }
    // Three days each, so that the night on which a pack happens to be copied does not decide.
    let growth = |of: fn(&Day) -> f64| {
        let mean = |days: &[Day]| days.iter().map(of).sum::<f64>() / days.len() as f64;
        let steady = all.get(STEADY..STEADY + 3).map_or(f64::NAN, mean);
        all.last_chunk::<3>().map_or(f64::NAN, |last| mean(last)) / steady.max(1.0)
    };
    let figures: [(&str, f64); 8] = [
        ("processor time of an operation", growth(|day| day.by_day)),
        ("processor time of a night", growth(|day| day.by_night)),
        ("pages of the index", growth(|day| day.census.pages as f64)),
        ("free pages", growth(|day| day.census.free_pages as f64)),
        ("octets of packs", growth(|day| day.census.pack_octets as f64)),
        ("octets on the disk", growth(|day| day.census.disk_octets as f64)),
        (
            "octets of the search index",
            growth(|day| day.census.search_octets as f64),
        ),
        ("packs", growth(|day| day.census.packs as f64)),
    ];
    for (name, growth) in figures {
        let measured = format!("{growth:.2} times between days {} and {days}", STEADY + 1);
        verdict(
            &format!("churn, {name}"),
            &measured,
            &format!("at most {GROWTH_MAX}"),
            growth <= GROWTH_MAX,
        )?;
    }
    let problems = simulated.check()?;
    verdict(
        "churn, full check",
        &format!("{} problems", problems.len()),
        "none",
        problems.is_empty(),
    )?;
    problems.iter().take(5).try_for_each(|problem| say(problem))?;
    simulated.volume.close();
    Ok(())
}
