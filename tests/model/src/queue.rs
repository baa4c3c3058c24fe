//! Stands for crossbeam's channels, and parking_lot's mutex and condition: the same promises, by the simplest means that loom
//! knows. A thread that is never woken sleeps for ever, which loom reports: no deadline passes here.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().expect("nobody panics while holding it")))
    }
}

/// Empty only while its thread sleeps.
pub(crate) struct MutexGuard<'m, T>(Option<loom::sync::MutexGuard<'m, T>>);

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("held")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("held")
    }
}

#[derive(Debug)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self(loom::sync::Condvar::new())
    }

    pub(crate) fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, _: Instant) -> Woken {
        guard.0 = guard.0.take().map(|held| self.0.wait(held).expect("nobody panics while holding it"));
        Woken
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

pub(crate) struct Woken;

impl Woken {
    pub(crate) fn timed_out(&self) -> bool {
        false
    }
}

pub(crate) struct Sender<T> {
    items: Arc<Mutex<VecDeque<T>>>,
    capacity: usize,
}

pub(crate) struct Receiver<T> {
    items: Arc<Mutex<VecDeque<T>>>,
}

pub(crate) fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let items = Arc::new(Mutex(loom::sync::Mutex::new(VecDeque::new())));
    (Sender { items: Arc::clone(&items), capacity }, Receiver { items })
}

impl<T> Sender<T> {
    pub(crate) fn try_send(&self, item: T) -> Result<(), T> {
        let mut items = self.items.lock();
        if items.len() == self.capacity {
            return Err(item);
        }
        items.push_back(item);
        Ok(())
    }
}

impl<T> Receiver<T> {
    pub(crate) fn try_recv(&self) -> Result<T, ()> {
        self.items.lock().pop_front().ok_or(())
    }

    pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.try_recv().ok())
    }
}
