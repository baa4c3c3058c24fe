//! Stands for crossbeam's channels and parking_lot's mutex: the same promises, by the simplest means that loom knows.

pub(crate) use loom::sync::MutexGuard;
use std::collections::VecDeque;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("nobody panics while holding it")
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

    pub(crate) fn len(&self) -> usize {
        self.items.lock().len()
    }

    pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
        std::iter::from_fn(|| self.try_recv().ok())
    }
}
