//! Latencies and the JSON line of a run.

use std::time::Duration;

/// Durations of single operations.
#[derive(Default)]
pub(crate) struct Latencies(Vec<u32>);

impl Latencies {
    /// Adds one, kept in microseconds.
    pub(crate) fn add(&mut self, duration: Duration) {
        self.0.push(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX));
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The value below which `share` (0 to 1) of them lie, in milliseconds.
    fn quantile(&mut self, share: f64) -> f64 {
        if self.0.is_empty() {
            return 0.0;
        }
        self.0.sort_unstable();
        let place = ((self.0.len() - 1) as f64 * share) as usize;
        f64::from(self.0[place]) / 1000.0
    }
}

/// Prints what a run did as one line of JSON.
pub(crate) fn print(operations: usize, errors: usize, octets: u64, elapsed: Duration, latencies: &mut Latencies) {
    let seconds = elapsed.as_secs_f64();
    println!(
        "{{\"operations\": {operations}, \"errors\": {errors}, \"seconds\": {seconds:.4}, \"rate\": {:.1}, \
         \"octets_received\": {octets}, \"p50_ms\": {:.3}, \"p99_ms\": {:.3}}}",
        operations as f64 / seconds.max(1e-9),
        latencies.quantile(0.5),
        latencies.quantile(0.99),
    );
}
