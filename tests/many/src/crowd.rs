//! Writers that live at the same time, and those that lived before them.

use crate::life::{Life, Lived, Start};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// The writers of one store.
#[derive(Debug)]
pub struct Crowd {
    start: Start,
    /// Each with the time at which it goes on, if it is stopped.
    living: Vec<(Life, Option<Instant>)>,
    over: Vec<Lived>,
    next: u64,
}

impl Crowd {
    /// None yet.
    pub fn new(start: Start) -> Self {
        Self { start, living: Vec::new(), over: Vec::new(), next: 0 }
    }

    /// The store's directory.
    pub fn store(&self) -> &Path {
        self.start.store()
    }

    /// Begins a life.
    ///
    /// # Panics
    /// As [`Start::life`].
    pub fn begin<S: Into<OsString>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Life {
        let life = self.start.life(self.next, arguments);
        self.next += 1;
        self.living.push((life, None));
        match self.living.last_mut() {
            Some((life, _)) => life,
            None => unreachable!("one was pushed"),
        }
    }

    /// How many live.
    pub fn living(&self) -> usize {
        self.living.len()
    }

    /// How many lives there were, those that go on included.
    pub fn lives(&self) -> u64 {
        self.next
    }

    /// One of those that live.
    pub fn life(&mut self, place: usize) -> &mut Life {
        &mut self.living[place].0
    }

    /// The place of the one that holds the lock to fold, if it is one of these.
    pub fn holder(&self) -> Option<usize> {
        // "pid namespace boot_id version", for people: who is killed is chosen by it, nothing is judged by it.
        let text = std::fs::read(self.store().join("FOLD")).ok()?;
        let line = String::from_utf8_lossy(&text).into_owned();
        let pid: u32 = line.split_whitespace().next()?.parse().ok()?;
        self.living.iter().position(|(life, _)| life.pid() == pid)
    }

    /// Kills one.
    ///
    /// # Panics
    /// As [`Life::kill`].
    pub fn kill(&mut self, place: usize) -> Lived {
        let lived = self.living.swap_remove(place).0.kill();
        self.over.push(lived);
        lived
    }

    /// Has one shut the store down, and end.
    ///
    /// # Panics
    /// As [`Life::end`].
    pub fn end(&mut self, place: usize) -> Lived {
        let (life, stopped) = self.living.swap_remove(place);
        if stopped.is_some() {
            life.go_on();
        }
        let lived = life.end();
        self.over.push(lived);
        lived
    }

    /// Stops one for so long. Those whose time has come go on when [`Crowd::let_go_on`] is called.
    pub fn stop(&mut self, place: usize, time: Duration) {
        let (life, goes_on) = &mut self.living[place];
        life.stop();
        *goes_on = Some(Instant::now() + time);
    }

    /// Lets those go on whose time has come.
    pub fn let_go_on(&mut self) {
        let now = Instant::now();
        for (life, goes_on) in &mut self.living {
            if goes_on.is_some_and(|time| time <= now) {
                *goes_on = None;
                life.go_on();
            }
        }
    }

    /// Ends them all at once, each as it should, and returns all that lived.
    ///
    /// # Panics
    /// As [`Life::end`].
    pub fn end_all(mut self) -> Vec<Lived> {
        for (life, _) in &mut self.living {
            life.go_on();
            life.tell_to_end();
        }
        while !self.living.is_empty() {
            self.end(0);
        }
        self.over
    }

    /// Kills them all at once, and returns all that lived.
    ///
    /// # Panics
    /// As [`Life::kill`].
    pub fn kill_all(mut self) -> Vec<Lived> {
        while !self.living.is_empty() {
            self.kill(0);
        }
        self.over
    }
}
