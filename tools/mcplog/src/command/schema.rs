//! `mcplog schema`: what servers offer, and with `--changes` how that changed.
//!
//! Runs on the main thread.

use super::answer::{Answer, Answered};
use super::notes::Notes;
use super::server_names::ServerNames;
use crate::arguments::SchemaArgs;
use crate::error::CliError;
use mcplog::query::{SchemaChangeRow, ServerSchemaRow};
use mcplog_terminal::style::{BAD, DIM, GOOD, NAME, WARNING};
use mcplog_terminal::table::{Cell, Column, write_table};
use mcplog_terminal::units::{bytes, count, counted};
use mcplog_terminal::view::View;
use mcplog_terminal::{json, text};
use serde_json::Value;
use std::io::{self, Write};

/// So much of a hash tells versions apart.
const HASH_CHARACTERS: usize = 8;

const VERSION_COLUMNS: [Column; 4] = [
    Column::left("METHOD").cut_to(10),
    Column::left("OFFERS").cut_to(12),
    Column::left("VERSION"),
    Column::left("SINCE"),
];

const CHANGE_COLUMNS: [Column; 5] = [
    Column::left("TIME"),
    Column::left("CHANGE"),
    Column::left("ITEM").cut_to(12),
    Column::left("METHOD").cut_to(10),
    Column::left("VERSION"),
];

/// Runs the command.
pub(crate) fn run(
    args: &SchemaArgs,
    view: &View,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Answered, CliError> {
    let view = &args.show.view(view);
    let answer = Answer::begin(&args.store.dir, &args.fold, args.time.range(), err)?;
    let query = &answer.query;
    let mut filter = args.filter();
    // One more than asked for tells whether anything was cut.
    let limit = args.show.limit();
    filter.limit = limit.map(|limit| limit.saturating_add(1));
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));

    let json = args.show.json;
    let (found, versions) = if args.changes {
        let rows = query.schema_changes(&filter)?;
        let shown = &rows[rows.len().saturating_sub(limit)..];
        if json {
            shown.iter().try_for_each(|row| json::write_line(out, row))?
        } else {
            write_changes(out, shown, view)?
        }
        (rows.len(), Vec::new())
    } else {
        let rows = query.server_schema(&filter)?;
        let shown = &rows[..rows.len().min(limit)];
        if json {
            shown.iter().try_for_each(|row| json::write_line(out, row))?
        } else {
            write_versions(out, shown, view)?
        }
        (rows.len(), rows)
    };

    let mut notes = Notes::beside(found > 0, json, view, out, err);
    note_variants(&mut notes, &versions)?;
    note_cut(&mut notes, &versions)?;
    if found == 0 {
        answer.none_found(&mut notes, if args.changes { "schema change" } else { "schema" })?;
    }
    if found > limit {
        let (noun, which) = if args.changes { ("change", "newest") } else { ("version", "first") };
        notes.cut(limit as u64, noun, which)?;
    }
    answer.end(notes)
}

/// One line per server, method and variant: what is offered now, and to whom.
pub(super) fn write_versions(out: &mut dyn Write, rows: &[ServerSchemaRow], view: &View) -> io::Result<()> {
    let first_ts = rows.iter().map(|row| row.captured_at).min().unwrap_or(0);
    let last_ts = rows.iter().map(|row| row.captured_at).max().unwrap_or(0);
    let time_style = view.clock.style(first_ts, last_ts).in_seconds();
    let servers = ServerNames::of(rows.iter().map(|row| row.upstream_url.as_str()));
    let cells = |row: &ServerSchemaRow| {
        vec![
            Cell::owned(row.method.clone()).styled(NAME),
            Cell::owned(offers(&row.payload)),
            Cell::owned(short(Some(&row.schema_hash)).to_owned()).styled(DIM),
            Cell::owned(view.clock.time(row.captured_at, time_style)).styled(DIM),
            Cell::owned(callers(&row.callers)),
            servers.cell(&row.upstream_url),
        ]
    };
    let columns = [&VERSION_COLUMNS[..], &servers.columns()].concat();
    write_table(out, &columns, "METHOD", &rows.iter().map(cells).collect::<Vec<_>>(), view.width)
}

/// One line per change, oldest first.
pub(super) fn write_changes(out: &mut dyn Write, rows: &[SchemaChangeRow], view: &View) -> io::Result<()> {
    let first_ts = rows.iter().map(|row| row.detected_at).min().unwrap_or(0);
    let last_ts = rows.iter().map(|row| row.detected_at).max().unwrap_or(0);
    let (header, time_style) = view.clock.column("TIME", first_ts, last_ts);
    let time_style = time_style.in_seconds();
    let servers = ServerNames::of(rows.iter().map(|row| row.upstream_url.as_str()));
    let cells = |row: &SchemaChangeRow| {
        let style = match row.change_type.rsplit_once('_').map(|(_, verb)| verb) {
            Some("added") => GOOD,
            Some("removed") => BAD,
            Some("modified") => WARNING,
            _ => DIM,
        };
        let versions = match &row.old_hash {
            Some(old) => format!("{} → {}", short(Some(old)), short(row.new_hash.as_deref())),
            None => short(row.new_hash.as_deref()).to_owned(),
        };
        vec![
            Cell::owned(view.clock.time(row.detected_at, time_style)).styled(DIM),
            Cell::owned(row.change_type.replace('_', " ")).styled(style),
            Cell::owned(row.item_name.clone().unwrap_or_default()).styled(NAME),
            Cell::owned(row.method.clone()),
            Cell::owned(versions).styled(DIM),
            Cell::owned(callers(std::slice::from_ref(&row.caller))).styled(DIM),
            servers.cell(&row.upstream_url),
        ]
    };
    let columns = [&CHANGE_COLUMNS[..], &servers.columns()].concat();
    write_table(out, &columns, &header, &rows.iter().map(cells).collect::<Vec<_>>(), view.width)
}

/// The first caller that has a name, and how many there are beside.
fn callers(callers: &[String]) -> String {
    let named = callers.iter().find(|caller| !caller.is_empty());
    let first = named.map_or("unknown", String::as_str);
    match callers.len() {
        0 | 1 => first.to_owned(),
        more => format!("{first} and {} more", count(more as u64 - 1)),
    }
}

/// Says of each list that has variants how many.
fn note_variants(notes: &mut Notes<'_>, rows: &[ServerSchemaRow]) -> Result<(), CliError> {
    let is_same = |a: &ServerSchemaRow, b: &ServerSchemaRow| {
        (&a.proxy, &a.upstream_url, &a.method) == (&b.proxy, &b.upstream_url, &b.method)
    };
    for variants in rows.chunk_by(is_same).filter(|variants| variants.len() > 1) {
        let callers: usize = variants.iter().map(|row| row.callers.len()).sum();
        let (variations, of) = (counted(variants.len() as u64, "variant"), &variants[0].method);
        let callers = counted(callers as u64, "caller");
        notes.say(&format!("{variations} of {} are offered at present, to {callers}.", text::escape(of)))?;
    }
    Ok(())
}

/// Says of each result that is too long to be kept whole what is known of it.
fn note_cut(notes: &mut Notes<'_>, rows: &[ServerSchemaRow]) -> Result<(), CliError> {
    for row in rows {
        let Some(cut) = serde_json::from_str(&row.payload).ok().as_ref().and_then(cut) else { continue };
        let (method, hash) = (text::escape(&row.method), short(Some(&row.schema_hash)));
        let kept = match cut {
            Cut { items: true, .. } => "of each item name, size and digest are",
            Cut { items: false, .. } => "nothing but that is",
        };
        notes.say(&format!("Version {hash} of {method} is {}: too long to be kept whole, {kept} kept.", cut.size))?;
    }
    Ok(())
}

/// What is missing of a result that was too long.
struct Cut {
    /// How long it was.
    size: String,
    /// What its items are called is known.
    items: bool,
}

fn cut(payload: &Value) -> Option<Cut> {
    let cut = payload.get("mcplogCut")?;
    let items = payload.as_object().is_some_and(|payload| payload.len() > 1);
    let size = match (cut.get("bytes").and_then(Value::as_u64), cut.get("moreThanBytes").and_then(Value::as_u64)) {
        (Some(size), _) => bytes(size),
        (None, Some(size)) => format!("more than {}", bytes(size)),
        (None, None) => return None,
    };
    Some(Cut { size, items })
}

/// What a payload lists, counted; for a handshake, the server's name; of a result that was too long, at least its size.
fn offers(payload: &str) -> String {
    let Ok(value) = serde_json::from_str::<Value>(payload) else { return "?".to_owned() };
    let lists =
        [("tools", "tool"), ("resources", "resource"), ("resourceTemplates", "template"), ("prompts", "prompt")];
    let counts: Vec<_> = lists
        .iter()
        .filter_map(|(key, noun)| {
            let items = value.get(key)?.as_array()?;
            Some(counted(i64::try_from(items.len()).unwrap_or(i64::MAX), noun))
        })
        .collect();
    if !counts.is_empty() {
        return counts.join(", ");
    }
    if let Some(cut) = cut(&value) {
        return cut.size;
    }
    // The result of a handshake, or of `server/discover`.
    let info = value.get("serverInfo").or_else(|| value.get("_meta")?.get("io.modelcontextprotocol/serverInfo"));
    let server = |key: &str| info?.get(key)?.as_str().map(str::to_owned);
    [server("name"), server("version")].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn short(hash: Option<&str>) -> &str {
    text::beginning(hash.unwrap_or("?"), HASH_CHARACTERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_payload_offers_is_counted() {
        let cases = [
            (r#"{"tools":[{"name":"a"},{"name":"b"}]}"#, "2 tools"),
            (r#"{"prompts":[{}],"resources":[]}"#, "0 resources, 1 prompt"),
            (r#"{"serverInfo":{"name":"docs","version":"1.2"}}"#, "docs 1.2"),
            (r#"{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"docs","version":"2"}}}"#, "docs 2"),
            (
                r#"{"mcplogCut":{"bytes":3000000,"sha256":"0"},"tools":[{"name":"a","mcplogCut":{"bytes":7}}]}"#,
                "1 tool",
            ),
            (r#"{"mcplogCut":{"bytes":3000000,"sha256":"0"}}"#, "2.9 MiB"),
            (r#"{"mcplogCut":{"moreThanBytes":8388608}}"#, "more than 8.0 MiB"),
            (r#"{"other":1}"#, ""),
            ("not json", "?"),
        ];
        for (payload, expected) in cases {
            assert_eq!(offers(payload), expected, "{payload}");
        }
    }

    #[test]
    fn a_hash_of_any_text_is_shortened_without_a_panic() {
        assert_eq!(short(Some("0123456789abcdef")), "01234567");
        assert_eq!(short(Some("ééééééééééé")), "éééééééé");
        assert_eq!((short(Some("abc")), short(None)), ("abc", "?"));
    }
}
