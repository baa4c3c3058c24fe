//! How long it takes to hand an event over.

use crate::log::{Failure, Log, Writer};
use crate::offer::Offer;
use crate::pacing::{GRACE, Timetable};
use crate::workload::{Texts, Workload};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// How long handing over took, and what became of the events.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// Nanoseconds, the timer's own included.
    pub p50_ns: u64,
    /// The same.
    pub p99_ns: u64,
    /// The same.
    pub p999_ns: u64,
    /// The same.
    pub max_ns: u64,
    /// How many events were to be handed over in the time.
    pub offered: u64,
    /// How many were. Fewer if the competitor held its callers up.
    pub handed: u64,
    /// How many it had stored at the end; `None` for the floors, which store nothing.
    pub stored: Option<u64>,
}

/// One thread's part.
struct Part {
    histogram: Histogram<u64>,
    handed: u64,
}

/// Measures `log` under that load.
///
/// # Errors
/// The log failed.
pub fn measure<L: Log>(log: L, threads: u64, offer: Offer) -> Result<Latency, Failure> {
    let workload = Workload::default();
    let writers = (0..threads).map(|_| log.writer()).collect::<Result<Vec<_>, _>>()?;
    // What the competitor does in its first moments is not what is measured.
    std::thread::sleep(Duration::from_millis(50));
    let gate = Barrier::new(writers.len());
    let parts: Vec<Part> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .zip(writers)
            .map(|(first, writer)| {
                let (workload, gate) = (&workload, &gate);
                scope.spawn(move || hand_over(writer, workload, gate, first, threads, offer))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a measuring thread panicked")).collect()
    });
    let mut all = nanoseconds();
    for part in &parts {
        all.add(&part.histogram)?;
    }
    Ok(Latency {
        p50_ns: all.value_at_quantile(0.5),
        p99_ns: all.value_at_quantile(0.99),
        p999_ns: all.value_at_quantile(0.999),
        max_ns: all.max(),
        offered: offer.events(),
        handed: parts.iter().map(|part| part.handed).sum(),
        stored: log.close()?,
    })
}

fn hand_over<W: Writer>(
    mut writer: W,
    workload: &Workload,
    gate: &Barrier,
    first: u64,
    threads: u64,
    offer: Offer,
) -> Part {
    let mut histogram = nanoseconds();
    let mut handed = 0;
    let (rate_per_s, for_ms) = match offer {
        Offer::Paced { rate_per_s, for_ms } => (Some(rate_per_s), for_ms),
        Offer::Burst { for_ms, .. } => (None, for_ms),
    };
    gate.wait();
    let start = Instant::now();
    let timetable = Timetable::new(start, rate_per_s, threads);
    let end = start + Duration::from_millis(for_ms) + GRACE;
    for number in (first..offer.events()).step_by(threads as usize) {
        let mut texts = Texts::new();
        let event = workload.event(number, &mut texts);
        timetable.wait_for(number);
        let before = Instant::now();
        writer.hand_over(black_box(&event));
        let after = Instant::now();
        let took_ns = u64::try_from((after - before).as_nanos()).unwrap_or(u64::MAX);
        histogram.saturating_record(took_ns.max(1));
        handed += 1;
        if after > end {
            break;
        }
    }
    Part { histogram, handed }
}

/// From 1 ns to a minute, three digits.
fn nanoseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("valid bounds")
}
