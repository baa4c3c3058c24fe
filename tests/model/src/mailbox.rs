//! Stands for crossbeam's unbounded channel where somebody waits at its end, for waking a thread, and for time.

use loom::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
struct Mailbox<T> {
    /// `None` behind the last one, once the sender is gone.
    items: Mutex<VecDeque<Option<T>>>,
    more: Condvar,
}

/// The only one: no thread shares it.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<Mailbox<T>>);

#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<Mailbox<T>>);

pub(crate) enum RecvTimeoutError {
    Timeout,
    Disconnected,
}

#[derive(Debug)]
pub(crate) struct Disconnected;

impl From<Disconnected> for RecvTimeoutError {
    fn from(_: Disconnected) -> Self {
        Self::Disconnected
    }
}

pub(crate) fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let mailbox = Arc::new(Mailbox { items: Mutex::new(VecDeque::new()), more: Condvar::new() });
    (Sender(Arc::clone(&mailbox)), Receiver(mailbox))
}

impl<T> Sender<T> {
    fn put(&self, item: Option<T>) {
        self.0.items.lock().expect("nobody panics while holding it").push_back(item);
        self.0.more.notify_one();
    }

    pub(crate) fn send(&self, item: T) {
        self.put(Some(item));
    }

    pub(crate) fn try_send(&self, item: T) -> Result<(), T> {
        self.put(Some(item));
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.put(None);
        }
    }
}

impl<T> Receiver<T> {
    pub(crate) fn recv(&self) -> Result<T, Disconnected> {
        let mut items = self.0.items.lock().expect("nobody panics while holding it");
        loop {
            match items.front() {
                Some(None) => return Err(Disconnected),
                Some(Some(_)) => return items.pop_front().flatten().ok_or(Disconnected),
                None => items = self.0.more.wait(items).expect("nobody panics while holding it"),
            }
        }
    }

    pub(crate) fn try_recv(&self) -> Result<T, Disconnected> {
        let mut items = self.0.items.lock().expect("nobody panics while holding it");
        items.pop_front_if(|item| item.is_some()).flatten().ok_or(Disconnected)
    }

    /// The time is always up at once, if nothing is there.
    pub(crate) fn recv_deadline(&self, _deadline: Instant) -> Result<T, RecvTimeoutError> {
        let is_over = matches!(self.0.items.lock().expect("nobody panics while holding it").front(), Some(None));
        self.try_recv().map_err(|_| if is_over { RecvTimeoutError::Disconnected } else { RecvTimeoutError::Timeout })
    }
}

/// Stands for a thread that looks by itself, as every one here does. What loom has would also wake it from joining another.
#[derive(Debug)]
pub(crate) struct Thread;

impl Thread {
    pub(crate) fn unpark(&self) {}
}

/// Whatever others do in that time, they may as well do before or after. Yielding instead would have loom run all of them.
pub(crate) fn sleep(_time: Duration) {}
