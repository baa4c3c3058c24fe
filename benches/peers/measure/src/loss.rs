//! How many of the offered events are stored in the end.
//!
//! Real load does not come evenly spaced: each thread offers a millisecond's worth of events every millisecond, one right
//! after the other, and sleeps in between. A burst comes as fast as it is taken.

use crate::log::{Failure, Log, Writer};
use crate::offer::Offer;
use crate::pacing::GRACE;
use crate::workload::{Texts, Workload};
use serde::{Deserialize, Serialize};
use std::sync::Barrier;
use std::time::{Duration, Instant};

const TICK: Duration = Duration::from_millis(1);

/// What became of the offered events.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Loss {
    /// How many there were.
    pub offered: u64,
    /// How many could be handed over in the time. Fewer if the competitor held its callers up.
    pub handed: u64,
    /// How many it had stored at the end.
    pub stored: u64,
    /// How long the offering took, in seconds.
    pub took_s: f64,
}

impl Loss {
    /// The share of the offered events that was stored, from 0 to 1.
    pub fn kept(&self) -> f64 {
        self.stored as f64 / self.offered.max(1) as f64
    }
}

/// Measures `log` under that load.
///
/// # Errors
/// The log failed, or stores nothing.
pub fn measure<L: Log>(log: L, threads: u64, offer: Offer) -> Result<Loss, Failure> {
    let workload = Workload::default();
    let writers = (0..threads).map(|_| log.writer()).collect::<Result<Vec<_>, _>>()?;
    std::thread::sleep(Duration::from_millis(50));
    let gate = Barrier::new(writers.len());
    let start = Instant::now();
    let handed = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .zip(writers)
            .map(|(first, writer)| {
                let (workload, gate) = (&workload, &gate);
                scope.spawn(move || hand_over(writer, workload, gate, first, threads, offer))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("a measuring thread panicked")).sum()
    });
    let took_s = start.elapsed().as_secs_f64();
    let stored = log.close()?.ok_or("it stores nothing")?;
    Ok(Loss { offered: offer.events(), handed, stored, took_s })
}

fn hand_over<W: Writer>(
    mut writer: W,
    workload: &Workload,
    gate: &Barrier,
    first: u64,
    threads: u64,
    offer: Offer,
) -> u64 {
    gate.wait();
    let start = Instant::now();
    let (rate_per_s, for_ms) = match offer {
        Offer::Paced { rate_per_s, for_ms } => (rate_per_s, for_ms),
        // A millisecond's worth is then everything.
        Offer::Burst { events, for_ms } => (events.saturating_mul(1_000), for_ms),
    };
    let end = start + Duration::from_millis(for_ms) + GRACE;
    let (mut number, mut handed) = (first, 0);
    for tick in 1_u32.. {
        let due = (rate_per_s.saturating_mul(u64::from(tick)) / 1_000).min(offer.events());
        while number < due {
            let mut texts = Texts::new();
            writer.hand_over(&workload.event(number, &mut texts));
            handed += 1;
            number += threads;
            // A log that writes to the disk in each call may take longer than the whole offer.
            if Instant::now() > end {
                return handed;
            }
        }
        if number >= offer.events() {
            break;
        }
        if let Some(left) = (start + TICK * tick).checked_duration_since(Instant::now()) {
            std::thread::sleep(left);
        }
    }
    handed
}
