//! Which events are whose: each life of a writer has numbers of its own, so that a row tells who recorded it.

/// So many events a life may record: the numbers of one life and the next lie so far apart.
const EVENTS_PER_LIFE: u64 = 1 << 28;

/// The number of the first event of a life.
pub fn first(life: u64) -> u64 {
    life * EVENTS_PER_LIFE
}

/// The life that recorded an event, and how many it had recorded before.
pub fn whose(number: u64) -> (u64, u64) {
    (number / EVENTS_PER_LIFE, number % EVENTS_PER_LIFE)
}
