//! The mcplog command: parses the command line, runs one command, chooses the exit code.
//!
//! The main thread. It must not print anything itself but errors.

mod arguments;
mod cli;
mod command;
mod error;
mod proxy;

use clap::Parser;
use cli::{Cli, Command};
use error::{CliError, EXIT_ERROR, EXIT_OK};
use mcplog_terminal::view::View;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help that can't be printed (`| head`) is nobody's loss. Clap would exit with 2 for wrong usage, which
            // means something else here.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { EXIT_ERROR } else { EXIT_OK });
        }
    };
    cli.color.apply();
    run(cli.command).map_or_else(|error| error.report(), ExitCode::from)
}

fn run(command: Command) -> Result<u8, CliError> {
    let view = View::of_stdout();
    // Colours go away by themselves where nobody would see them (a pipe, NO_COLOR).
    let mut out = BufWriter::new(anstream::AutoStream::auto(io::stdout().lock()));
    let mut notes = anstream::stderr();
    match command {
        Command::Logs(args) => command::logs::run(&args, &view, &mut out, &mut notes)?,
        Command::Slow(args) => command::slow::run(&args, &view, &mut out, &mut notes)?,
        Command::Stats(args) => command::stats::run(&args, &view, &mut out, &mut notes)?,
        Command::Sessions(args) => command::sessions::run(&args, &view, &mut out, &mut notes)?,
        Command::Unused(args) => command::unused::run(&args, &view, &mut out, &mut notes)?,
        Command::Schema(args) => command::schema::run(&args, &view, &mut out, &mut notes)?,
        Command::Proxy(args) => {
            proxy::run(args, &mut out).map_err(|error| CliError::Failed(proxy::chain(&error)))?;
        }
        Command::Ingest(args) => return command::ingest::run(&args, &mut out),
        Command::Check(args) => {
            let code = command::check::run(&args, &view, &mut out)?;
            out.flush()?;
            return Ok(code);
        }
        Command::Rebuild(args) => command::rebuild::run(&args, &view, &mut out)?,
        Command::Demo(args) => command::demo::run(&args, &view, &mut out)?,
    }
    out.flush()?;
    Ok(EXIT_OK)
}
