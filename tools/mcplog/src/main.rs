//! The mcplog command: parses the command line, runs one command, chooses the exit code.
//!
//! The main thread. It must not print anything itself but errors.

mod arguments;
mod attach;
mod cli;
mod command;
mod dir_args;
mod error;
mod proxy;
mod recording;
mod waiting;
mod wrap;

use cli::{Cli, Command};
use error::{CliError, EXIT_ERROR, EXIT_OK};
use mcplog_terminal::help;
use mcplog_terminal::output::{Leavable, Unheeded};
use mcplog_terminal::view::View;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match help::try_parse::<Cli>() {
        Ok(cli) => cli,
        Err(error) => {
            // Help into a closed pipe (`| head`) is nobody's loss. Clap would exit with 2 for wrong usage, which means
            // something else here.
            let is_lost = error.print().is_err_and(|error| error.kind() != ErrorKind::BrokenPipe);
            return ExitCode::from(if is_lost || error.use_stderr() { EXIT_ERROR } else { EXIT_OK });
        }
    };
    cli.color.apply();
    let store = cli.command.store().cloned();
    let told = |error: CliError| match &store {
        Some(store) => error.of_store(store),
        None => error,
    };
    run(cli.command).map_err(told).map_or_else(|error| error.report(), ExitCode::from)
}

fn run(command: Command) -> Result<u8, CliError> {
    // First of all: it has a server to start, and the view looks for the time zone in some dozen directories.
    let command = match command {
        Command::Wrap(args) => return Ok(wrap::run(*args)),
        other => other,
    };
    let view = View::of_stdout();
    // Colours go away by themselves where nobody would see them (a pipe, NO_COLOR).
    let stdout = || BufWriter::new(anstream::AutoStream::auto(io::stdout().lock()));
    match command {
        // What it says, others write: this thread must not hold standard output.
        Command::Proxy(args) => {
            proxy::run(args).map_err(|why| CliError::NotRun(proxy::chain(&why.error), why.format))?;
            Ok(EXIT_OK)
        }
        // Their work is done when they print, and the exit code says how it went.
        Command::Ingest(args) => finish(Leavable::new(stdout()), |out| command::ingest::run(&args, out)),
        Command::Check(args) => finish(Leavable::new(stdout()), |out| command::check::run(&args, &view, out)),
        Command::Backup(args) => finish(Leavable::new(stdout()), |out| command::backup::run(&args, out)),
        Command::Rebuild(args) => finish(Leavable::new(stdout()), |out| command::rebuild::run(&args, &view, out)),
        Command::Attach(args) => {
            finish(Leavable::new(stdout()), |out| attach::attach(&args, &view, out, &mut Unheeded(anstream::stderr())))
        }
        Command::Detach(args) => finish(Leavable::new(stdout()), |out| attach::detach(&args, &view, out)),
        Command::Attached(args) => finish(stdout(), |out| attach::attached(&args, &view, out)),
        Command::Demo(args) => finish(Leavable::new(stdout()), |out| command::demo::run(&args, &view, out)),
        query => finish(stdout(), |out| ask(&query, &view, out)),
    }
}

/// Runs a command that shows what is on record. It has nothing to do any more when nobody reads on.
fn ask(command: &Command, view: &View, out: &mut dyn Write) -> Result<u8, CliError> {
    let mut notes = Unheeded(anstream::stderr());
    let answered: command::Answered = match command {
        Command::Logs(args) => command::logs::run(args, view, out, &mut notes)?,
        Command::Slow(args) => command::slow::run(args, view, out, &mut notes)?,
        Command::Stats(args) => command::stats::run(args, view, out, &mut notes)?,
        Command::Sessions(args) => command::sessions::run(args, view, out, &mut notes)?,
        Command::Unused(args) => command::unused::run(args, view, out, &mut notes)?,
        Command::Schema(args) => command::schema::run(args, view, out, &mut notes)?,
        Command::Writers(args) => command::writers::run(args, view, out, &mut notes)?,
        Command::Proxy(_)
        | Command::Wrap(_)
        | Command::Attach(_)
        | Command::Detach(_)
        | Command::Attached(_)
        | Command::Ingest(_)
        | Command::Check(_)
        | Command::Backup(_)
        | Command::Rebuild(_)
        | Command::Demo(_) => return Ok(EXIT_OK),
    };
    Ok(answered.exit_code())
}

/// Runs a command, and makes sure that what it printed is out.
fn finish(mut out: impl Write, run: impl FnOnce(&mut dyn Write) -> Result<u8, CliError>) -> Result<u8, CliError> {
    let code = run(&mut out)?;
    out.flush()?;
    Ok(code)
}
