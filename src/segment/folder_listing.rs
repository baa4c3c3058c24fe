//! Which segments a folder has, without reading the directory more often than it changes.
//!
//! Runs on whoever reads a log. It reads the directory; never a segment's bytes.

use super::directory::{self, SegmentFile};
use crate::ground::error::{AtPath, PathError, SegmentError};
use crate::ground::position::SegmentId;
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// A directory's time of change is no finer than this, whatever the file system: what changes it again within that time
/// may not show in it. (Most take 4 ms, FAT 2 s.)
const TIME_STEP: Duration = Duration::from_secs(3);

/// The segments that are yet to be read.
#[derive(Debug)]
pub(super) struct FolderListing {
    /// `None` where the files were given, and no others come.
    path: Option<PathBuf>,
    /// By ascending id.
    waiting: VecDeque<SegmentFile>,
    /// All up to it were handed out.
    after: SegmentId,
    looked: Option<Look>,
}

/// The directory's time of change, and since when it has that.
#[derive(Clone, Copy, Debug)]
struct Look {
    changed: SystemTime,
    first_seen: Instant,
    /// The directory was read when that time was so old that another change shows.
    is_final: bool,
}

impl FolderListing {
    /// The segments behind `after` in the folder at `path`.
    pub(super) fn of(path: &Path, after: SegmentId) -> Result<Self, SegmentError> {
        let mut listing = Self { path: Some(path.to_owned()), waiting: VecDeque::new(), after, looked: None };
        listing.refresh()?;
        Ok(listing)
    }

    /// Those files, and no others; by ascending id, those with the same id in their order.
    pub(super) fn given(mut files: Vec<SegmentFile>, after: SegmentId) -> Self {
        files.sort_by_key(|file| file.id);
        files.retain(|file| file.id > after);
        Self { path: None, waiting: files.into(), after, looked: None }
    }

    /// The next one, and those behind it.
    pub(super) fn waiting(&self) -> &VecDeque<SegmentFile> {
        &self.waiting
    }

    /// The next one was read, or is not to be.
    pub(super) fn take_first(&mut self) {
        if let Some(file) = self.waiting.pop_front() {
            self.after = file.id;
        }
    }

    /// Looks for more, if the directory may have changed.
    pub(super) fn refresh(&mut self) -> Result<(), SegmentError> {
        let Some(path) = &self.path else { return Ok(()) };
        let changed = std::fs::metadata(path).and_then(|metadata| metadata.modified()).at("inspect", path);
        let changed = changed.map_err(gone)?;
        let now = Instant::now();
        let first_seen = match self.looked {
            Some(look) if look.changed == changed && look.is_final => return Ok(()),
            Some(look) if look.changed == changed => look.first_seen,
            _ => now,
        };
        self.read()?;
        self.looked = Some(Look { changed, first_seen, is_final: now.duration_since(first_seen) >= TIME_STEP });
        Ok(())
    }

    /// Looks for more, whatever the directory's time says.
    pub(super) fn read(&mut self) -> Result<(), SegmentError> {
        let Some(path) = &self.path else { return Ok(()) };
        let files = directory::list_whole(path).map_err(gone)?;
        self.waiting = files.into_iter().filter(|file| file.id > self.after).collect();
        Ok(())
    }
}

/// The error, told apart where a file or a folder is not there any more.
pub(super) fn gone(error: PathError) -> SegmentError {
    match error.source.kind() {
        ErrorKind::NotFound => SegmentError::Gone { path: error.path },
        _ => SegmentError::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(dir: &Path, id: u64) {
        std::fs::write(dir.join(directory::file_name(SegmentId(id))), "").unwrap();
    }

    fn waiting(listing: &FolderListing) -> Vec<u64> {
        listing.waiting().iter().map(|file| file.id.0).collect()
    }

    #[test]
    fn segments_come_by_id_each_once_and_new_ones_show() {
        let dir = tempfile::tempdir().unwrap();
        [1, 2, 3, 4].into_iter().for_each(|id| add(dir.path(), id));
        let mut listing = FolderListing::of(dir.path(), SegmentId(1)).unwrap();
        assert_eq!(waiting(&listing), [2, 3, 4]);
        listing.take_first();
        for id in 5..60 {
            add(dir.path(), id);
            listing.refresh().unwrap();
            assert_eq!(waiting(&listing), (3..=id).collect::<Vec<_>>(), "however fast they come");
        }
        assert_eq!(listing.after, SegmentId(2));
        std::fs::remove_dir_all(dir.path()).unwrap();
        assert!(matches!(listing.refresh(), Err(SegmentError::Gone { path }) if path == dir.path()));
        assert!(matches!(listing.read(), Err(SegmentError::Gone { path }) if path == dir.path()));
    }

    #[test]
    fn a_folder_whose_time_of_change_is_old_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        add(dir.path(), 1);
        let mut listing = FolderListing::of(dir.path(), SegmentId(0)).unwrap();
        let look = listing.looked.as_mut().unwrap();
        look.first_seen = look.first_seen.checked_sub(TIME_STEP).unwrap();
        listing.refresh().unwrap();
        assert!(listing.looked.unwrap().is_final);
        // Nobody looks: what is read would show.
        listing.waiting.clear();
        listing.refresh().unwrap();
        assert_eq!(waiting(&listing), [0; 0]);
        add(dir.path(), 2);
        listing.refresh().unwrap();
        assert_eq!(waiting(&listing), [1, 2], "it changed");
    }

    #[test]
    fn files_that_are_given_come_by_id_and_no_others() {
        let file = |id, name: &str| SegmentFile { id: SegmentId(id), path: name.into() };
        let files = vec![file(3, "a"), file(2, "b"), file(3, "c"), file(1, "d")];
        let mut listing = FolderListing::given(files, SegmentId(1));
        listing.refresh().and_then(|()| listing.read()).unwrap();
        let names: Vec<_> = listing.waiting().iter().map(|file| file.path.to_str().unwrap()).collect();
        assert_eq!(names, ["b", "a", "c"]);
    }
}
