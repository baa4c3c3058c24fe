//! What the command line says. Pure; `--help` is written here.

use crate::read::filter::Filter;
use crate::read::writer_prefix::WriterPrefix;
use crate::show::presenter::Presentation;
use clap::{Args, Parser, Subcommand};
use mcplog_terminal::colour::Colour;
use std::path::PathBuf;

macro_rules! with_exit_codes {
    ($examples:literal) => {
        concat!(
            $examples,
            "\n\nExit codes:\n  0  sound\n  1  wrong usage, or something could not be read\n  2  attention: what a \
             crash leaves, such as a torn tail\n  3  damaged: bytes that were safe on disk are not what they \
             were, or records\n     are lost"
        )
    };
}

/// Lists, dumps, verifies and follows the logs of an mcplog store
///
/// PATH is a store's directory (the one with `wal` in it), its `wal` directory, the folder of one writer in there, or a
/// segment file. Without it, the store is that of `mcplog`: $MCPLOG_DIR, else mcplog in $XDG_DATA_HOME or ~/.local/share (on
/// macOS, in ~/Library/Application Support). Each process that records has a log of its own, named by its writer id.
/// wal-inspect only reads: it repairs nothing, leaves no file behind, and never disturbs a process that records. To ask
/// whether that lives, it tries the lock of its folder for an instant. The database beside `wal` is asked how far the logs are
/// folded.
#[derive(Debug, Parser)]
#[command(name = "wal-inspect", version, max_term_width = 80, disable_help_subcommand = true)]
#[command(after_help = with_exit_codes!("Examples:\n  wal-inspect list\n  wal-inspect tail --follow\n  wal-inspect verify && echo sound"))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// When to use colours
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) color: Colour,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the segments: what is in them, how far they are durable, what is wrong with them
    ///
    /// Quick: it believes what a segment's durable mark vouches for. `verify` reads everything.
    #[command(after_help = with_exit_codes!("Examples:\n  wal-inspect list\n  wal-inspect list --json | jq 'select(.state == \"active\")'"))]
    List(ListArguments),
    /// Prints the records in order
    ///
    /// Of a log, those that the store reads, each once; of a segment file that is named, all of them. Several logs are merged
    /// by the times of their records, and by writer where those are equal. That is no order of cause and effect: each
    /// writer's own records are in order, and what two writers did at about the same time, no clock tells apart.
    #[command(after_help = with_exit_codes!("Examples:\n  wal-inspect dump | less -S\n  wal-inspect dump --tool search --status error --since 1h\n  wal-inspect dump --from-sequence 1200 --limit 1 --full --hex\n  wal-inspect dump --writer 0197a1c0 --json\n  wal-inspect dump --json | mcplog ingest --dir ./copy -"))]
    Dump(DumpArguments),
    /// Reads everything and says whether it is sound
    ///
    /// Every checksum, every record, every mark, and whether records are missing: those that the database has folded are not.
    /// Of logs that are folded and gone it says nothing: `mcplog check` tells what was lost with those.
    #[command(after_help = with_exit_codes!("Examples:\n  wal-inspect verify\n  wal-inspect verify --quiet ~/.local/share/mcplog/quarantine"))]
    Verify(VerifyArguments),
    /// Prints the last records, and with --follow every new one as it is recorded
    ///
    /// Follows a store's writers from segment to segment, those that begin later included. If segments were deleted after
    /// folding before they could be read, it says which records that were. Ctrl-C ends it.
    #[command(after_help = with_exit_codes!("Examples:\n  wal-inspect tail\n  wal-inspect tail --follow --kind request --status error\n  wal-inspect tail -f -n 0 --json | jq .tool"))]
    Tail(TailArguments),
    /// Explains the JSON output
    Json,
}

impl Command {
    /// Whether it is about a log, and no path says which.
    pub(crate) fn names_no_log(&self) -> bool {
        match self {
            Self::List(arguments) => arguments.paths.is_empty(),
            Self::Dump(arguments) => arguments.paths.is_empty(),
            Self::Verify(arguments) => arguments.paths.is_empty(),
            Self::Tail(arguments) => arguments.path.is_none(),
            Self::Json => false,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// Stores, wal directories, folders of writers or segment files; without any, the store where mcplog looks for one
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Of the logs in a directory, those whose writer ids begin so
    #[arg(long, value_name = "PREFIX")]
    pub(crate) writer: Option<WriterPrefix>,
    /// One JSON object per line (see `wal-inspect json`)
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DumpArguments {
    /// Stores, wal directories, folders of writers or segment files; without any, the store where mcplog looks for one
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Of the logs in a directory, those whose writer ids begin so
    #[arg(long, value_name = "PREFIX")]
    pub(crate) writer: Option<WriterPrefix>,
    /// No more than so many records
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) presentation: Presentation,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    /// Stores, wal directories, folders of writers or segment files; without any, the store where mcplog looks for one
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Of the logs in a directory, those whose writer ids begin so
    #[arg(long, value_name = "PREFIX")]
    pub(crate) writer: Option<WriterPrefix>,
    /// One JSON object per line (see `wal-inspect json`)
    #[arg(long)]
    pub(crate) json: bool,
    /// Only what is wrong, and the summary
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Args, Debug)]
pub(crate) struct TailArguments {
    /// Store, wal directory, folder of a writer or segment file; without it, the store where mcplog looks for one
    #[arg(value_name = "PATH")]
    pub(crate) path: Option<PathBuf>,
    /// Of the logs in a directory, those whose writer ids begin so
    #[arg(long, value_name = "PREFIX")]
    pub(crate) writer: Option<WriterPrefix>,
    /// Go on with every new record, until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many of the last records to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) presentation: Presentation,
    #[command(flatten)]
    pub(crate) filter: Filter,
}
