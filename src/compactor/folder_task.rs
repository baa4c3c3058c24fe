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
    /// It is being born, and nothing was recorded there.
    Unborn,
    /// It has a name of a folder that is being born, and records all the same: a power cut took its renaming back.
    UnbornWithRecords,
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
    /// Remove what is left of a birth.
    RemoveUnborn,
    /// Give the folder its name; it is a dead writer's then.
    Name,
}

impl FolderTask {
    pub(super) fn of(role: Role, lock: LockState, content: Content) -> Self {
        use Content::{Beyond, Folded, NotOurs, Unborn, UnbornWithRecords, Unreadable};
        use LockState::{Held, Taken, Unknown};
        match (content, lock) {
            (NotOurs | Unreadable, _) => Self::LeaveAndName,
            // Those that are still to be born are not in their place, and nothing is promised of them.
            (Unborn | UnbornWithRecords, Held | Unknown) => Self::Leave,
            (Beyond, _) => Self::Fold,
            _ if role == Role::StandIn => Self::Leave,
            (Folded, Held | Unknown) => Self::RetireEnded,
            (Folded, Taken) => Self::Close,
            (Unborn, Taken) => Self::RemoveUnborn,
            (UnbornWithRecords, Taken) => Self::Name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_folder_has_the_task_of_its_row_in_the_table() {
        use Content::{Beyond, Folded, NotOurs, Unborn, UnbornWithRecords, Unreadable};
        use FolderTask::{Close, Fold, Leave, LeaveAndName, Name, RemoveUnborn, RetireEnded};
        let table = [
            // What lies there: the holder's task where the lock is held, taken, can't be tried; and the stand-in's.
            (Unborn, [Leave, RemoveUnborn, Leave], [Leave, Leave, Leave]),
            (UnbornWithRecords, [Leave, Name, Leave], [Leave, Leave, Leave]),
            (Beyond, [Fold, Fold, Fold], [Fold, Fold, Fold]),
            (Folded, [RetireEnded, Close, RetireEnded], [Leave, Leave, Leave]),
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
                for content in [
                    Content::Unborn,
                    Content::UnbornWithRecords,
                    Content::Beyond,
                    Content::Folded,
                    Content::NotOurs,
                    Content::Unreadable,
                ] {
                    let task = FolderTask::of(role, lock, content);
                    assert!(!matches!(task, FolderTask::Close | FolderTask::RemoveUnborn | FolderTask::Name));
                }
            }
        }
    }
}
