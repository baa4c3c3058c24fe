//! Which records are shown. Pure.

use crate::report::fields::time_ms;
use clap::{Args, ValueEnum};
use mcplog::Status;
use mcplog::position::Sequence;
use mcplog::record::{Id, Kind, Record};
use mcplog_terminal::moment;

/// A kind of record, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindName {
    Request,
    Session,
    #[value(name = "session_closed", alias = "closed", alias = "session-closed")]
    SessionClosed,
    #[value(name = "schema_version", alias = "schema", alias = "schema-version")]
    SchemaVersion,
    Gap,
    #[value(name = "clock_step", alias = "clock-step")]
    ClockStep,
    #[value(name = "writer_began", alias = "writer-began")]
    WriterBegan,
    #[value(name = "writer_ended", alias = "writer-ended")]
    WriterEnded,
}

impl KindName {
    const fn kind(self) -> Kind {
        match self {
            Self::Request => Kind::Request,
            Self::Session => Kind::Session,
            Self::SessionClosed => Kind::SessionClosed,
            Self::SchemaVersion => Kind::SchemaVersion,
            Self::Gap => Kind::Gap,
            Self::ClockStep => Kind::ClockStep,
            Self::WriterBegan => Kind::WriterBegan,
            Self::WriterEnded => Kind::WriterEnded,
        }
    }
}

/// How a request ended, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusName {
    Ok,
    Error,
    Timeout,
}

impl StatusName {
    const fn status(self) -> Status {
        match self {
            Self::Ok => Status::Ok,
            Self::Error => Status::Error,
            Self::Timeout => Status::Timeout,
        }
    }
}

/// What a record must be to be shown: everything that is given.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters (damage is always shown)")]
pub(crate) struct Filter {
    /// Only records of these kinds
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<KindName>,
    /// Only records of this session (the beginning of its id is enough)
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Only the request with this id (its beginning is enough)
    #[arg(long, value_name = "ID")]
    request: Option<String>,
    /// Only requests with this method, such as tools/call
    #[arg(long)]
    method: Option<String>,
    /// Only calls of this tool
    #[arg(long)]
    tool: Option<String>,
    /// Only requests that ended like this
    #[arg(long)]
    status: Option<StatusName>,
    /// Only records from this time on: 15m (ago), 14:03, 2026-07-01, 2026-07-01T09:30 (local), RFC 3339, Unix ms
    #[arg(long, value_name = "WHEN", value_parser = moment::parse_argument)]
    since: Option<i64>,
    /// Only records before this time
    #[arg(long, value_name = "WHEN", value_parser = moment::parse_argument)]
    until: Option<i64>,
    /// Only records from this sequence number on
    #[arg(long, value_name = "N")]
    from_sequence: Option<u64>,
}

impl Filter {
    /// Whether anything at or before that sequence number is shown at all.
    pub(crate) fn reaches(&self, sequence: Sequence) -> bool {
        self.from_sequence.is_none_or(|from| sequence.0 >= from)
    }

    /// Whether that record is shown. `None` stands for one that can't be decoded: it is never hidden for what it may say.
    pub(crate) fn passes(&self, sequence: Sequence, record: Option<&Record<'_>>) -> bool {
        if !self.reaches(sequence) {
            return false;
        }
        let Some(record) = record else { return true };
        let time = time_ms(record);
        (self.kind.is_empty() || self.kind.iter().any(|kind| kind.kind() == record.kind()))
            && self.session.as_ref().is_none_or(|prefix| session_id(record).is_some_and(|id| starts(&id, prefix)))
            && self.since.is_none_or(|since| time >= since)
            && self.until.is_none_or(|until| time < until)
            && self.passes_request(record)
    }

    fn passes_request(&self, record: &Record<'_>) -> bool {
        let Record::Request(request) = record else {
            // A schema version has a method too; the rest only requests have.
            let method = match record {
                Record::SchemaVersion(version) => Some(version.method),
                _ => None,
            };
            return self.request.is_none()
                && self.tool.is_none()
                && self.status.is_none()
                && self.method.as_deref().is_none_or(|wanted| Some(wanted) == method);
        };
        self.request.as_ref().is_none_or(|prefix| starts(&request.request_id, prefix))
            && self.method.as_deref().is_none_or(|wanted| wanted == request.method)
            && self.tool.as_deref().is_none_or(|wanted| Some(wanted) == request.tool)
            && self.status.is_none_or(|wanted| wanted.status() == request.status)
    }
}

fn session_id<'a>(record: &Record<'a>) -> Option<Id<'a>> {
    match record {
        Record::Request(request) => request.session_id,
        Record::Session(session) => Some(session.session_id),
        Record::SessionClosed(closed) => Some(closed.session_id),
        Record::SchemaVersion(_)
        | Record::Gap(_)
        | Record::ClockStep(_)
        | Record::WriterBegan(_)
        | Record::WriterEnded(_) => None,
    }
}

fn starts(id: &Id<'_>, prefix: &str) -> bool {
    id.text().starts_with(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcplog::record::{GapRecord, SessionClosedRecord};
    use mcplog::{Event, Request, SchemaVersion, Status};

    fn request() -> Record<'static> {
        let mut request = Request::new("request-1", 1000, "files", "tools/call");
        request.session_id = Some("0123456789abcdef0123456789abcdef");
        request.tool = Some("search");
        request.status = Status::Error;
        Event::from(request).into()
    }

    #[test]
    fn every_filter_passes_what_it_names_and_nothing_else() {
        type Set = fn(&mut Filter);
        let records = [
            request(),
            Record::SessionClosed(SessionClosedRecord { session_id: Id::new("other"), ended_at: 2000 }),
            Event::from(SchemaVersion::new(3000, "files", "http://x", "tools/list", "{}", "00")).into(),
            Record::Gap(GapRecord { from_ts: 1, to_ts: 4000, events: 7 }),
        ];
        let cases: &[(&str, Set, [bool; 4])] = &[
            ("nothing", |_| {}, [true; 4]),
            ("kind", |f| f.kind = vec![KindName::Request, KindName::Gap], [true, false, false, true]),
            ("session", |f| f.session = Some("0123".into()), [true, false, false, false]),
            ("another session", |f| f.session = Some("oth".into()), [false, true, false, false]),
            ("request", |f| f.request = Some("request-".into()), [true, false, false, false]),
            ("another request", |f| f.request = Some("equest-1".into()), [false; 4]),
            ("method", |f| f.method = Some("tools/call".into()), [true, false, false, false]),
            ("schema method", |f| f.method = Some("tools/list".into()), [false, false, true, false]),
            ("tool", |f| f.tool = Some("search".into()), [true, false, false, false]),
            ("another tool", |f| f.tool = Some("sear".into()), [false; 4]),
            ("status", |f| f.status = Some(StatusName::Error), [true, false, false, false]),
            ("another status", |f| f.status = Some(StatusName::Ok), [false; 4]),
            ("since", |f| f.since = Some(2000), [false, true, true, true]),
            ("until", |f| f.until = Some(2000), [true, false, false, false]),
            ("from sequence", |f| f.from_sequence = Some(12), [false, false, true, true]),
        ];
        for (name, set, expected) in cases {
            let mut filter = Filter::default();
            set(&mut filter);
            let shown: Vec<bool> = records
                .iter()
                .zip(10..)
                .map(|(record, sequence)| filter.passes(Sequence(sequence), Some(record)))
                .collect();
            assert_eq!(shown, expected, "{name}");
        }
    }

    #[test]
    fn what_can_not_be_decoded_is_hidden_only_by_its_sequence_number() {
        let filter = Filter { tool: Some("x".into()), from_sequence: Some(5), ..Filter::default() };
        assert!(filter.passes(Sequence(5), None));
        assert!(!filter.passes(Sequence(4), None));
    }
}
