//! What `mcplog wrap` can be told, and its help.
//!
//! Declarations only.

use clap::Args;
use mcplog_terminal::duration;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  mcplog wrap -- npx -y @scope/my-server
  mcplog wrap --name files -- uvx mcp-server-git --repository .
  mcplog wrap --dir ./mcplog-data -- python -m my_server

In a client's configuration, in the place of the server's own command:
  {\"command\": \"/usr/local/bin/mcplog\",
   \"args\": [\"wrap\", \"--\", \"npx\", \"-y\", \"my-server\"]}

Then `mcplog logs`, `sessions`, `stats` and `schema` show what passed, also
while the server runs.

What passes is not changed, held back or waited for: standard input, output and
errors go through as they come. Where nothing can be recorded, the server works
all the same, and standard error says why, once.

The name is what every row says of the server. Without --name it is the package
or the program that is started, and never the launcher before it, nor one of its
arguments.

Signals are passed on to the server, and its exit code is the wrapper's; where a
signal ended it, the wrapper ends in the same way. Once the client is gone, the
server's input ends, after --grace SIGTERM follows, and after as much again
SIGKILL, to it and to all that it started. A client that only stops sending and
still reads is waited for.

Exit codes: the server's; 127 where there is no such program, 126 where it can't
be run, 1 for wrong usage.";

/// Stand between a client and the stdio server that it starts, and record what passes
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct WrapArgs {
    /// What the server is called in every row [default: the package or program that is started]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(super) name: Option<String>,
    // No default that may be missing: without a place for a store the server is to start all the same.
    /// The store's directory [default: where every command looks: MCPLOG_DIR, else a place under HOME]
    #[arg(short, long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Leave out of rows in which words the server failed: its errors, and the last lines of its standard error
    #[arg(long)]
    pub(super) no_error_text: bool,
    /// How long the server may take to end once its client is gone
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_grace)]
    pub(super) grace: Duration,
    /// Leave the server in the wrapper's process group, so that it can read from the terminal
    ///
    /// For a server that asks for a password there (ssh, sudo). Only the server itself is then told signals and ended, and
    /// not what it started.
    #[arg(long)]
    pub(super) foreground: bool,
    /// Say nothing on standard error, also where nothing is recorded
    #[arg(short, long)]
    pub(super) quiet: bool,
    /// The server's command, after --
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

fn parse_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("expected a name".to_owned()),
        name => Ok(name.to_owned()),
    }
}

fn parse_grace(text: &str) -> Result<Duration, String> {
    let microseconds = duration::parse_us(text)?;
    Ok(Duration::from_micros(u64::try_from(microseconds).unwrap_or(0)))
}
