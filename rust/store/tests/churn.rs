//! Months of churn in short: the index, its free list, the packs and the search index of a volume whose mail comes and
//! goes must not grow once as much goes as comes. Counts, not times; `benches/store churn` has the times.
//!
//! `IRONPOST_CHURN_DAYS` and `IRONPOST_CHURN_DELIVERIES` make it longer (`make soak`).
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "churn_support/days.rs"]
mod days;

use days::{Census, Days, Plan, STEADY};
use ironpost_store::Options;

/// Days of the short form: two beyond those after which as much goes as comes.
const DAYS: usize = STEADY + 2;
const DELIVERIES: usize = 120;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Asserts that `now` is at most `times` what it was, leaving `slack` for small numbers.
fn assert_flat(name: &str, then: u64, now: u64, times: f64, slack: u64) {
    let bound = (then as f64 * times) as u64 + slack;
    assert!(
        now <= bound,
        "{name}: {then} when steady, {now} at the end, at most {bound}"
    );
}

#[test]
fn churn_does_not_grow() {
    let (last, deliveries) = (
        number("IRONPOST_CHURN_DAYS", DAYS),
        number("IRONPOST_CHURN_DELIVERIES", DELIVERIES),
    );
    assert!(last > STEADY, "the state is steady from day {STEADY} on only");
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        map_size: 4 << 30,
        min_free: 0,
        sync: false,
        ..Options::default()
    };
    let plan = Plan {
        accounts: 4,
        deliveries,
        seed: 1,
    };
    let mut days = Days::begin(folder.path(), &options, plan).unwrap();
    let mut steady = Census::default();
    let mut compacted = 0;
    for day in 1..=last {
        let done = days.daytime().unwrap();
        assert_eq!(done.deliveries, deliveries as u64);
        compacted += days.night().unwrap().packs;
        let census = days.census().unwrap();
        println!("day {day}: {census:?}");
        assert_eq!(census.doomed, 0);
        if day == STEADY {
            steady = census;
        }
    }
    let end = days.census().unwrap();
    // The rows of messages tell whether the days are alike at all.
    assert_flat("messages", steady.messages, end.messages, 1.3, 20);
    assert_flat("retained", steady.retained, end.retained, 1.3, 20);
    assert_flat("blobs", steady.blobs, end.blobs, 1.3, 40);
    // The change log grows until it is as long as it is kept; it is small beside the rest.
    assert_flat("pages of the index", steady.pages, end.pages, 1.3, 64);
    assert_flat("free pages", steady.free_pages, end.free_pages, 1.3, 128);
    assert_flat("packs", steady.packs, end.packs, 1.3, 16);
    assert_flat("octets on the disk", steady.disk_octets, end.disk_octets, 1.3, 1 << 20);
    assert_flat("search index", steady.search_octets, end.search_octets, 1.5, 1 << 20);
    assert!(compacted > 0, "nothing was compacted");
    // A pack is copied when half of it is dead, so that at most as much is dead as is alive.
    assert!(
        end.pack_octets <= end.live_octets * 2 + (1 << 20),
        "{} octets of packs, {} alive",
        end.pack_octets,
        end.live_octets
    );
    assert_eq!(days.check().unwrap(), Vec::<String>::new());
    days.volume.close();
}
