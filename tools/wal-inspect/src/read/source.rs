//! From what the user named to segment files, in order. Looks at directories and opens files; reads no frame.

use crate::failure::Failure;
use crate::read::segment_file;
use crate::read::target::Target;
use crate::report::place::Place;
use mcplog::error::SegmentError;
use mcplog::examined_log::ExaminedLog;
use mcplog::finding::{Finding, FindingKind};
use mcplog::position::{SegmentId, Sequence};
use mcplog::record::LEVEL;
use mcplog::segment::format::SegmentHeader;
use mcplog::segment::{LogFile, LogPart, SegmentFile, SegmentReader, WriterFolder};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

/// A file that is to be inspected.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// What the name says, if it is a segment's name.
    pub(crate) name_id: Option<SegmentId>,
    /// The user named this very file, rather than the directory it is in.
    named: bool,
    /// Its writer may be writing to it: nothing newer is in its folder, and somebody holds that one's lock.
    pub(crate) may_be_active: bool,
    /// The log that it is looked at with, and its place among the files of that.
    log: Option<(Rc<ExaminedLog>, usize)>,
    /// What there is to say of the log before this file: whose it is, and which numbers are missing there.
    pub(crate) before: Vec<Finding>,
    /// What there is to say of the log at this file.
    own: Vec<Finding>,
}

/// What opening a source gave.
pub(crate) enum Opened {
    /// A segment.
    Segment(Box<SegmentReader>),
    /// Something that is not looked into.
    Other(Finding),
    /// The file is gone: it was folded and removed after the folder was listed.
    Retired,
}

/// The files of what the user named, log by log, with what they are to their logs.
///
/// # Errors
/// A folder can't be read.
pub(crate) fn find(targets: &[Target]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for target in targets {
        match target {
            Target::File(path) => {
                let may_be_active = segment_file::has_writer(segment_file::folder(path));
                let name_id = segment_file::name_id(path);
                sources.push(Source { named: true, may_be_active, ..Source::new(path.clone(), name_id) });
            }
            Target::Logs(logs) => {
                for folder in &logs.folders {
                    sources.extend(in_folder(folder)?);
                }
            }
        }
    }
    Ok(sources)
}

/// The segments in the folder of a log, by ascending id, with what they are to the log.
fn in_folder(folder: &WriterFolder) -> Result<Vec<Source>, Failure> {
    let log = Rc::new(mcplog::examine_log(&folder.path)?);
    let files = log.log.files.iter().enumerate();
    let mut sources: Vec<Source> = files
        .map(|(place, LogFile { file, .. })| {
            let holes = log.holes.iter().filter(|(hole, _)| hole.behind == file.id);
            let before = holes.map(|(_, finding)| finding.clone()).collect();
            let may_be_active = log.may_be_active(&log.log.files[place]);
            Source { log: Some((Rc::clone(&log), place)), before, may_be_active, ..Source::listed(file.clone()) }
        })
        .collect();
    let (of_files, of_log): (Vec<_>, Vec<_>) =
        log.findings.iter().cloned().partition(|found| sources.iter().any(|source| source.path == found.path));
    for found in of_files {
        sources.iter_mut().filter(|source| source.path == found.path).for_each(|source| source.own.push(found.clone()));
    }
    if let Some(first) = sources.first_mut() {
        first.before.splice(0..0, of_log);
    }
    Ok(sources)
}

impl Source {
    fn new(path: PathBuf, name_id: Option<SegmentId>) -> Self {
        Self { path, name_id, named: false, may_be_active: false, log: None, before: Vec::new(), own: Vec::new() }
    }

    fn listed(file: SegmentFile) -> Self {
        Self::new(file.path, Some(file.id))
    }

    /// What the file is to the log that it is looked at with.
    fn log_file(&self) -> Option<&LogFile> {
        self.log.as_ref().map(|(log, place)| &log.log.files[*place])
    }

    /// Opens the file.
    ///
    /// # Errors
    /// The user named this very file, and it does not exist.
    pub(crate) fn open(&self) -> Result<Opened, Failure> {
        if let Some(file) = self.log_file()
            && let (LogPart::PassedOver(_) | LogPart::Waits(_), Some(finding)) = (&file.part, file.finding())
        {
            return Ok(Opened::Other(finding));
        }
        let reader = match SegmentReader::open(&self.path) {
            Ok(reader) => reader,
            Err(SegmentError::Io(error)) if error.source.kind() == io::ErrorKind::NotFound => {
                return if self.named { Err(error.into()) } else { Ok(Opened::Retired) };
            }
            Err(error) => return Ok(Opened::Other(Finding::of_segment_error(&error))),
        };
        let (header_id, name_id) = (reader.header().segment_id, self.name_id);
        Ok(match name_id.filter(|name_id| *name_id != header_id) {
            Some(name_id) => {
                let text = format!("the name says segment {name_id}, the header {header_id}");
                Opened::Other(Finding::new(FindingKind::MisnamedSegment, &self.path, text).at(0))
            }
            None => Opened::Segment(Box::new(reader)),
        })
    }

    /// What there is to say of a segment that can be read before that is done: that nothing is read from it, or that it may
    /// have records that a newer mcplog alone knows.
    pub(crate) fn part_findings(&self, header: &SegmentHeader) -> impl Iterator<Item = Finding> {
        let level = header.check_level(&self.path, LEVEL).err().map(|error| Finding::of_segment_error(&error));
        // That is said here of each segment.
        let own = self.own.iter().filter(|finding| finding.kind != FindingKind::NewerSegment).cloned();
        level.into_iter().chain(own).chain(self.log_file().and_then(LogFile::finding))
    }

    /// Whether a store reads the record of that number from it; of a file that was picked by hand, every one.
    pub(crate) fn is_read(&self, sequence: Sequence) -> bool {
        self.log_file().is_none_or(|file| file.is_read(sequence))
    }

    /// How many records from one number to another a store reads from it.
    pub(crate) fn count_read(&self, first: Sequence, last: Sequence) -> u64 {
        self.log_file().map_or(last.0 + 1 - first.0, |file| file.count_read(first, last))
    }

    /// How many records are lost with a damaged place of it; 0 where nobody can say.
    pub(crate) fn lost_with(&self, finding: &Finding) -> u64 {
        let is_damaged_place = finding.kind == FindingKind::DamagedPlace;
        let log = self.log.as_ref().filter(|_| is_damaged_place);
        log.map_or(0, |(log, place)| log.lost_with(&log.log.files[*place], finding))
    }

    /// The finding about this file, with what the next opening of the store does about it.
    pub(crate) fn foresee(&self, finding: Finding) -> Finding {
        match self.log_file() {
            Some(file) => file.foresee(finding),
            None => finding,
        }
    }

    pub(crate) fn place(&self, header: Option<SegmentHeader>) -> Place {
        Place::new(&self.path, self.name_id, header)
    }
}
