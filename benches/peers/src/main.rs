//! mcplog beside everything that it could be compared with: one command, one table.

mod child;
mod competitor;
mod durable;
mod folding;
mod markdown;
mod number;
mod plan;
mod plot;
mod proxy;
mod queries;
mod report;
mod results;
mod roster;

use child::Children;
use clap::Parser;
use measure::job;
use measure::log::Failure;
use plan::Part;
use results::{Machine, Results, Run};
use roster::COMPETITORS;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Measures mcplog beside its predecessor, other logs and the floors, and prints one table.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  peers                                   everything, three rounds: about eight minutes
  peers --quick --only latency            one round of one part: about a minute
  peers --only loss --json peers.json     adds the runs to a file, from which
  peers proxy --json peers.json           the proxies: about four minutes
  peers report peers.json                 prints the table again,
  peers markdown peers.json               the README's tables, and
  peers plot peers.json                   draws docs/latency.svg and docs/loss.svg")]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Measures only this part; may be repeated.
    #[arg(long, value_name = "PART")]
    only: Vec<Part>,
    /// Makes one round instead of three.
    #[arg(long)]
    quick: bool,
    /// Adds all numbers to this file, and prints the table of all runs in it.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Puts the data here, instead of beside this program.
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Prints the table of a file that --json wrote.
    Report {
        /// The file.
        file: PathBuf,
    },
    /// Measures what the recording proxy costs, beside a plain one; needs wrk
    Proxy {
        /// Makes one round instead of three.
        #[arg(long)]
        quick: bool,
        /// How long each of the sixteen runs of a round takes.
        #[arg(long, value_name = "SECONDS", default_value_t = 3)]
        seconds: u32,
        /// Adds all numbers to this file, and prints the table of all runs in it.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Puts the data here, instead of beside this program.
        #[arg(long, value_name = "DIRECTORY")]
        data_dir: Option<PathBuf>,
    },
    #[command(hide = true)]
    ServeUpstream,
    #[command(hide = true)]
    ServePlain { upstream: SocketAddr },
    /// Prints the tables of such a file as they stand in README.md.
    Markdown {
        /// The file.
        file: PathBuf,
    },
    /// Draws latency.svg and loss.svg from such a file.
    Plot {
        /// The file.
        file: PathBuf,
        /// Where to.
        #[arg(long, value_name = "DIRECTORY", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs"))]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let done = match job::from_arguments() {
        Ok(Some(job)) => {
            job::answer(roster::run(&job));
            Ok(())
        }
        Ok(None) => command(Arguments::parse()),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn command(arguments: Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Some(Command::Report { file }) => print!("{}", report::report(&Results::load(file)?)),
        Some(Command::Markdown { file }) => print!("{}", markdown::markdown(&Results::load(file)?)),
        Some(Command::Plot { file, out }) => plot::plot(&Results::load(file)?, out)?,
        Some(Command::Proxy { quick, seconds, json, data_dir }) => {
            let mut results = json.as_deref().map_or_else(|| Ok(Results::default()), Results::load)?;
            results.machine = Machine::this();
            let rounds = if *quick { 1 } else { 3 };
            let (runs, at_rest) = proxy::measure(rounds, *seconds, data_dir.as_deref())?;
            results.proxy.extend(runs);
            results.at_rest = at_rest;
            if let Some(file) = json {
                results.save(file)?;
            }
            print!("{}{}", proxy::report(&results.proxy), proxy::report_at_rest(&results.at_rest));
        }
        Some(Command::ServeUpstream) => proxy::run_upstream()?,
        Some(Command::ServePlain { upstream }) => proxy::run_plain(*upstream)?,
        None => print!("{}", report::report(&measured(&arguments)?)),
    }
    Ok(())
}

/// Makes the runs; the file's earlier ones are among the results.
fn measured(arguments: &Arguments) -> Result<Results, Failure> {
    let mut results = arguments.json.as_deref().map_or_else(|| Ok(Results::default()), Results::load)?;
    results.machine = Machine::this();
    let children = Children::new(arguments.data_dir.as_deref())?;
    let rounds = if arguments.quick { 1 } else { 3 };
    for part in Part::ALL {
        if !arguments.only.is_empty() && !arguments.only.contains(&part) {
            continue;
        }
        for round in 0..part.rounds(rounds) {
            eprintln!("{part:?}, round {} of {}", round + 1, part.rounds(rounds));
            for task in part.tasks() {
                for competitor in COMPETITORS.iter().filter(|competitor| roster::takes_part(competitor, task)) {
                    let outcome = children.measure(competitor, task);
                    results.runs.push(Run { competitor: competitor.name.into(), task, outcome });
                }
            }
            if let Some(file) = &arguments.json {
                results.save(file)?;
            }
        }
    }
    Ok(results)
}
