//! What to do with a folder of `wal/`, by its lock and by what lies in it: one table, as data.
//!
//! Pure. `sources.rs` finds out both and does what is said here.

/// What trying the folder's lock came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockState {
    /// Its writer lives.
    Held,
    /// It was free: its writer is dead, and nobody else works on the folder while this process holds the lock.
    Taken,
    /// It can't be tried. Nobody calls the writer dead then.
    Unknown,
}

/// What lies in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// There is something beyond the checkpoint, or may be.
    Beyond,
    /// Nothing is.
    Folded,
    /// A segment of another store, or one that needs a newer build.
    NotOurs,
    /// The system does not give it.
    Unreadable,
}

/// As what a process folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It holds the fold lock.
    Holder,
    /// It folds beside a holder that does not move, and does nothing that can't be undone by the database.
    StandIn,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FolderTask {
    /// Nothing.
    Leave,
    /// Nothing, and people are told.
    LeaveAndName,
    /// Fold on from the checkpoint.
    Fold,
    /// Let segments go that ended and are folded.
    RetireEnded,
    /// Note how the writer ended, let all segments go, and the folder with them.
    Close,
}

impl FolderTask {
    pub(super) fn of(role: Role, lock: LockState, content: Content) -> Self {
        use Content::{Beyond, Folded, NotOurs, Unreadable};
        use LockState::{Held, Taken, Unknown};
        match (content, lock) {
            (NotOurs | Unreadable, _) => Self::LeaveAndName,
            (Beyond, _) => Self::Fold,
            _ if role == Role::StandIn => Self::Leave,
            (Folded, Held | Unknown) => Self::RetireEnded,
            (Folded, Taken) => Self::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_has_the_task_of_its_row_in_the_table() {
        use Content::{Beyond, Folded, NotOurs, Unreadable};
        use FolderTask::{Close, Fold, Leave, LeaveAndName, RetireEnded};
        let table = [
            // What lies there: the holder's task where the lock is held, taken, can't be tried; and the stand-in's.
            (Beyond, [Fold; 3], [Fold; 3]),
            (Folded, [RetireEnded, Close, RetireEnded], [Leave; 3]),
            (NotOurs, [LeaveAndName; 3], [LeaveAndName; 3]),
            (Unreadable, [LeaveAndName; 3], [LeaveAndName; 3]),
        ];
        for (content, holder, stand_in) in table {
            for (role, tasks) in [(Role::Holder, holder), (Role::StandIn, stand_in)] {
                for (lock, task) in [LockState::Held, LockState::Taken, LockState::Unknown].into_iter().zip(tasks) {
                    assert_eq!(FolderTask::of(role, lock, content), task, "{role:?} {lock:?} {content:?}");
                }
            }
        }
    }

    #[test]
    fn nothing_goes_whose_writer_may_live_or_that_is_not_folded_or_not_ours() {
        for role in [Role::Holder, Role::StandIn] {
            for lock in [LockState::Held, LockState::Unknown] {
                for content in [Content::Beyond, Content::Folded, Content::NotOurs, Content::Unreadable] {
                    assert_ne!(FolderTask::of(role, lock, content), FolderTask::Close);
                }
            }
        }
    }
}
