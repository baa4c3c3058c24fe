//! The machine's two clocks side by side: the one that says what time it is, and the one that says what time has passed.
//!
//! Somebody can set the first: a person, NTP, firmware with an empty battery. Nobody can set the second, and a comparison
//! shows what was done to the first. The second is Linux's CLOCK_BOOTTIME, which goes on while the machine is suspended.
//! CLOCK_MONOTONIC, which `Instant` reads, stands still then, and each lid that is closed would look like a step ahead. It
//! begins anew when the machine starts, so each start has an id, which the kernel makes.
//!
//! Any thread. Reading the clocks makes no system call (vDSO); making this value reads a file, once for each store.

use super::clock::now_ms;
use rustix::time::{ClockId, clock_gettime};
#[cfg(test)]
use std::sync::Arc;

/// Reading both clocks takes no longer, or it is done again.
const READING_MS_MAX: i64 = 1_000;
/// Where the kernel says which start of the machine this is: a random UUID.
const BOOT_ID_PATH: &str = "/proc/sys/kernel/random/boot_id";

/// A clock that is off by no more than this was not set: it is being slewed.
pub(crate) const STEP_MS_MIN: i64 = 60_000;

/// What both clocks say, at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The time of day: Unix time in milliseconds, UTC.
    pub(crate) wall_ms: i64,
    /// For how long the machine is up, in milliseconds.
    pub(crate) up_ms: i64,
    /// Which start of the machine that is.
    pub(crate) boot_id: u128,
}

impl Moment {
    /// How many milliseconds have passed since then. `None`: nobody knows, because the machine started meanwhile.
    pub(crate) fn since(&self, earlier: &Self) -> Option<i64> {
        let is_same_start = self.boot_id == earlier.boot_id && self.up_ms >= earlier.up_ms;
        is_same_start.then(|| self.up_ms.saturating_sub(earlier.up_ms))
    }
}

/// Both clocks.
#[derive(Clone, Debug)]
pub(crate) struct MachineClock {
    boot_id: u128,
    /// What a test did to the clocks.
    #[cfg(test)]
    hands: Arc<parking_lot::Mutex<Hands>>,
}

/// How far a test has moved the clocks.
#[cfg(test)]
#[derive(Debug, Default)]
struct Hands {
    wall_ms: i64,
    up_ms: i64,
    boots: u128,
}

impl MachineClock {
    pub(crate) fn new() -> Self {
        Self {
            boot_id: boot_id(),
            #[cfg(test)]
            hands: Arc::default(),
        }
    }

    /// What both clocks say now.
    pub(crate) fn now(&self) -> Moment {
        let moment = self.read();
        #[cfg(test)]
        let moment = {
            let hands = self.hands.lock();
            Moment {
                wall_ms: moment.wall_ms + hands.wall_ms,
                up_ms: moment.up_ms + hands.up_ms,
                boot_id: moment.boot_id + hands.boots,
            }
        };
        moment
    }

    /// Reads one clock between two looks at the other. A thread that was stopped in between would take its own pause for a
    /// step, and so reads again.
    fn read(&self) -> Moment {
        let mut up_ms = time_up_ms();
        loop {
            let wall_ms = now_ms();
            let read_at = time_up_ms();
            if read_at.saturating_sub(up_ms) <= READING_MS_MAX {
                return Moment { wall_ms, up_ms, boot_id: self.boot_id };
            }
            up_ms = read_at;
        }
    }
}

/// For how long the machine is up, in milliseconds.
fn time_up_ms() -> i64 {
    let up = clock_gettime(ClockId::Boottime);
    up.tv_sec.saturating_mul(1000).saturating_add(up.tv_nsec / 1_000_000)
}

#[cfg(test)]
impl MachineClock {
    /// Somebody sets the clock.
    pub(crate) fn step(&self, ms: i64) {
        self.hands.lock().wall_ms += ms;
    }

    /// Time passes.
    pub(crate) fn pass(&self, ms: i64) {
        let mut hands = self.hands.lock();
        hands.wall_ms += ms;
        hands.up_ms += ms;
    }

    /// The machine was off for so long.
    pub(crate) fn start_again_after(&self, ms: i64) {
        let mut hands = self.hands.lock();
        hands.wall_ms += ms;
        hands.boots += 1;
    }
}

/// Which start of the machine this is. Where the kernel does not say, the id is one that no other process has: what
/// passes within a process is then known, and nothing beyond.
fn boot_id() -> u128 {
    let text = std::fs::read_to_string(BOOT_ID_PATH).unwrap_or_default();
    let digits: String = text.trim().chars().filter(|character| *character != '-').collect();
    u128::from_str_radix(&digits, 16).unwrap_or_else(|_| {
        let mut bytes = [0; 16];
        // Without randomness either, every start looks like the same one; then time that passed while the machine was off
        // counts as time in which somebody set the clock.
        let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        u128::from_le_bytes(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_alike_on_both_clocks_and_a_start_of_the_machine_ends_what_is_known() {
        let clock = MachineClock::new();
        let first = clock.now();
        clock.pass(5_000);
        clock.step(-100_000);
        let second = clock.now();
        assert!((5_000..60_000).contains(&second.since(&first).unwrap()));
        assert!((-96_000..-40_000).contains(&(second.wall_ms - first.wall_ms)));
        assert_eq!(first.since(&second), None, "time never runs back");
        clock.start_again_after(1);
        assert_eq!(clock.now().since(&second), None);
    }

    #[test]
    fn all_of_a_machines_processes_agree_on_its_start() {
        let kernel = std::fs::read_to_string(BOOT_ID_PATH).unwrap();
        assert_eq!(format!("{:032x}", boot_id()), kernel.trim().replace('-', ""));
    }
}
