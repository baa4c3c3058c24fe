//! The command line: the commands and their help.
//!
//! Declarations only; options are in [`crate::arguments`], what a command does is in [`crate::command`].

use crate::arguments::{
    BackupArgs, CheckArgs, DemoArgs, IngestArgs, LogsArgs, RebuildArgs, RequestsArgs, SchemaArgs, SessionsArgs,
    UnusedArgs, WritersArgs,
};
use crate::attach::{AttachArgs, AttachedArgs, DetachArgs};
use crate::dir_args::DirArgs;
use clap::{Parser, Subcommand};
use mcplog_terminal::colour::Colour;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    wrong usage, no store, or something can't be read or written
  2    ingest: done, but some lines were no events; check: attention; attach,
       detach, attached: done in part
  3    check: damaged
  130  interrupted: ingest, backup, or records being folded first (--fold)

An answer that lacks something ends with what it lacks: records that wait in the
log, events that are known to be lost, what has expired. In JSON the last line
always says so, {\"answer\":{..}}; for jq, select(has(\"answer\") | not) leaves it
out. docs/json.md explains every field; `wal-inspect json` shows it.";

/// Records MCP traffic, and shows what it recorded.
#[derive(Debug, Parser)]
#[command(name = "mcplog", version, max_term_width = 80, after_help = EXIT_CODES, subcommand_required = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, display_order = 900)]
    pub(crate) color: Colour,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Proxy(crate::proxy::ProxyArgs),

    Wrap(Box<crate::wrap::WrapArgs>),

    /// Watch mcplog at work: a real MCP server, real clients, and the recording proxy between them
    #[command(after_help = "\
Examples:
  mcplog demo                    into a fresh directory, which it names
  mcplog demo --dir ./try-it     into ./try-it

It listens on loopback ports only, takes a few seconds, and leaves its data
where it says.")]
    Demo(DemoArgs),

    /// Put mcplog in front of the servers that a client starts, or asks
    #[command(after_help = ATTACH_HELP)]
    Attach(AttachArgs),

    /// Undo `attach`
    #[command(after_help = DETACH_HELP)]
    Detach(DetachArgs),

    /// Show which servers are attached, and what was recorded of each last
    #[command(after_help = ATTACHED_HELP)]
    Attached(AttachedArgs),

    /// Show requests, the newest last
    #[command(after_help = "\
Examples:
  mcplog logs                            the newest 50 requests
  mcplog logs --errors --since 2h        what went wrong in the last two hours
  mcplog logs --tool search --slower-than 500ms
  mcplog logs --session 0197a1c0         one session: the beginning of its id
  mcplog logs -f --errors                what goes wrong from now on
  mcplog logs --outcome cancelled        what clients took back
  mcplog logs --direction server         what servers asked their clients
  mcplog logs --limit 0 --json | jq -r 'select(.status == \"error\") | .error_msg'

An arrow (←) before the method marks what the server asked: sampling,
elicitation, roots. Its latency is that of the client, or of its user.

With --follow, new rows come in the order in which they were recorded, each
once, within a second. It goes on when the proxy is restarted, waits for a store
that is not there yet, and says on standard error when events were lost. Ctrl-C
ends it, with exit code 0.

JSON fields: id, request_id, ts, proxy, session_id, client_name, method, tool,
target, latency_us, status, tool_error, error_code, error_msg, bytes_in,
bytes_out, protocol_version, rpc_id, http_status, transport, endpoint, outcome,
cause, direction, principal, trace_id, parent_span_id, retry_of, input_wait_us,
notes. Times are Unix milliseconds UTC, latencies microseconds, sizes bytes;
what is not known is null.")]
    Logs(LogsArgs),

    /// Show the slowest requests, the slowest first
    #[command(after_help = "\
Examples:
  mcplog slow                            the slowest 50 requests on record
  mcplog slow --since 1d --limit 10      the slowest ten of the last day
  mcplog slow --tool search --status ok
  mcplog slow --json | jq -r 'select(.id) | [.latency_us, .request_id] | @tsv'

Of equally slow requests, the newest comes first. A subscription lasts as long
as its client likes, and is never slow. What servers ask waits for the client,
or for its user, and is left out; --direction server shows that alone.

JSON fields: those of `mcplog logs`.")]
    Slow(RequestsArgs),

    /// Show how often each tool was called, how slow it was, and how it failed
    #[command(after_help = "\
Examples:
  mcplog stats                     everything on record
  mcplog stats --since 1h          the last hour
  mcplog stats --tool search --session 0197a1c0
  mcplog stats --json | jq -r 'select(.calls) | [.tool, .p99_us] | @tsv'

ERRORS counts failures: JSON-RPC errors, broken exchanges, timeouts among them.
ISERROR counts results in which the tool itself reported a failure. The last
line says how all of them ended, whatever --limit shows; docs/counting.md says
what counts as what. P50, P95 and P99 are latencies that half, 95 % and 99 % did
not exceed; over more than 4,000 requests they are within 1 % of these. All else
is exact. Where a proxy stands before several servers, each tool of each of them
has a line, and ENDPOINT says whose it is. SERVER ASKED is what servers asked
their clients: its latencies are those of clients and their users.

JSON fields: proxy, method, tool, endpoint, direction, calls, errors, timeouts,
tool_errors, cancelled, probes, redirected, ended, input_required, lost, p50_us,
p95_us, p99_us, max_us, bytes_in, bytes_out, first_ts, last_ts. Latencies are
microseconds, null where there is none; times are Unix milliseconds UTC.")]
    Stats(RequestsArgs),

    /// Show sessions and the clients behind them
    #[command(after_help = "\
Examples:
  mcplog sessions                  the newest 50 sessions
  mcplog sessions --since 7d --errors
  mcplog sessions --clients        one line per client instead
  mcplog sessions --json | jq -r '.session_id // empty'

A session that was not closed counts as idle once it has been silent for as long
as the proxy that recorded it was told (session_idle). A session marked ~ was
derived by the proxy, because that revision of the protocol has none. ERRORS
counts failures, timeouts among them, and ISERROR tool errors, as in stats.
NOISE, which is there only if a session has any, counts the lines that a wrapped
server wrote on its standard output and that are no messages.

JSON fields: session_id, proxy, started_at, last_seen_at, ended_at, closed_at,
client_name, client_version, client_platform, protocol_version, derived,
total_calls, total_errors, total_tool_errors, noise_lines. With --clients:
client_name, client_version, client_platform, sessions, open_sessions,
total_calls, total_errors, total_tool_errors, first_seen_at, last_seen_at.")]
    Sessions(SessionsArgs),

    /// Show tools that servers offer and nobody called
    #[command(after_help = "\
Examples:
  mcplog unused                    never called, as far as is on record
  mcplog unused --since 30d        not called for thirty days
  mcplog unused --json | jq -r 'select(.last_called_at == null).tool // empty'

What servers offer is what their current tools/list says, and a call is of the
server whose path was asked. LAST CALLED is about
all that is on record, also outside of the times that were asked about.

JSON fields: proxy, upstream_url, tool, first_seen_at, last_called_at. Times are
Unix milliseconds UTC; last_called_at is null for a tool that was never called.")]
    Unused(UnusedArgs),

    /// Show what servers offer, and how it changed
    #[command(after_help = "\
Examples:
  mcplog schema                    what is offered at present, and to whom
  mcplog schema --changes          what changed, and when
  mcplog schema --method tools/list --json \\
    | jq -r '.payload // empty | fromjson | .tools[].name'

A server that offers different things to different callers has a line for each
variant. A caller is auth- and a digest where there is a credential, else the
client's name.

JSON fields: id, proxy, upstream_url, method, schema_hash, captured_at, callers,
payload (JSON text). With --changes: id, detected_at, proxy, upstream_url,
method, change_type, item_name, old_hash, new_hash, caller.")]
    Schema(SchemaArgs),

    /// Show which processes record into the store, or did
    #[command(after_help = "\
Examples:
  mcplog writers                   the 50 that started last
  mcplog writers --since 1d        those that recorded since yesterday
  mcplog writers --json | jq -r 'select(.state == \"died\").writer_id'
  wal-inspect dump --writer 0192f0c1
                                   what the log of one of them still has

A writer is one life of a process: started anew, it is another one. RECORDS is
how many of its records are folded. STATE: recording, closed (it ended in good
order), died, ended (its log is still being folded, which says how), or unknown
(nobody can tell, as of another machine's process on a network file system).
(writer_id, sequence) names an event for ever.

JSON fields: writer_id, process_id, host, program, program_version, started_at,
last_seen_at (its newest event), ended_at, ended (closed, died), folded_records,
state (recording, closed, died, ended, unknown). Times are Unix milliseconds
UTC.")]
    Writers(WritersArgs),

    /// Say whether a store is sound: its log, its database, and how they fit together
    #[command(after_help = "\
Examples:
  mcplog check                     everything; reads the whole store
  mcplog check --quick             without what takes longest
  mcplog check --json \\
    | jq -r '.findings[] | [.verdict, .file, .offset, .reason] | @tsv'
  mcplog check --plan --config proxy.toml
                                   what a store with these limits is to let go

It only reads, also while a proxy records. `wal-inspect verify` and `wal-inspect
dump` show more of a damaged log, `mcplog rebuild` mends a database.

Exit codes: 0 sound, 2 attention (nothing durable is lost: the next opening sees
to it, or somebody should), 3 damaged, 1 no store, or something can't be read.

JSON fields: in_use, segments, log_bytes, records, unfolded_records,
lost_records, requests, sessions, database_bytes, dropped_events,
quarantined_records, unreadable_files, newer_records, limits (keep_rows_age_ms,
database_bytes_max, keep_segments_bytes, keep_segments_age_ms, session_idle_ms),
clock_steps, clock_ahead_ms, quarantine_files, findings (kind, verdict, file,
offset, bytes, sequence, records, reason, next_step), verdict (sound, attention,
unreadable, damaged).
With --plan: limits, segments (writer, segment, file, bytes, fate), expiry (age,
size, under_way), kept_since, rows (table, rows), clock_ahead_ms.")]
    Check(CheckArgs),

    /// Copy a store, also while a proxy records into it
    #[command(after_help = "\
Examples:
  mcplog backup ./monday           a copy of the store
  mcplog backup -d ./other-data /mnt/backups/other
  mcplog backup ./monday && mcplog logs -d ./monday

The copy is the store as it was at a moment since the command began: its
database, the logs that wait to be folded, kept segments and quarantine/. It is
made beside its place, checked, synced and then renamed; on Ctrl-C, or where the
disk is full, nothing of it is left. Nobody who records waits for it.
`cp store.db` is no backup: what was recorded last lies beside that file for
some seconds, and in the log.

To go back, stop what records, move the old directory away, and put the copy in
its place.

Exit codes: 0 done, 1 no copy, 130 interrupted.

JSON fields: dir, began_at, requests, sessions, database_bytes, segments,
log_bytes.")]
    Backup(BackupArgs),

    /// Make the database anew: from its rows, from the log, or from what can be read of both
    #[command(after_help = "\
Examples:
  mcplog rebuild --dry-run         what there is, and what would be done
  mcplog rebuild
  mcplog rebuild --from-log        from the kept segments alone, in any case
  mcplog rebuild --keep 30d        where the old limits can't be read
  mcplog rebuild --json

It says first what the database and the log hold. Where the database is sound,
roll-ups and the sums of sessions are computed from its rows, and records that
wait in the log are folded. Where it is damaged, a new one is made from the log
and what can be read of the old one, each row once; where it is gone, from the
log. Nothing is done where rows would be lost, unless --accept-loss says so.

A new database takes the place of the old one at the end, in one step: readers
see the old rows or the new ones, and whatever ends the command before leaves
all as it was. Of a damaged one, or one with more in it, quarantine/ has a copy;
`sqlite3 quarantine/store.db.1 .recover` may get more out of it. It takes the
room of the new database twice, and of such a copy. Who records goes on
meanwhile; what comes is folded afterwards.

The new database keeps what the old one was told to keep, and what had expired
there does not come back from the log, unless --keep or --max-size is told anew.

Exit codes: 0 done, 1 not done (rows would be lost, an error), 130 interrupted.

JSON fields: from (rows, log, salvage), found, left_logs. From rows: requests,
sessions, rollups, folded_records. Otherwise: requests, sessions,
salvaged_requests, segments, records_before_log, expired_requests, kept_since,
limits, limits_from (told, old_database, unknown), losses, moved_to. `found`,
and the object of --dry-run and of a refusal: action (rows, log, salvage),
database, log, losses, in_use.")]
    Rebuild(RebuildArgs),

    /// Record events from JSON lines, over the same path that the proxy uses
    #[command(after_long_help = INGEST_HELP)]
    Ingest(IngestArgs),
}

impl Command {
    /// Where the store is, of a command that looks for one.
    pub(crate) fn store(&self) -> Option<&DirArgs> {
        match self {
            // Those of clients' configurations need no store.
            Self::Proxy(_) | Self::Wrap(_) | Self::Demo(_) | Self::Attach(_) | Self::Detach(_) | Self::Attached(_) => {
                None
            }
            Self::Logs(args) => Some(&args.rows.store),
            Self::Slow(args) | Self::Stats(args) => Some(&args.store),
            Self::Sessions(args) => Some(&args.store),
            Self::Unused(args) => Some(&args.store),
            Self::Writers(args) => Some(&args.store),
            Self::Schema(args) => Some(&args.store),
            Self::Check(args) => Some(&args.store),
            Self::Backup(args) => Some(&args.store),
            Self::Rebuild(args) => Some(&args.store),
            Self::Ingest(args) => Some(&args.store),
        }
    }
}

const ATTACH_HELP: &str = "\
Examples:
  mcplog attach claude-code        all servers that it starts
  mcplog attach cursor github      one of them
  mcplog attach vscode --dry-run   what would change, as a diff
  mcplog attach gemini docs --via http://127.0.0.1:3000/mcp
                                   a server that is asked over HTTP, through a
                                   proxy that runs there

A server's command becomes `mcplog wrap --name SERVER -- COMMAND...`, by the
absolute path of this mcplog; its name in the client is its name on record.
Nothing else of the file changes, comments and order included, and nothing is
started. With --via, the given address takes the place of the server's own.

Servers of the project's files and of the user's are attached in both. What is
attached already stays as it is. A copy of each file from before a change lies
in ~/.local/state/mcplog/backups ($XDG_STATE_HOME). Clients read their files
when they start, so that most of them have to be restarted. docs/attach.md has
the files of each client, and more.

Exit codes: 0 attached, or already so; 1 nothing is attached (no such server, no
file, an error); 2 done in part: a named server can't be attached so, or a file
can't be changed.

JSON fields: client, file, scope (project, user), server, outcome (attached,
renewed, already_attached, not_attached), how (wrap, via), reason, disabled,
changed, backup.";

const DETACH_HELP: &str = "\
Examples:
  mcplog detach claude-code        all that is attached, in every project
  mcplog detach cursor github      one server
  mcplog detach zed --dry-run      what would change, as a diff

The entry is as it was, byte for byte; what was changed meanwhile elsewhere in
the file stays. Where the entry itself was changed, `mcplog wrap` is taken off
its command, and the rest stays. It makes no difference which mcplog attached,
and where that lies.

Exit codes: 0 detached, or not attached; 1 nothing is detached (no such server,
an error); 2 done in part.

JSON fields: those of `mcplog attach`; outcome: detached, not_attached,
forgotten, not_detached.";

const ATTACHED_HELP: &str = "\
Examples:
  mcplog attached                  everything
  mcplog attached cursor --json | jq -r 'select(.last_session == null).server'

It looks into the files of all clients that are found from here, and those in
which something was attached. LAST SESSION is the latest one on record under the
server's name, of that client if there is one; a server that was never recorded
since it was attached waits for its client to be restarted.

Exit codes: 0 done, 1 an error, 2 a file or a store can't be read.

JSON fields: client, file, scope, server, how (wrap, via), through, is_missing,
disabled, name, dir, attached_at, last_session (session_id, started_at,
last_seen_at, calls, client_name), recorded_since. Times are Unix milliseconds
UTC; what is not known is null.";

const INGEST_HELP: &str = "\
Examples:
  mcplog ingest --dir ./imported events.jsonl
  mcplog ingest --dir ./imported old.jsonl.gz
  mcplog ingest --keep-segments events.jsonl && wal-inspect list

One JSON object per line; the lines are recorded in their order. `type` says
which event it is; fields with ? may be absent or null; fields that are not
listed are ignored.

  request         request_id, ts, proxy, method, latency_us,
                  status (ok, error, timeout), session_id?, tool?, error_code?,
                  error_msg?, bytes_in?, bytes_out?, tool_error?, target?,
                  protocol_version?, rpc_id?, http_status?, transport? (http,
                  sse, stdio), endpoint?, outcome?, cause?, direction? (client,
                  server), principal?, trace_id?, parent_span_id?, retry_of?,
                  input_wait_us?, notes? (names)
  session         session_id, proxy, started_at, client_name?, client_version?,
                  client_platform?, protocol_version?, derived?
  session_closed  session_id, ended_at
  schema_version  ts, proxy, upstream_url, method, payload? (JSON as a string),
                  content_hash, caller?

Times are Unix milliseconds UTC of the years 2000 to 2099, latencies
microseconds, sizes bytes, all of them whole numbers. What is packed with gzip
or zstd is unpacked. Blank lines are skipped, and what a log says of itself
(gap, clock_step, writer_began, writer_ended: `wal-inspect dump --json` prints
it). A bad line (no JSON, an unknown type, a missing or wrong field, a time in
seconds, more than 16 MiB) is reported with its number and left out; the rest
goes on, and the exit code is 2. The same request_id is kept once, so that
importing a file twice does no harm. On Ctrl-C, what was read until then is
kept, and the exit code is 130. Others may record into the same store meanwhile.";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// Clap breaks what is longer than the terminal; what we broke already would be broken twice.
    #[test]
    fn no_help_is_wider_than_80_columns_and_none_is_broken_twice() {
        fn check(mut command: clap::Command) {
            for text in [command.get_after_help(), command.get_after_long_help()].into_iter().flatten() {
                for line in text.to_string().lines() {
                    assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
                }
            }
            for line in command.render_long_help().to_string().lines() {
                // A list of possible values is never broken.
                let is_whole = line.chars().count() <= 80 || line.trim_start().starts_with("[possible values");
                assert!(is_whole, "{}: {line}", command.get_name());
            }
            command.get_subcommands().cloned().for_each(check);
        }
        let mut command = Cli::command();
        command.build();
        check(command);
    }

    #[test]
    fn in_a_narrow_terminal_no_help_is_wider_and_no_word_of_it_is_lost() {
        fn texts(command: &clap::Command) -> Vec<String> {
            let own = [command.get_after_help(), command.get_after_long_help()].into_iter().flatten();
            own.map(ToString::to_string).chain(command.get_subcommands().flat_map(texts)).collect()
        }
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let whole = texts(&Cli::command());
        for columns in [40, 60, 79] {
            let fitted = texts(&mcplog_terminal::help::fitted(Cli::command(), Some(columns)));
            assert_eq!(fitted.len(), whole.len());
            for (fitted, whole) in fitted.iter().zip(&whole) {
                assert_eq!(words(fitted), words(whole), "{columns}");
                assert!(fitted.lines().all(|line| line.chars().count() <= columns), "{columns}: {fitted}");
            }
        }
    }

    /// Every option of every command, the options of all commands among them.
    fn options() -> Vec<(String, clap::Arg)> {
        let mut command = Cli::command();
        command.build();
        let of = |command: &clap::Command| {
            let name = command.get_name().to_owned();
            command.get_arguments().map(|arg| (name.clone(), arg.clone())).collect::<Vec<_>>()
        };
        command.get_subcommands().filter(|command| command.get_name() != "help").flat_map(of).collect()
    }

    #[test]
    fn an_option_is_spelled_the_same_in_every_command() {
        let mut spellings = std::collections::BTreeMap::new();
        let mut letters = std::collections::BTreeMap::new();
        for (command, option) in options() {
            let Some(long) = option.get_long().map(str::to_owned) else { continue };
            let spelling = (option.get_short(), option.get_value_names().map(<[_]>::to_vec));
            let (first, expected) = spellings.entry(long.clone()).or_insert((command.clone(), spelling.clone()));
            assert_eq!(&spelling, expected, "--{long} of {command} and {first}");
            if let Some(letter) = option.get_short() {
                assert_eq!(letters.entry(letter).or_insert(long.clone()), &long, "-{letter} of {command}");
            }
        }
        for (long, letter) in [("dir", 'd'), ("limit", 'n'), ("follow", 'f'), ("config", 'c')] {
            assert_eq!(letters.get(&letter).map(String::as_str), Some(long));
        }
    }

    #[test]
    fn every_command_takes_what_all_commands_take() {
        let names: std::collections::BTreeSet<_> = options().into_iter().map(|(command, _)| command).collect();
        for name in &names {
            let has = |long: &str| options().iter().any(|(of, option)| of == name && option.get_long() == Some(long));
            // What was attached is found by what stands in the clients' files, wherever it recorded.
            assert!((has("dir") || name == "detach") && has("color"), "{name}");
        }
        assert!(names.len() > 8, "{names:?}");
    }
}
