//! No line of any command is wider than the terminal, whatever the store holds.

use crate::cli::{Cli, Command};
use clap::Parser;
use mcplog::{Config, Event, Request, SchemaVersion, Session, SessionClosed, Status, Store};
use mcplog_terminal::clock::Clock;
use mcplog_terminal::text;
use mcplog_terminal::view::View;
use proptest::prelude::*;
use std::path::Path;
use std::time::Duration;

/// Every command that shows a table of a store.
const COMMANDS: [&str; 10] = [
    "logs",
    "logs --limit 1",
    "slow",
    "stats",
    "sessions",
    "sessions --clients",
    "unused --since 2100-01-01",
    "schema",
    "schema --changes",
    "writers",
];

/// What people and peers put into names: long, wide, of no width, moving the cursor, writing from the right.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z_/.-]{1,12}",
        Just("x".repeat(250)),
        Just("北京市".to_owned()),
        Just("👩\u{200d}💻🇩🇪👍🏽".to_owned()),
        Just("\u{1b}[31m\u{1b}]0;title\u{7}".to_owned()),
        Just("two\nlines\ttab\r".to_owned()),
        Just("\u{202e}txt\u{2066}".to_owned()),
        Just("e\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}".to_owned()),
        Just("عربي عِبْرِית ".to_owned()),
        Just("ｆｕｌｌ\u{3000}".to_owned()),
        "\\PC{1,8}",
    ];
    prop::collection::vec(piece, 1..5).prop_map(|pieces| pieces.concat())
}

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![0..5_000_000_i64, Just(0), Just(i64::MAX), Just(i64::MIN), any::<i64>()]
}

/// Of now, of years ago, and of no calendar.
fn time() -> impl Strategy<Value = i64> {
    let day = 1_740_823_200_000_i64;
    prop_oneof![4 => day..day + 86_400_000, 2 => day - 40_000_000_000..day + 40_000_000_000, 1 => any::<i64>()]
}

#[derive(Clone, Debug)]
struct Told {
    names: Vec<String>,
    numbers: Vec<i64>,
    ts: i64,
    choice: u8,
}

fn told() -> impl Strategy<Value = Told> {
    (prop::collection::vec(hostile(), 8), prop::collection::vec(number(), 3), time(), any::<u8>())
        .prop_map(|(names, numbers, ts, choice)| Told { names, numbers, ts, choice })
}

/// Records a request, its session, and a schema version, all of them with these names.
fn record(store: &Store, index: usize, told: &Told) {
    let Told { names, numbers, ts, choice } = told;
    let name = |index: usize| names[index].as_str();
    let mut session = Session::new(name(0), *ts, name(1));
    session.client_name = Some(name(2)).filter(|_| choice % 3 > 0);
    session.client_version = Some(name(3));
    session.client_platform = Some(name(4));
    session.protocol_version = Some(name(5));
    session.noise_lines = Some(numbers[1]).filter(|_| choice % 2 > 0);
    let request_id = format!("{index}{}", name(6));
    let mut request = Request::new(&request_id, *ts, name(1), name(7));
    request.session_id = Some(name(0));
    request.tool = Some(name(3)).filter(|_| choice % 2 > 0);
    request.target = Some(name(4));
    request.endpoint = Some(name(2)).filter(|_| choice % 3 > 0);
    request.latency_us = numbers[0];
    (request.bytes_in, request.bytes_out) = (Some(numbers[1]), Some(numbers[2]));
    request.status = [Status::Ok, Status::Error, Status::Timeout][usize::from(choice % 3)];
    request.error_code = Some(name(5)).filter(|_| choice % 5 > 0);
    request.error_msg = Some(name(2));
    let payload = serde_json::json!({ "tools": [{ "name": name(6) }], "serverInfo": { "name": name(2) } }).to_string();
    let version = SchemaVersion::new(*ts, name(1), name(4), name(5), &payload, name(0));
    let offered = SchemaVersion::new(*ts, name(1), name(4), "tools/list", &payload, name(7));
    let recorder = store.recorder();
    let events = [Event::Session(session), Event::Request(request), Event::SchemaVersion(version), offered.into()];
    for event in events {
        assert!(recorder.record(event));
    }
    if choice % 4 == 0 {
        assert!(recorder.record(SessionClosed::new(name(0), numbers[1])));
    }
}

/// What a command prints, without colours.
fn printed(dir: &Path, line: &str, view: &View) -> String {
    let dir = dir.to_str().unwrap();
    let arguments = ["mcplog"].into_iter().chain(line.split(' ')).chain(["--dir", dir]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    match Cli::try_parse_from(arguments).unwrap().command {
        Command::Logs(args) => super::logs::run(&args, view, &mut out, &mut err),
        Command::Slow(args) => super::slow::run(&args, view, &mut out, &mut err),
        Command::Stats(args) => super::stats::run(&args, view, &mut out, &mut err),
        Command::Sessions(args) => super::sessions::run(&args, view, &mut out, &mut err),
        Command::Unused(args) => super::unused::run(&args, view, &mut out, &mut err),
        Command::Schema(args) => super::schema::run(&args, view, &mut out, &mut err),
        Command::Writers(args) => super::writers::run(&args, view, &mut out, &mut err),
        _ => panic!("{line} shows no table"),
    }
    .unwrap()
    .exit_code();
    assert!(err.is_empty());
    anstream::adapter::strip_str(&String::from_utf8(out).unwrap()).to_string()
}

fn store_with(all: &[Told]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(dir.path())).unwrap();
    all.iter().enumerate().for_each(|(index, told)| record(&store, index, told));
    store.wait_folded(Duration::from_secs(60)).unwrap();
    store.shutdown(Duration::from_secs(60));
    dir
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn every_table_fits_the_terminal_whatever_the_store_holds(all in prop::collection::vec(told(), 1..8)) {
        let dir = store_with(&all);
        for line in COMMANDS {
            for width in [80, 33] {
                let view = View { width: Some(width), clock: Clock::system() };
                for row in printed(dir.path(), line, &view).lines() {
                    prop_assert!(text::width(row) <= width, "{line} in {width}: {} {row}", text::width(row));
                }
            }
        }
    }
}

#[test]
fn wide_shows_every_name_in_full() {
    let long = |letter: &str| letter.repeat(200);
    let names = ["s", "p", "c", "v", "f", "r", "i", "m"].map(long).to_vec();
    let dir = store_with(&[Told { names, numbers: vec![1, 1, 1], ts: 1_740_823_200_000, choice: 1 }]);
    let view = View { width: Some(80), clock: Clock::system() };
    for (line, whole) in [
        ("logs", &["s", "c", "v", "m"][..]),
        ("slow", &["s", "c", "v", "m"]),
        ("stats", &["v"]),
        ("sessions", &["s", "c", "v", "f", "r"]),
        ("sessions --clients", &["c", "v", "f"]),
        ("unused", &["i", "p", "f"]),
        ("schema", &["r", "f"]),
        ("schema --changes", &["r", "f"]),
    ] {
        let wide = printed(dir.path(), &format!("{line} --wide"), &view);
        for letter in whole {
            assert!(wide.contains(&long(letter)), "{line} --wide without {letter}: {wide}");
        }
        assert!(!printed(dir.path(), line, &view).contains(&long(whole[0])), "{line}");
    }
}
