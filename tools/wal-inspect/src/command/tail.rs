//! `wal-inspect tail`: the last records, and with `--follow` every new one.

use crate::arguments::TailArguments;
use crate::command::dump::severity_of;
use crate::failure::Failure;
use crate::read::filter::Filter;
use crate::read::follow::{Current, Follower, Step};
use crate::read::scan::{self, Found};
use crate::read::source::{self, Opened, Source};
use crate::report::place::Place;
use crate::show::output::Output;
use crate::show::presenter::Presenter;
use mcplog::error::PathError;
use mcplog::finding::{Finding, Severity};
use mcplog::position::{Offset, Sequence};
use mcplog::record::Record;
use mcplog::segment::FrameAt;
use mcplog_terminal::interrupt::Interrupt;
use mcplog_terminal::output::remark;
use mcplog_terminal::text::escape;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// How long to wait before looking again: short enough to feel live, long enough to cost nothing.
const POLL: Duration = Duration::from_millis(50);

/// Prints the end of the log, and what is added to it.
pub(crate) fn run(arguments: &TailArguments, output: Output) -> Result<Severity, Failure> {
    let mut presenter = Presenter::new(output, arguments.presentation);
    let path = source::named(arguments.path.as_deref())?;
    if !arguments.follow {
        let sources = source::find(&[path])?;
        let mut backlog = Backlog::new(arguments.limit);
        for source in sources.iter().rev() {
            if backlog.is_full() {
                break;
            }
            backlog.read(source, &arguments.filter)?;
        }
        let severity = backlog.show(&mut presenter)?;
        presenter.output.flush()?;
        return Ok(severity);
    }
    if let Err(source) = std::fs::metadata(&path) {
        return Err(PathError { operation: "open", path, source }.into());
    }
    if !path.is_dir() {
        return Err(Failure::FollowFile(path));
    }
    follow(&path, arguments, &mut presenter)
}

fn follow(path: &Path, arguments: &TailArguments, presenter: &mut Presenter) -> Result<Severity, Failure> {
    let interrupt = Interrupt::catch().map_err(Failure::Signals)?;
    let wal_dir = source::wal_dir(path)?;
    let sources = source::in_directory(&wal_dir)?;
    if sources.is_empty() {
        remark(format_args!("waiting for the first segment in {}", escape(&wal_dir.to_string_lossy())));
    }
    let mut backlog = Backlog::new(arguments.limit);
    let mut current = None;
    for source in sources.iter().rev() {
        if current.is_none() {
            current = backlog.begin(source, &arguments.filter)?;
        } else if !backlog.is_full() {
            backlog.read(source, &arguments.filter)?;
        }
    }
    let mut severity = backlog.show(presenter)?;
    let last_id = sources.last().and_then(|source| source.name_id);
    let mut follower = Follower::new(wal_dir, current, last_id);
    while !interrupt.is_requested() {
        let step = follower.step(&mut |place, found| {
            match found {
                Found::Frame(frame) => {
                    let record = Record::decode(frame.payload);
                    severity = severity.max(severity_of(&record));
                    if arguments.filter.passes(frame.sequence, record.as_ref().ok()) {
                        presenter.record(place, &frame, &record)?;
                    }
                }
                Found::Finding(finding, head) => {
                    severity = severity.max(finding.severity);
                    presenter.finding(place, &finding, head)?;
                }
            }
            Ok(())
        })?;
        if step == Step::Idle {
            presenter.output.flush()?;
            if !interrupt.pause(POLL) {
                break;
            }
        }
    }
    presenter.output.flush()?;
    Ok(severity)
}

/// The last records of a log, gathered from its end.
struct Backlog {
    records_max: usize,
    records: usize,
    entries: VecDeque<Entry>,
}

/// Something to be shown, kept until all before it is known.
struct Entry {
    place: Rc<Place>,
    content: Content,
}

enum Content {
    Record {
        offset: Offset,
        sequence: Sequence,
        payload: Vec<u8>,
    },
    /// With the first of the bytes that it is about.
    Finding(Finding, Vec<u8>),
}

impl Backlog {
    fn new(records_max: usize) -> Self {
        Self { records_max, records: 0, entries: VecDeque::new() }
    }

    fn is_full(&self) -> bool {
        self.records >= self.records_max
    }

    /// Reads a segment that lies before all that were read so far.
    fn read(&mut self, source: &Source, filter: &Filter) -> Result<(), Failure> {
        let mut segment = match source.open()? {
            Opened::Segment(reader) => reader,
            Opened::Other(finding) => {
                self.prepend_finding(source.place(None), finding);
                self.prepend_log(source);
                return Ok(());
            }
            Opened::Retired => return Ok(()),
        };
        let place = Rc::new(source.place(Some(*segment.header())));
        let mut end = Self::new(self.records_max - self.records);
        let _ = scan::to_end(&mut segment, &mut |found| Ok(end.push(&place, found, source, filter)))?;
        self.prepend(end);
        if let Some(finding) = source.part_finding() {
            self.prepend_finding(source.place(Some(*segment.header())), finding);
        }
        self.prepend_log(source);
        Ok(())
    }

    /// Reads the newest segment as far as it goes, to be followed from there.
    fn begin(&mut self, source: &Source, filter: &Filter) -> Result<Option<Current>, Failure> {
        // What can't be read now is left to the follower, which looks again before it says so.
        let Opened::Segment(mut reader) = source.open()? else { return Ok(None) };
        let place = source.place(Some(*reader.header()));
        let shared = Rc::new(place.clone());
        let mut end = Self::new(self.records_max);
        let _ = scan::to_stop(&mut reader, &mut |found| Ok(end.push(&shared, found, source, filter)))?;
        self.prepend(end);
        self.prepend_log(source);
        Ok(Some(Current { source: source.clone(), place, reader, is_complete: false }))
    }

    fn push(&mut self, place: &Rc<Place>, found: Found<'_>, source: &Source, filter: &Filter) -> ControlFlow<()> {
        let content = match found {
            Found::Frame(frame) => {
                let passes = filter.passes(frame.sequence, Record::decode(frame.payload).ok().as_ref());
                if !passes || !source.is_read(frame.sequence) {
                    return ControlFlow::Continue(());
                }
                self.records += 1;
                let FrameAt { offset, sequence, payload } = frame;
                Content::Record { offset, sequence, payload: payload.to_vec() }
            }
            Found::Finding(finding, head) => Content::Finding(source.foresee(finding), head.to_vec()),
        };
        self.entries.push_back(Entry { place: Rc::clone(place), content });
        while self.records > self.records_max {
            let dropped = self.entries.pop_front();
            self.records -= usize::from(dropped.is_some_and(|entry| matches!(entry.content, Content::Record { .. })));
        }
        ControlFlow::Continue(())
    }

    fn prepend_finding(&mut self, place: Place, finding: Finding) {
        self.entries.push_front(Entry { place: Rc::new(place), content: Content::Finding(finding, Vec::new()) });
    }

    /// What there is to say of the log before a segment.
    fn prepend_log(&mut self, source: &Source) {
        for finding in source.before.iter().rev() {
            self.prepend_finding(Place::of_log(&finding.path), finding.clone());
        }
    }

    fn prepend(&mut self, mut earlier: Self) {
        self.records += earlier.records;
        earlier.entries.append(&mut self.entries);
        self.entries = earlier.entries;
    }

    fn show(&self, presenter: &mut Presenter) -> Result<Severity, Failure> {
        let mut severity = Severity::Sound;
        for entry in &self.entries {
            match &entry.content {
                Content::Record { offset, sequence, payload } => {
                    let record = Record::decode(payload);
                    severity = severity.max(severity_of(&record));
                    let frame = FrameAt { offset: *offset, sequence: *sequence, payload };
                    presenter.record(&entry.place, &frame, &record)?;
                }
                Content::Finding(finding, head) => {
                    severity = severity.max(finding.severity);
                    presenter.finding(&entry.place, finding, head)?;
                }
            }
        }
        Ok(severity)
    }
}
