//! What is said in the diagnostics, and how: the filter by level and target, and the format. Set up once, at the start.
//!
//! docs/operating.md lists the targets and what each level of them says. Nothing here is on the way of a request but the
//! macros of `tracing`, whose lines go to a thread of their own.

use anstream::{AutoStream, ColorChoice};
use mcplog_terminal::detached::Detached;
use mcplog_terminal::{json, moment, output};
use std::backtrace::Backtrace;
use std::io::{self, Write};
use std::os::fd::AsFd;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// What is said unless somebody asks for more.
pub(super) const LEVEL_DEFAULT: &str = "warn";
/// What the formats are called.
pub(super) const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A filter, as a flag, the file and `RUST_LOG` have it: a level, or levels of targets.
///
/// A word that is no level would be taken for a target, and say everything of what does not exist; so a target needs a level.
///
/// # Errors
/// What is expected.
pub(super) fn parse_level(text: &str) -> Result<String, String> {
    let is_level = |text: &str| !text.is_empty() && text.parse::<LevelFilter>().is_ok();
    let is_directive = |part: &str| match part.rsplit_once('=') {
        Some((target, level)) => !target.is_empty() && is_level(level),
        None => is_level(part),
    };
    if text.split(',').all(is_directive) && EnvFilter::try_new(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("expected a level (off, error, warn, info, debug, trace), or such of targets (warn,mcplog::index=debug)"
        .to_owned())
}

/// What `RUST_LOG` asks for, by the rules of the flag. What breaks them may be meant for another program, and is left out.
pub(super) fn level_of_environment() -> Option<String> {
    parse_level(&std::env::var(EnvFilter::DEFAULT_ENV).ok()?).ok()
}

/// Has diagnostics go there, in that format.
pub(super) fn set_up(writer: &Detached, level: &str, format: LogFormat) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new(LEVEL_DEFAULT));
    let writer = writer.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.clone())
        // They would be printed on standard error, and a standard error that fails would end the process.
        .log_internal_errors(false);
    // Fails if somebody has set one up already, which is as good.
    let _ = match format {
        LogFormat::Text => subscriber.with_ansi(is_coloured()).try_init(),
        LogFormat::Json => subscriber.with_ansi(false).json().try_init(),
    };
    let of_environment = std::env::var_os(EnvFilter::DEFAULT_ENV).filter(|text| !text.is_empty());
    if level == LEVEL_DEFAULT && of_environment.is_some() && level_of_environment().is_none() {
        tracing::warn!(
            "RUST_LOG is left out: it is no level and no list of targets with levels, such as warn,mcplog=debug"
        );
    }
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        tracing::error!("{panic}\n{backtrace}");
    }));
}

/// Text that is no event of `tracing`, as a line of the format, with the line's end.
pub(super) fn line(format: LogFormat, message: &str) -> String {
    match format {
        LogFormat::Text => format!("{}\n", message.trim_end()),
        LogFormat::Json => json_line("INFO", message.trim_end()),
    }
}

/// Says on standard error why the proxy gave up, when nothing else is said any more.
pub(crate) fn complain(format: LogFormat, message: &str) {
    match format {
        LogFormat::Text => output::complain(message),
        LogFormat::Json => _ = io::stderr().write_all(json_line("ERROR", message).as_bytes()),
    }
}

fn json_line(level: &str, message: &str) -> String {
    let object = serde_json::json!({
        "timestamp": moment::rfc3339_now(), "level": level, "fields": { "message": message }, "target": module_path!(),
    });
    let mut line = Vec::new();
    // Writing to memory does not fail.
    let _ = json::write_line(&mut line, &object);
    String::from_utf8_lossy(&line).into_owned()
}

/// Whether standard error takes colours. A file never does, whatever `--color` says.
fn is_coloured() -> bool {
    let is_file = rustix::fs::fstat(io::stderr().as_fd())
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    !is_file && AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_or_targets_with_levels() {
        for good in ["warn", "off", "INFO", "warn,mcplog::index=debug", "mcplog_observe=trace"] {
            assert_eq!(parse_level(good).as_deref(), Ok(good));
        }
        for bad in ["", "wran", "mcplog", "warn,", "=debug", "mcplog::index=", "mcplog=loud", "warn debug"] {
            assert!(parse_level(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_that_is_no_event_is_one_line_of_the_format() {
        assert_eq!(line(LogFormat::Text, "one\ntwo\n"), "one\ntwo\n");
        let object = line(LogFormat::Json, "one\ntwo\u{1b}[31m\n");
        let [line] = object.lines().collect::<Vec<_>>()[..] else { panic!("{object}") };
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(object["fields"]["message"], "one\ntwo\u{1b}[31m");
        assert!(object["timestamp"].is_string() && object["level"] == "INFO" && object["target"].is_string());
    }
}
