//! The command line: commands, options, help.
//!
//! Declarations only; what a command does is in [`crate::command`].

use crate::moment;
use clap::{Args, Parser, Subcommand, ValueEnum};
use mcplog::Status;
use mcplog::query::{RequestFilter, SchemaFilter, SessionFilter, Span};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    wrong usage, no store, or an I/O error
  2    ingest: done, but some lines were no events; check: unfinished
  3    check: damaged
  130  ingest: interrupted";

/// Records MCP traffic, and shows what it recorded.
#[derive(Debug, Parser)]
#[command(name = "mcplog", version, max_term_width = 100, after_help = EXIT_CODES, subcommand_required = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Proxy(crate::proxy::ProxyArgs),

    /// Watch mcplog at work: a real MCP server, real clients, and the recording proxy between them
    #[command(after_help = "\
Examples:
  mcplog demo                    into a fresh directory, which it names
  mcplog demo --dir ./try-it     into ./try-it

It listens on loopback ports only, takes a few seconds, and leaves its data where it says.")]
    Demo(DemoArgs),

    /// Show requests, the newest last
    #[command(after_help = "\
Examples:
  mcplog logs                            the newest 50 requests
  mcplog logs --errors --since 2h        what failed in the last two hours
  mcplog logs --tool search --slower-than 500ms
  mcplog logs --session 0197a1c0         one session; the beginning of its id is enough
  mcplog logs --limit 0 --json | jq -r 'select(.status == \"error\") | .error_msg'

JSON fields: id, request_id, ts, proxy, session_id, client_name, method, tool, target, latency_us,
status, tool_error, error_code, error_msg, bytes_in, bytes_out, protocol_version, rpc_id. Times are
Unix milliseconds UTC, latencies microseconds, sizes bytes; what is not known is null.")]
    Logs(RequestsArgs),

    /// Show the slowest requests, the slowest first
    #[command(after_help = "\
Examples:
  mcplog slow                            the slowest 50 requests on record
  mcplog slow --since 1d --limit 10      the slowest ten of the last day
  mcplog slow --tool search --status ok
  mcplog slow --json | jq -r '[.latency_us, .tool, .request_id] | @tsv'

Of equally slow requests, the newest comes first.

JSON fields: id, request_id, ts, proxy, session_id, client_name, method, tool, target, latency_us,
status, tool_error, error_code, error_msg, bytes_in, bytes_out, protocol_version, rpc_id, as those of
`mcplog logs`.")]
    Slow(RequestsArgs),

    /// Show how often each tool was called, how slow it was, and how it failed
    #[command(after_help = "\
Examples:
  mcplog stats                     everything on record
  mcplog stats --since 1h          the last hour
  mcplog stats --tool search --session 0197a1c0
  mcplog stats --json | jq -r '[.tool, .p99_us] | @tsv'

ERRORS counts JSON-RPC errors, broken exchanges and timeouts; ISERROR counts results in which the tool
itself reported a failure. P50, P95 and P99 are latencies that half, 95 % and 99 % did not exceed; over
more than 4,000 requests they are within 1 % of these. All else is exact.

JSON fields: proxy, method, tool, calls, errors, timeouts, tool_errors, p50_us, p95_us, p99_us, max_us,
bytes_in, bytes_out, first_ts, last_ts. Latencies are microseconds, times Unix milliseconds UTC.")]
    Stats(RequestsArgs),

    /// Show sessions and the clients behind them
    #[command(after_help = "\
Examples:
  mcplog sessions                  the newest 50 sessions
  mcplog sessions --since 7d --errors
  mcplog sessions --clients        one line per client instead
  mcplog sessions --json | jq -r .session_id

A session that was not closed counts as idle once it has been silent for as long as the proxy that
recorded it was told (session_idle_ms). A session marked ~ was derived by the proxy, because that revision
of the protocol has none.

JSON fields: session_id, proxy, started_at, last_seen_at, ended_at, closed_at, client_name,
client_version, client_platform, protocol_version, derived, total_calls, total_errors,
total_tool_errors. With --clients: client_name, client_version, client_platform, sessions,
open_sessions, total_calls, total_errors, total_tool_errors, first_seen_at, last_seen_at.")]
    Sessions(SessionsArgs),

    /// Show tools that servers offer and nobody called
    #[command(after_help = "\
Examples:
  mcplog unused                    never called, as far as is on record
  mcplog unused --since 30d        not called for thirty days
  mcplog unused --json | jq -r 'select(.last_called_at == null) | .tool'

What servers offer is what their current tools/list says. LAST CALLED is about all that is on record,
also outside of the times that were asked about.

JSON fields: proxy, upstream_url, tool, known_since, last_called_at. Times are Unix milliseconds UTC;
last_called_at is null for a tool that was never called.")]
    Unused(UnusedArgs),

    /// Show what servers offer, and how it changed
    #[command(after_help = "\
Examples:
  mcplog schema                    the current version of each list
  mcplog schema --changes          what was added, removed and modified, and when
  mcplog schema --method tools/list --json | jq -r '.payload | fromjson | .tools[].name'

JSON fields: id, proxy, upstream_url, method, schema_hash, captured_at, payload (JSON text).
With --changes: id, detected_at, proxy, upstream_url, method, change_type, item_name, old_hash,
new_hash.")]
    Schema(SchemaArgs),

    /// Say whether a store is sound: its log, its database, and how they fit together
    #[command(after_help = "\
Examples:
  mcplog check                     everything; reads the whole store
  mcplog check --quick             without comparing the database's indexes with its tables
  mcplog check --json | jq -r '.findings[] | [.severity, .path, .offset, .text] | @tsv'
  mcplog check --plan --config proxy.toml     what goes when a proxy with these limits records

It only reads, also while a proxy records. `wal-inspect verify` and `wal-inspect dump` show more of a damaged
log, `mcplog rebuild` mends a database.

Exit codes: 0 sound, 2 unfinished (what a crash leaves, and the next opening mends), 3 damaged, 1 no store.

JSON fields: in_use, segments, log_bytes, records, unfolded_records, requests, sessions, database_bytes,
dropped_events, quarantined, newer_records (of a newer mcplog: they wait for it), quarantine_files, findings
(severity, path, offset, text), verdict (sound, unfinished, damaged). With --plan: retirement.segments (segment, path,
bytes, fate: kept, beyond_bytes, beyond_age, superseded, damaged), expiry (kept_since, reason: age, size, under_way;
rows of each table) or null.")]
    Check(CheckArgs),

    /// Make the database anew: from its rows what it derives from them, or all of it from the log
    #[command(after_help = "\
Examples:
  mcplog rebuild --dir ./mcplog-data
  mcplog rebuild --from-log        from the segments that are kept, even where the database is sound
  mcplog rebuild --json

Where the database is sound, roll-ups and the sums of sessions are computed from its rows; whoever reads
meanwhile sees the old state or the new one. Where it is damaged or gone, a new one is made from the log,
and the old one moves into quarantine/. What the log no longer holds (segments are deleted once they are
folded, unless keep_segments_bytes keeps them) is then only there:
`sqlite3 quarantine/store.db.1 .recover` may get more out of it. Refused while a proxy records.

JSON fields: from (rows, log). From rows: requests, sessions, calls. From the log: requests, sessions,
segments, records_before_log, moved_to.")]
    Rebuild(RebuildArgs),

    /// Record events from JSON lines, over the same path that the proxy uses
    #[command(after_long_help = INGEST_HELP)]
    Ingest(IngestArgs),
}

const INGEST_HELP: &str = "\
Examples:
  mcplog ingest --dir ./imported events.jsonl
  zcat old.jsonl.gz | mcplog ingest --dir ./imported -
  mcplog ingest --keep-segments events.jsonl && wal-inspect list ./mcplog-data

One JSON object per line; the lines are recorded in their order. `type` says which event it is; fields
with ? may be absent or null; fields that are not listed are ignored.

  request         request_id, ts, proxy, method, latency_us, status (ok, error, timeout), session_id?,
                  tool?, error_code?, error_msg?, bytes_in?, bytes_out?, tool_error?, target?,
                  protocol_version?, rpc_id?
  session         session_id, proxy, started_at, client_name?, client_version?, client_platform?,
                  protocol_version?, derived?
  session_closed  session_id, ended_at
  schema_version  ts, proxy, upstream_url, method, payload (JSON as a string), content_hash

Times are Unix milliseconds UTC, latencies microseconds, sizes bytes, all of them whole numbers.
Blank lines are skipped. A bad line (no JSON, an unknown type, a missing or wrong field, more than
16 MiB) is reported with its number and left out; the rest goes on, and the exit code is 2. The same
request_id is kept once, so that importing a file twice does no harm. On Ctrl-C, what was read until
then is kept, and the exit code is 130.";

/// Where the store is.
#[derive(Debug, Args)]
pub(crate) struct DirArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR", env = "MCPLOG_DIR", default_value = "./mcplog-data")]
    pub(crate) dir: PathBuf,
}

/// From when to when.
#[derive(Debug, Args)]
pub(crate) struct SpanArgs {
    /// Only what happened since: 15m, 2h, 7d, a date, a local time or RFC 3339
    #[arg(long, value_name = "WHEN", value_parser = moment::parse_argument)]
    since: Option<i64>,
    /// Only what happened before
    #[arg(long, value_name = "WHEN", value_parser = moment::parse_argument)]
    until: Option<i64>,
}

impl SpanArgs {
    pub(crate) fn span(&self) -> Span {
        Span { since_ts: self.since, until_ts: self.until }
    }
}

/// Which requests.
#[derive(Debug, Args)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// Only this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// Only this JSON-RPC method
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Only requests that ended so
    #[arg(long, value_enum)]
    status: Option<StatusArg>,
    /// Only this session; the beginning of its id is enough
    #[arg(long, value_name = "ID")]
    pub(crate) session: Option<String>,
    /// Only what this proxy saw
    #[arg(long, value_name = "NAME")]
    proxy: Option<String>,
    /// Only requests that failed: errors, timeouts, and tools that reported a failure
    #[arg(long)]
    errors: bool,
    /// Only requests that took longer: 250us, 100ms, 1.5s
    #[arg(long, value_name = "TIME", value_parser = moment::parse_latency_us)]
    slower_than: Option<i64>,
}

impl RequestArgs {
    /// The filter, with the session's whole id in place of what was typed, and no limit.
    pub(crate) fn filter(&self, session_id: Option<String>) -> RequestFilter {
        RequestFilter {
            span: self.span.span(),
            proxy: self.proxy.clone(),
            method: self.method.clone(),
            tool: self.tool.clone(),
            status: self.status.map(Status::from),
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

/// How much of the answer is shown, and in which form.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// At most so many rows; 0 for all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
    /// One JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
}

impl ShowArgs {
    /// The limit, if there is one.
    pub(crate) fn limit(&self) -> Option<u64> {
        (self.limit > 0).then_some(self.limit)
    }
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
    #[arg(long, value_name = "FILE", requires = "plan")]
    pub(crate) config: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    /// Make the whole database anew from the log
    #[arg(long)]
    pub(crate) from_log: bool,
    /// One JSON object in place of a sentence
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SessionsArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// Only this session; the beginning of its id is enough
    #[arg(long, value_name = "ID", conflicts_with = "clients")]
    pub(crate) session: Option<String>,
    /// Only sessions of the client with this name
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only what this proxy saw
    #[arg(long, value_name = "NAME")]
    proxy: Option<String>,
    /// Only sessions in which a request failed
    #[arg(long)]
    errors: bool,
    /// One line per client instead of one per session
    #[arg(long)]
    pub(crate) clients: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

impl SessionsArgs {
    /// The filter, with the session's whole id in place of what was typed, and no limit.
    pub(crate) fn filter(&self, session_id: Option<String>) -> SessionFilter {
        SessionFilter {
            span: self.span.span(),
            proxy: self.proxy.clone(),
            client_name: self.client.clone(),
            session_id,
            errors_only: self.errors,
            limit: None,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct UnusedArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// Only tools behind this proxy
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy: Option<String>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    /// What changed, instead of what is
    #[arg(long)]
    pub(crate) changes: bool,
    #[command(flatten)]
    pub(crate) span: SpanArgs,
    /// Only the result of this method, such as tools/list
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Only what this proxy saw
    #[arg(long, value_name = "NAME")]
    proxy: Option<String>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

impl SchemaArgs {
    /// The filter, without a limit.
    pub(crate) fn filter(&self) -> SchemaFilter {
        SchemaFilter { span: self.span.span(), proxy: self.proxy.clone(), method: self.method.clone(), limit: None }
    }
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    pub(crate) store: DirArgs,
    /// Keep the log after it is folded, for wal-inspect and for rebuilding
    #[arg(long)]
    pub(crate) keep_segments: bool,
    /// Let requests go that are older, in milliseconds
    ///
    /// While the import runs; what is left goes when the store is opened with such a limit again.
    #[arg(long, value_name = "MS")]
    pub(crate) keep_rows_age_ms: Option<u64>,
    /// Let the oldest requests go where the database would get larger
    #[arg(long, value_name = "BYTES")]
    pub(crate) database_bytes_max: Option<u64>,
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
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_a_terminal() {
        let mut command = Cli::command().term_width(80);
        let help = command.render_long_help().to_string();
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }

    #[test]
    fn filters_carry_what_was_typed() {
        let line = "mcplog logs --tool t --method m --status timeout --proxy p --errors --slower-than 1ms --limit 0";
        let Command::Logs(args) = Cli::parse_from(line.split(' ')).command else { panic!("not logs") };
        let filter = args.requests.filter(Some("whole".into()));
        let expected = RequestFilter {
            tool: Some("t".into()),
            method: Some("m".into()),
            status: Some(Status::Timeout),
            proxy: Some("p".into()),
            session_id: Some("whole".into()),
            errors_only: true,
            slower_than_us: Some(1_000),
            ..RequestFilter::default()
        };
        assert_eq!(filter, expected);
        assert_eq!(args.show.limit(), None);
    }
}
