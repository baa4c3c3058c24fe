//! What the proxy says on standard output: where it is, how recording goes, and what became of everything.
//!
//! Pure.

use super::config::Settings;
use crate::recording::{Ending, StoreNumbers};
use mcplog_terminal::shell::quoted;
use mcplog_terminal::text::{escape, wrap};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

/// How wide a paragraph is, in columns.
const WIDTH: usize = 78;

/// What is said at the start. `store`: how recording goes, if it should. `room`: lines about the room that the store takes.
pub(super) fn greeting(
    settings: &Settings,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    store: Option<&StoreNumbers>,
    room: Option<&str>,
) -> String {
    let upstream = &settings.proxy.upstream;
    let dir = quoted(&settings.store.dir.display().to_string());
    let mut text = String::new();
    let mut line = |line: String| _ = writeln!(text, "{line}");
    line(match store.map(|store| store.recording) {
        None => "mcplog is recording nothing.".to_owned(),
        Some(true) => "mcplog is recording.".to_owned(),
        Some(false) => "mcplog passes everything on, but IS NOT RECORDING.".to_owned(),
    });
    line(format!("  clients connect to  http://{address}{}", upstream.path()));
    line(format!("  upstream            {}  (proxy name: {})", upstream.recorded(), settings.proxy.name));
    if settings.records {
        line(format!("  records in          {dir}"));
        room.into_iter().flat_map(str::lines).for_each(|room| line(room.to_owned()));
    }
    if let Some(admin) = admin {
        line(format!("  health, metrics     http://{admin}/healthz  http://{admin}/metrics"));
    }
    if settings.records {
        // Where it lies anyway, no command has to be told.
        let option = if settings.is_default_dir { String::new() } else { format!(" --dir {dir}") };
        line(format!("  to look at it       mcplog logs{option}"));
    }
    if let Some(StoreNumbers { trouble: Some(trouble), recording, .. }) = store {
        let trouble = match recording {
            true => format!("The store is {trouble}. What passes is in its log all the same."),
            false => format!(
                "What passes now is not recorded: {trouble}. mcplog tries again every few seconds, and counts what is missed. \
                 With --require-recording it does not start instead."
            ),
        };
        wrap(&escape(&trouble), WIDTH).into_iter().for_each(|part| line(part.to_owned()));
    }
    if !address.ip().is_loopback() {
        line(format!("Anybody who reaches {address} can use the upstream: the proxy asks for no credentials."));
    }
    line("Ctrl-C stops it.".to_owned());
    text
}

/// What is said at the end.
pub(super) fn farewell(dir: &Path, ending: &Ending) -> String {
    let Ending { ended, missed, trouble } = ending;
    let mut text = format!("Stopped. {} events appended, {} folded.\n", ended.appended, ended.folded);
    if ended.dropped > 0 {
        let _ = writeln!(text, "{} events were lost: `mcplog stats` shows when.", ended.dropped);
    }
    if *missed > 0 {
        let _ = writeln!(text, "{missed} events are not on record, and nothing there tells of them.");
    }
    if ended.left_in_log > 0 {
        let dir = quoted(&dir.display().to_string());
        let _ = writeln!(text, "{} are safe in {dir}/wal; the next start folds them.", ended.left_in_log);
    }
    if let Some(trouble) = trouble {
        let _ = writeln!(text, "The store: {}.", escape(trouble));
    }
    text
}
