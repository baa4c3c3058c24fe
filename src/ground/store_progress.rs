//! How far this process's own log has come: appended, durable, folded; and waiting for it.
//!
//! The appender, the syncing thread and the compactor each store their own numbers; callers of `flush` and
//! `wait_folded` sleep here. The hot path never comes here. Where another process folds, the compactor reads from that
//! process's hint how far this log is folded, and stores that number in the same place.
//!
//! Whoever waits draws a ticket. The appender reads which tickets were drawn, then takes what was recorded, and then
//! answers them: every event that was recorded before those tickets were drawn is in the map. The appender tells the
//! syncing thread, which syncs what is in the map and then calls the tickets durable. So a waiter sleeps once, and one
//! sync and one wake-up serve all who wait.

use super::error::WaitError;
use super::expired::Expired;
use super::fold_failure::{FoldFailure, FoldingAsked};
use super::other_records::OtherRecords;
use super::position::{Sequence, WriterId};
use super::signal::Signal;
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The place of a waiter in the row of all who waited since the store was opened; 1 for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// The sequence number of the last record that is appended, durable, folded; the last ticket that is drawn, answered,
/// durable. Each only grows, but for the numbers of records, which begin again with another writer id.
#[derive(Debug)]
pub(crate) struct StoreProgress {
    /// Whose log it is; `None` before the first record.
    writer: Mutex<Option<WriterId>>,
    appended: AtomicU64,
    durable: AtomicU64,
    folded: AtomicU64,
    /// The highest number of a record for whose folding somebody waits or has waited.
    folding_awaited: AtomicU64,
    /// Events appended since the store was opened, gap records not counted.
    appended_events: AtomicU64,
    /// The records of this log that are no events, and that may not be folded yet: who writes, gaps, steps of the clock.
    other_records: Mutex<OtherRecords>,
    /// What `folded_events` last told.
    told_folded_events: AtomicU64,
    /// Bytes that the segments of all other logs take which wait to be folded.
    others_log_bytes: AtomicU64,
    drawn: AtomicU64,
    answered: AtomicU64,
    durable_tickets: AtomicU64,
    /// The syncing thread sleeps until it is told that more was appended.
    syncing_rests: AtomicBool,
    /// Tickets of which something is lost. Rare: each took a failed sync, and a segment that could not be read back.
    lost_tickets: Mutex<Vec<LostTickets>>,
    /// The appender died: no ticket is answered any more.
    closed: AtomicBool,
    /// Why syncing was given up. Set once.
    sync_failure: OnceLock<String>,
    fold_failure: FoldFailure,
    /// Segments that were given up because a sync of theirs failed.
    poisoned_segments: AtomicU64,
    /// Records that wait in the database for a newer build.
    newer_records: AtomicU64,
    /// How many times the clock was set.
    clock_steps: AtomicU64,
    /// How many times somebody asked for everything to be expired that is too old or too much, and for how many of these that
    /// was done.
    expiry_asked: AtomicU64,
    expiry_done: AtomicU64,
    /// What expired since the store was opened.
    expired: Mutex<Expired>,
    /// When the database last had everything that could be folded.
    caught_up: Mutex<Instant>,
    /// Tickets became durable, or never will.
    more_durable: Signal,
    /// Tickets were answered, more is folded, or nothing ever will be.
    more_folded: Signal,
}

/// Who waited when something was lost.
#[derive(Debug)]
struct LostTickets {
    /// The one before the first of them.
    after: u64,
    last: u64,
    why: String,
}

impl StoreProgress {
    /// At the start there is no log.
    pub(crate) fn new() -> Self {
        Self {
            writer: Mutex::new(None),
            appended: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            folded: AtomicU64::new(0),
            folding_awaited: AtomicU64::new(0),
            appended_events: AtomicU64::new(0),
            other_records: Mutex::default(),
            told_folded_events: AtomicU64::new(0),
            others_log_bytes: AtomicU64::new(0),
            drawn: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            durable_tickets: AtomicU64::new(0),
            syncing_rests: AtomicBool::new(false),
            lost_tickets: Mutex::new(Vec::new()),
            closed: AtomicBool::new(false),
            sync_failure: OnceLock::new(),
            fold_failure: FoldFailure::default(),
            poisoned_segments: AtomicU64::new(0),
            newer_records: AtomicU64::new(0),
            clock_steps: AtomicU64::new(0),
            expiry_asked: AtomicU64::new(0),
            expiry_done: AtomicU64::new(0),
            expired: Mutex::new(Expired::default()),
            caught_up: Mutex::new(Instant::now()),
            more_durable: Signal::new(),
            more_folded: Signal::new(),
        }
    }

    /// Whose log it is; `None` before the first record.
    pub(crate) fn writer(&self) -> Option<WriterId> {
        *self.writer.lock()
    }

    /// By the appender: its folder is in its place. The numbers of its records begin at 1.
    pub(crate) fn set_writer(&self, writer: WriterId) {
        let mut own = self.writer.lock();
        let mut others = self.other_records.lock();
        others.clear();
        for number in [&self.appended, &self.durable, &self.folded, &self.folding_awaited] {
            number.store(0, Ordering::SeqCst);
        }
        *own = Some(writer);
    }

    pub(crate) fn appended(&self) -> Sequence {
        Sequence(self.appended.load(Ordering::Acquire))
    }

    pub(crate) fn durable(&self) -> Sequence {
        Sequence(self.durable.load(Ordering::Acquire))
    }

    pub(crate) fn folded(&self) -> Sequence {
        Sequence(self.folded.load(Ordering::Acquire))
    }

    pub(crate) fn appended_events(&self) -> u64 {
        self.appended_events.load(Ordering::Acquire)
    }

    /// Events folded since the store was opened: those appended, less those in records that are not folded yet.
    pub(crate) fn folded_events(&self) -> u64 {
        let mut others = self.other_records.lock();
        // In this order: what is appended meanwhile counts as not folded.
        let (events, appended, folded) = (self.appended_events(), self.appended().0, self.folded().0);
        let waiting = appended.saturating_sub(folded).saturating_sub(others.beyond(folded));
        let folded = events.saturating_sub(waiting);
        self.told_folded_events.fetch_max(folded, Ordering::AcqRel).max(folded)
    }

    /// Bytes that the segments of all other logs take which wait to be folded, as the compactor last measured them.
    pub(crate) fn others_log_bytes(&self) -> u64 {
        self.others_log_bytes.load(Ordering::Relaxed)
    }

    /// By the compactor, now and then.
    pub(crate) fn set_others_log_bytes(&self, bytes: u64) {
        self.others_log_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sync_failure(&self) -> Option<&str> {
        self.sync_failure.get().map(String::as_str)
    }

    /// By the appender, once a batch. Records that are no events come first in it. `true`: the syncing thread rests, and is to
    /// be told.
    pub(crate) fn set_appended(&self, last: Sequence, events: u64) -> bool {
        let before = self.appended.load(Ordering::Relaxed);
        let others = last.0.saturating_sub(before).saturating_sub(events);
        // With both under the lock, who counts what is folded knows of each record that is appended what it is.
        let mut counted = (others > 0).then(|| self.other_records.lock());
        if let Some(counted) = &mut counted {
            counted.add(before + 1, before + others, self.folded().0);
        }
        // In this order, here and in `rest_syncing`: one of the two threads sees what the other stored.
        self.appended.store(last.0, Ordering::SeqCst);
        drop(counted);
        let rests = self.syncing_rests.load(Ordering::SeqCst) && self.syncing_rests.swap(false, Ordering::SeqCst);
        self.appended_events.fetch_add(events, Ordering::Release);
        rests
    }

    /// By the syncing thread: whether it may sleep until it is told of more, because everything that was appended is
    /// durable.
    pub(crate) fn rest_syncing(&self) -> bool {
        self.syncing_rests.store(true, Ordering::SeqCst);
        let all_durable = self.appended.load(Ordering::SeqCst) <= self.durable.load(Ordering::Relaxed);
        self.syncing_rests.fetch_and(all_durable, Ordering::SeqCst);
        all_durable
    }

    /// Draws a ticket, which covers every event that this thread has recorded so far, and others before it. The caller
    /// wakes the appender then.
    pub(crate) fn draw(&self) -> Ticket {
        Ticket(self.drawn.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// By the appender, before it takes what was recorded.
    pub(crate) fn drawn(&self) -> Ticket {
        Ticket(self.drawn.load(Ordering::SeqCst))
    }

    /// By the appender, after it appended everything that was recorded before these tickets were drawn; tells whether
    /// there are any that it has not answered yet.
    pub(crate) fn answer(&self, drawn: Ticket) -> bool {
        let new = self.answered.load(Ordering::Relaxed) < drawn.0;
        if new {
            self.answered.store(drawn.0, Ordering::Release);
            self.more_folded.notify();
        }
        new
    }

    /// The last ticket that was answered.
    pub(crate) fn answered(&self) -> Ticket {
        Ticket(self.answered.load(Ordering::Acquire))
    }

    /// By the syncing thread, before it calls these tickets durable: of the events that the tickets cover which are not
    /// durable yet, some are lost. `false`: there is no such ticket, so nobody is told.
    pub(crate) fn lose_tickets(&self, answered: Ticket, why: impl FnOnce() -> String) -> bool {
        let after = self.durable_tickets.load(Ordering::Relaxed);
        let any = after < answered.0;
        if any {
            self.lost_tickets.lock().push(LostTickets { after, last: answered.0, why: why() });
        }
        any
    }

    /// By the syncing thread: what was published when these tickets were answered is durable.
    pub(crate) fn set_durable_tickets(&self, answered: Ticket) {
        if self.durable_tickets.load(Ordering::Relaxed) < answered.0 {
            self.durable_tickets.store(answered.0, Ordering::Release);
            self.more_durable.notify();
        }
    }

    /// The appender died.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.more_durable.notify();
        self.more_folded.notify();
    }

    /// By the syncing thread: so much of that writer's log is durable. What is said of another writer is passed over. Tells
    /// whether that is more than before.
    pub(crate) fn set_durable(&self, writer: WriterId, last: Sequence) -> bool {
        let own = self.writer.lock();
        *own == Some(writer) && self.durable.fetch_max(last.0, Ordering::AcqRel) < last.0
    }

    /// By the compactor: this process, or another, has committed so much of that writer's log. What is said of another
    /// writer is passed over.
    pub(crate) fn set_folded(&self, writer: WriterId, last: Sequence) {
        let own = self.writer.lock();
        if *own == Some(writer) && self.folded.fetch_max(last.0, Ordering::AcqRel) < last.0 {
            self.more_folded.notify();
        }
    }

    /// Asks for everything to be expired that is too old or too much. The caller wakes the compactor then.
    pub(crate) fn ask_for_expiry(&self) -> u64 {
        self.expiry_asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// By the compactor, before it looks: the last who asked, if that is not done yet.
    pub(crate) fn expiry_asked(&self) -> Option<u64> {
        let asked = self.expiry_asked.load(Ordering::Acquire);
        (asked > self.expiry_done.load(Ordering::Relaxed)).then_some(asked)
    }

    /// By the compactor: it is done for who asked, and for those before.
    pub(crate) fn set_expiry_done(&self, asked: u64) {
        self.expiry_done.store(asked, Ordering::Release);
        self.more_folded.notify();
    }

    /// Waits until it is done for who asked.
    pub(crate) fn wait_expired(&self, asked: u64, deadline: Instant, timeout: Duration) -> Result<(), WaitError> {
        let asked_folding = self.fold_failure.ask();
        let done = || {
            let failure = || self.fold_failure.since(asked_folding).map(|why| Err(WaitError::Fold(why)));
            (self.expiry_done.load(Ordering::Acquire) >= asked).then_some(Ok(())).or_else(failure)
        };
        self.more_folded.wait(deadline, done).unwrap_or(Err(WaitError::Timeout(timeout)))
    }

    /// By the compactor, now and then.
    pub(crate) fn set_expired(&self, expired: &Expired) {
        let mut known = self.expired.lock();
        if *known != *expired {
            known.clone_from(expired);
        }
    }

    pub(crate) fn expired(&self) -> Expired {
        self.expired.lock().clone()
    }

    /// By the compactor: everything that could be folded at that instant is folded.
    pub(crate) fn set_caught_up(&self, at: Instant) {
        *self.caught_up.lock() = at;
    }

    pub(crate) fn caught_up_ms_ago(&self) -> u64 {
        u64::try_from(self.caught_up.lock().elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// By the compactor, now and then.
    pub(crate) fn set_newer_records(&self, records: u64) {
        self.newer_records.store(records, Ordering::Relaxed);
    }

    pub(crate) fn newer_records(&self) -> u64 {
        self.newer_records.load(Ordering::Relaxed)
    }

    /// By the appender: a step of the clock is recorded.
    pub(crate) fn add_clock_step(&self) {
        self.clock_steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn clock_steps(&self) -> u64 {
        self.clock_steps.load(Ordering::Relaxed)
    }

    /// By the syncing thread: the sync of a segment failed.
    pub(crate) fn add_poisoned_segment(&self) {
        self.poisoned_segments.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn poisoned_segments(&self) -> u64 {
        self.poisoned_segments.load(Ordering::Relaxed)
    }

    /// By the appender: so many records that were appended can't be read back, and nothing else has them. Gap records
    /// may be among them, which were not counted.
    pub(crate) fn forget_events(&self, records: u64) {
        let events = self.appended_events.load(Ordering::Relaxed);
        self.appended_events.store(events.saturating_sub(records), Ordering::Release);
    }

    /// By the syncing thread, or for it: nothing is synced any more.
    pub(crate) fn give_up_sync(&self, why: String) {
        // The first failure is the one that counts.
        let _ = self.sync_failure.set(why);
        self.more_durable.notify();
    }

    /// By the compactor, before a try: whom the try answers.
    pub(crate) fn folding_asked(&self) -> FoldingAsked {
        self.fold_failure.asked()
    }

    /// By the compactor, or for it: nothing is folded until somebody mends the database. Who asked before that was tried is
    /// told.
    pub(crate) fn stop_folding(&self, why: String, answers: FoldingAsked) {
        self.fold_failure.set(why, answers);
        self.more_folded.notify();
    }

    /// By the compactor: somebody has.
    pub(crate) fn resume_folding(&self) {
        self.fold_failure.clear();
    }

    /// What became of a ticket that is called durable.
    fn outcome(&self, ticket: Ticket) -> Result<(), WaitError> {
        let lost = self.lost_tickets.lock();
        match lost.iter().find(|lost| lost.after < ticket.0 && ticket.0 <= lost.last) {
            Some(lost) => Err(WaitError::Sync(lost.why.clone())),
            None => Ok(()),
        }
    }

    /// Waits until everything that the ticket covers is durable.
    pub(crate) fn wait_durable(&self, ticket: Ticket, deadline: Instant, timeout: Duration) -> Result<(), WaitError> {
        let done = || {
            if let Some(why) = self.sync_failure() {
                return Some(Err(WaitError::Sync(why.to_owned())));
            }
            let durable = self.durable_tickets.load(Ordering::Acquire) >= ticket.0;
            durable.then(|| self.outcome(ticket)).or_else(|| self.if_closed())
        };
        self.more_durable.wait(deadline, done).unwrap_or(Err(WaitError::Timeout(timeout)))
    }

    /// Waits until everything that the ticket covers is in the map; returns the sequence number of the last of it.
    pub(crate) fn wait_answered(
        &self,
        ticket: Ticket,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Sequence, WaitError> {
        let done = || (self.answered() >= ticket).then(|| Ok(self.appended())).or_else(|| self.if_closed());
        self.more_folded.wait(deadline, done).unwrap_or(Err(WaitError::Timeout(timeout)))
    }

    /// Says that everything up to `target` is waited for. The caller wakes the compactor then.
    pub(crate) fn await_folding(&self, target: Sequence) -> FoldingAsked {
        self.folding_awaited.fetch_max(target.0, Ordering::Release);
        self.fold_failure.ask()
    }

    /// Whether somebody waits, or has waited and gone, for what is not folded yet.
    pub(crate) fn folding_awaited(&self) -> bool {
        self.folding_awaited.load(Ordering::Acquire) > self.folded().0
    }

    /// Waits until everything up to `target` is folded.
    pub(crate) fn wait_folded(
        &self,
        target: Sequence,
        asked: FoldingAsked,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        let done = || {
            let failure = || self.fold_failure.since(asked).map(|why| Err(WaitError::Fold(why)));
            (self.folded() >= target).then_some(Ok(())).or_else(failure)
        };
        self.more_folded.wait(deadline, done).unwrap_or(Err(WaitError::Timeout(timeout)))
    }

    fn if_closed<T>(&self) -> Option<Result<T, WaitError>> {
        self.closed.load(Ordering::Acquire).then_some(Err(WaitError::Closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_syncing_thread_rests_while_everything_is_durable_and_is_told_once_of_what_comes_then() {
        let (own, other) = (WriterId([1; 16]), WriterId([2; 16]));
        let progress = StoreProgress::new();
        progress.set_writer(own);
        progress.set_appended(Sequence(7), 7);
        assert!(progress.set_durable(own, Sequence(7)) && !progress.set_durable(own, Sequence(7)));
        assert!(!progress.set_durable(other, Sequence(99)), "the log before this one");
        assert!(!progress.set_appended(Sequence(8), 1), "it does not rest yet");
        assert!(!progress.rest_syncing(), "there is something to sync");
        assert!(!progress.set_appended(Sequence(9), 1), "it knew already");
        progress.set_durable(own, Sequence(9));
        assert!(progress.rest_syncing());
        assert!(progress.rest_syncing(), "nothing has changed");
        assert!(progress.set_appended(Sequence(10), 1));
        assert!(!progress.set_appended(Sequence(11), 1), "it was told");
        assert!(!progress.rest_syncing());
    }

    #[test]
    fn what_is_folded_is_told_of_the_own_log_and_of_no_other() {
        let (own, other, next) = (WriterId([1; 16]), WriterId([2; 16]), WriterId([3; 16]));
        let progress = StoreProgress::new();
        progress.set_folded(own, Sequence(5));
        assert_eq!((progress.writer(), progress.folded()), (None, Sequence(0)), "no log, nothing folded");
        progress.set_writer(own);
        // Who writes is the first record, and no event.
        progress.set_appended(Sequence(10), 9);
        progress.set_folded(other, Sequence(9));
        assert_eq!((progress.folded(), progress.folded_events()), (Sequence(0), 0));
        progress.set_folded(own, Sequence(6));
        progress.set_folded(own, Sequence(4));
        assert_eq!((progress.folded(), progress.folded_events()), (Sequence(6), 5), "a hint may come late");
        progress.set_folded(own, Sequence(10));
        assert_eq!((progress.folded(), progress.folded_events()), (Sequence(10), 9));
        progress.set_appended(Sequence(12), 1);
        assert_eq!(progress.folded_events(), 9, "never less than was told");
        progress.set_writer(next);
        progress.set_folded(own, Sequence(12));
        assert_eq!(
            (progress.appended(), progress.folded(), progress.folded_events()),
            (Sequence(0), Sequence(0), 9 + 1)
        );
    }

    #[test]
    fn what_waits_of_records_that_are_no_events_takes_nothing_from_the_folded_events() {
        let own = WriterId([1; 16]);
        let progress = StoreProgress::new();
        progress.set_writer(own);
        // Who writes, and ten events; two gaps one after the other; five events; the end of the writer.
        for (last, events) in [(11, 10), (12, 0), (13, 0), (18, 5), (19, 0)] {
            progress.set_appended(Sequence(last), events);
        }
        for (folded, events) in [(0, 0), (1, 0), (2, 1), (11, 10), (12, 10), (13, 10), (14, 11), (18, 15), (19, 15)] {
            progress.set_folded(own, Sequence(folded));
            assert_eq!(progress.folded_events(), events, "folded up to {folded}");
        }
    }
}
