//! The options of the commands: what people may type, and the filters that it comes to.
//!
//! Declarations only. Options that several commands have are declared once, so that they are the same in all.

use crate::dir_args::DirArgs;
use crate::proxy::{parse_database_size, parse_keep, parse_min_free, parse_segments_size};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use mcplog::Status;
use mcplog::event::{Code, Direction, Outcome};
use mcplog::query::{RequestFilter, SchemaFilter, SessionFilter, TimeRange};
use mcplog_terminal::view::View;
use mcplog_terminal::{duration, moment};
use std::path::PathBuf;

/// From when to when.
#[derive(Debug, Args)]
pub(crate) struct TimeArgs {
    /// Only what happened since: 15m (ago), 14:03, 2026-07-01, 2026-07-01T09:30, RFC 3339, Unix ms
    ///
    /// Times without a zone are local ones (TZ counts); a date is its first moment, 14:03 is today's.
    #[arg(long, value_name = "WHEN", value_parser = moment::parse_argument)]
    since: Option<i64>,
    /// Only what happened before, as --since
    #[arg(long, value_name = "WHEN", value_parser = moment::parse_argument)]
    until: Option<i64>,
}

impl TimeArgs {
    pub(crate) fn range(&self) -> TimeRange {
        TimeRange { since_ts: self.since, until_ts: self.until }
    }
}

/// Which requests.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    /// Only this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Only this JSON-RPC method
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Only requests with this status: ok, error, timeout
    #[arg(long, value_enum, hide_possible_values = true)]
    status: Option<StatusArg>,
    /// Only requests that ended so, which says more than the status: cancelled, lost, ...
    #[arg(long, value_name = "OUTCOME", value_parser = outcome_parser())]
    outcome: Option<Outcome>,
    /// Only this session; the beginning of its id is enough
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Only what the client asked, or what the server asked: client, server
    #[arg(long, value_name = "WHO", value_parser = direction_parser(), hide_possible_values = true)]
    direction: Option<Direction>,
    /// Only what this proxy saw
    #[arg(long, value_name = "NAME")]
    proxy: Option<String>,
    /// Only requests to this path: which server, where a proxy stands before several
    #[arg(long, value_name = "PATH")]
    endpoint: Option<String>,
    /// Only failures (errors and timeouts) and tool errors (results that say isError)
    #[arg(long)]
    errors: bool,
    /// Only requests that took longer: 250us, 100ms, 1.5s, 1h30m
    #[arg(long, value_name = "TIME", value_parser = duration::parse_us)]
    slower_than: Option<i64>,
}

impl RequestArgs {
    /// The filter, with the session's whole id in place of what was typed, and no limit.
    pub(crate) fn filter(&self, session_id: Option<String>) -> RequestFilter {
        RequestFilter {
            time_range: self.time.range(),
            proxy: self.proxy.clone(),
            method: self.method.clone(),
            tool: self.tool.clone(),
            endpoint: self.endpoint.clone(),
            direction: self.direction,
            status: self.status.map(Status::from),
            outcome: self.outcome,
            session_id,
            errors_only: self.errors,
            slower_than_us: self.slower_than,
            limit: None,
        }
    }
}

/// `--status`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatusArg {
    Ok,
    Error,
    Timeout,
}

impl From<StatusArg> for Status {
    fn from(status: StatusArg) -> Self {
        match status {
            StatusArg::Ok => Self::Ok,
            StatusArg::Error => Self::Error,
            StatusArg::Timeout => Self::Timeout,
        }
    }
}

/// Takes the names of directions, and lists them.
fn direction_parser() -> impl TypedValueParser<Value = Direction> {
    let names = Direction::ALL.iter().map(|direction| direction.as_str());
    PossibleValuesParser::new(names).try_map(|name| Direction::from_name(&name).ok_or("no direction"))
}

/// Takes the names of outcomes, and lists them.
fn outcome_parser() -> impl TypedValueParser<Value = Outcome> {
    let names = Outcome::ALL.iter().map(|outcome| outcome.as_str());
    PossibleValuesParser::new(names).try_map(|name| Outcome::from_name(&name).ok_or("no outcome"))
}

/// How much of the answer is shown, and in which form.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// At most so many rows; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: u64,
    /// Show everything in full, however wide the lines get
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

impl ShowArgs {
    /// The limit, if there is one.
    pub(crate) fn limit(&self) -> Option<u64> {
        (self.limit > 0).then_some(self.limit)
    }

    /// The view, without its width if everything is to be shown.
    pub(crate) fn view(&self, view: &View) -> View {
        View { width: view.width.filter(|_| !self.wide), ..view.clone() }
    }
}

/// Whether the answer waits for what is not folded yet.
#[derive(Debug, Args)]
pub(crate) struct FoldArgs {
    /// Have records that wait in the log folded first, as after a kill
    ///
    /// It opens the store as a process does that records, for as long as folding takes: what a crash left is mended, and
    /// what is older or more than the store keeps goes. A proxy that starts meanwhile serves, and records once this is
    /// done. Where a process has the store open, that one folds, and this waits for it. Where nothing can be folded, it
    /// says why, and answers all the same.
    #[arg(long)]
    pub(crate) fold: bool,
}

/// Of the commands that show requests: one by one, the slowest, or what they add up to.
#[derive(Debug, Args)]
pub(crate) struct RequestsArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    #[command(flatten)]
    pub(crate) requests: RequestArgs,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) fold: FoldArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) rows: RequestsArgs,
    /// Go on with what is recorded from now on, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    /// Leave out what takes longest: comparing the indexes of the database with its tables
    #[arg(long)]
    pub(crate) quick: bool,
    /// Show what the store is about to let go instead: folded segments, and rows that are too old or too many
    #[arg(long, conflicts_with = "quick")]
    pub(crate) plan: bool,
    /// With --plan: the limits that the [store] table of a proxy's configuration file sets
    #[arg(short, long, value_name = "FILE", requires = "plan")]
    pub(crate) config: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    /// Make the whole database anew from the log alone
    #[arg(long)]
    pub(crate) from_log: bool,
    /// Go on although rows are lost
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// Say what there is and what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// One JSON object in place of a sentence
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    /// One JSON object in place of a sentence
    #[arg(long)]
    pub(crate) json: bool,
    /// Where the copy goes: a directory that does not exist yet, or an empty one
    #[arg(value_name = "TARGET")]
    pub(crate) target: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    /// Only this session; the beginning of its id is enough
    #[arg(long, value_name = "ID", conflicts_with = "clients")]
    pub(crate) session: Option<String>,
    /// Only sessions of the client with this name
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only what this proxy saw
    #[arg(long, value_name = "NAME")]
    proxy: Option<String>,
    /// Only sessions with a failure (error or timeout) or a tool error
    #[arg(long)]
    errors: bool,
    /// One line per client instead of one per session
    #[arg(long)]
    pub(crate) clients: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) fold: FoldArgs,
}

impl SessionsArgs {
    /// The filter, with the session's whole id in place of what was typed, and no limit.
    pub(crate) fn filter(&self, session_id: Option<String>) -> SessionFilter {
        SessionFilter {
            time_range: self.time.range(),
            proxy: self.proxy.clone(),
            client_name: self.client.clone(),
            session_id,
            errors_only: self.errors,
            limit: None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct WritersArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) fold: FoldArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UnusedArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    /// Only tools behind this proxy
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy: Option<String>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) fold: FoldArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    /// What changed, instead of what is
    #[arg(long)]
    pub(crate) changes: bool,
    #[command(flatten)]
    pub(crate) time: TimeArgs,
    /// Only the result of this method, such as tools/list
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Only what this proxy saw
    #[arg(long, value_name = "NAME")]
    proxy: Option<String>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) fold: FoldArgs,
}

impl SchemaArgs {
    /// The filter, without a limit.
    pub(crate) fn filter(&self) -> SchemaFilter {
        SchemaFilter {
            time_range: self.time.range(),
            proxy: self.proxy.clone(),
            method: self.method.clone(),
            limit: None,
        }
    }
}

/// What the store keeps, and for how long. The proxy has the same flags, and its configuration file.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// Keep the log after it is folded, for wal-inspect and for rebuilding: all of it, or so much; 0 for none
    ///
    /// The store remembers this and the next two, for all who open it later. Without them it goes by what it was last
    /// told, by a proxy for example.
    #[arg(long, value_name = "SIZE", num_args = 0..=1, require_equals = true, default_missing_value = "unlimited",
          value_parser = parse_segments_size)]
    keep_segments: Option<u64>,
    /// Let requests go that are older than this, such as 30d; or unlimited
    #[arg(long, value_name = "TIME", value_parser = parse_keep)]
    keep: Option<u64>,
    /// Let the oldest requests go where the database would get larger, such as 2GiB; or unlimited
    #[arg(long, value_name = "SIZE", value_parser = parse_database_size)]
    max_size: Option<u64>,
}

impl LimitArgs {
    /// Tells a store what was typed.
    pub(crate) fn tell(&self, config: &mut mcplog::Config) {
        config.keep_segments_bytes = self.keep_segments.or(config.keep_segments_bytes);
        config.keep_rows_age_ms = self.keep.or(config.keep_rows_age_ms);
        config.database_bytes_max = self.max_size.or(config.database_bytes_max);
    }
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Leave so much of the disk free, and wait where there is less [default: 1GiB, or a twentieth of the disk]
    #[arg(long, value_name = "SIZE", value_parser = parse_min_free)]
    pub(crate) min_free: Option<u64>,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    /// The file with the events, one JSON object per line; - for standard input
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to record; without it, into a fresh directory, which is named
    #[arg(short, long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    #[test]
    fn filters_carry_what_was_typed() {
        let line = "mcplog logs --tool t --method m --status timeout --outcome lost --proxy p --endpoint /e --errors --slower-than 1ms --limit 0";
        let Command::Logs(args) = Cli::parse_from(line.split(' ')).command else { panic!("not logs") };
        let filter = args.rows.requests.filter(Some("whole".into()));
        let expected = RequestFilter {
            tool: Some("t".into()),
            method: Some("m".into()),
            status: Some(Status::Timeout),
            outcome: Some(Outcome::Lost),
            proxy: Some("p".into()),
            endpoint: Some("/e".into()),
            session_id: Some("whole".into()),
            errors_only: true,
            slower_than_us: Some(1_000),
            ..RequestFilter::default()
        };
        assert_eq!(filter, expected);
        assert_eq!((args.rows.show.limit(), args.follow), (None, false));
    }
}
