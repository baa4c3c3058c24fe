//! What files say, what they are refused for, and the page that explains them.

use super::*;
use crate::proxy::config::{ProxyArgs, Settings};
use crate::proxy::config_table::KEYS;
use crate::proxy::diagnostics::LEVEL_DEFAULT;
use std::collections::BTreeSet;

fn parse(text: &str) -> Result<ConfigFile, String> {
    ConfigFile::parse(Path::new("/etc/mcplog/proxy.toml"), text).map_err(|error| error.to_string())
}

#[track_caller]
fn store_of(text: &str) -> Config {
    let mut config = Config::new("x");
    parse(&format!("[store]\n{text}")).unwrap().store.apply(&mut config);
    config
}

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md")).unwrap()
}

#[test]
fn an_empty_file_says_nothing() {
    let file = parse("").unwrap();
    assert_eq!((file.listen, file.drain, file.admin, file.upstream.url), (None, None, None, None));
    assert_eq!(store_of(""), Config::new("x"));
}

#[test]
fn every_key_of_the_store_arrives_in_the_librarys_units() {
    type Set = fn(&mut Config);
    let cases: [(&str, Set); 25] = [
        ("keep = '30d'", |c| c.keep_rows_age_ms = Some(30 * 86_400_000)),
        ("keep = 'unlimited'", |c| c.keep_rows_age_ms = Some(0)),
        ("max_size = '2GiB'", |c| c.database_bytes_max = Some(2 << 30)),
        ("max_size = '2GB'", |c| c.database_bytes_max = Some(2_000_000_000)),
        ("max_size = 2000000", |c| c.database_bytes_max = Some(2_000_000)),
        ("max_size = 'unlimited'", |c| c.database_bytes_max = Some(0)),
        ("min_free = '1GiB'", |c| c.min_free_bytes = Some(1 << 30)),
        ("min_free = 0", |c| c.min_free_bytes = Some(0)),
        ("session_idle = '1h30m'", |c| c.session_idle_ms = Some(5_400_000)),
        ("session_idle = 'never'", |c| c.session_idle_ms = Some(0)),
        ("sync = 'always'", |c| c.sync = SyncPolicy::Always),
        ("sync = 'never'", |c| c.sync = SyncPolicy::Never),
        ("sync_interval = '20ms'", |c| c.sync_interval_ms = 20),
        ("segment_size = '1MiB'", |c| c.segment_bytes = 1 << 20),
        ("segment_size = 0x100000", |c| c.segment_bytes = 1 << 20),
        ("segment_age = '2 days'", |c| c.segment_age_ms = 172_800_000),
        ("keep_segments_size = '500MB'", |c| c.keep_segments_bytes = Some(500_000_000)),
        ("keep_segments_size = 'unlimited'", |c| c.keep_segments_bytes = Some(u64::MAX)),
        ("keep_segments_age = '1w'", |c| c.keep_segments_age_ms = Some(604_800_000)),
        ("keep_segments_age = 'unlimited'", |c| c.keep_segments_age_ms = Some(0)),
        ("max_log_size = '32MiB'", |c| c.max_log_bytes = 32 << 20),
        ("max_log_size = 'unlimited'", |c| c.max_log_bytes = 0),
        ("segment_size = '64KiB'\nmax_log_size = '256KiB'", |c| {
            (c.segment_bytes, c.max_log_bytes) = (64 << 10, 256 << 10);
        }),
        ("channel_events = 1_000", |c| c.channel_events = 1_000),
        ("shutdown_timeout = '1.5s'", |c| c.shutdown_ms = 1_500),
    ];
    let mut keys = BTreeSet::from(["dir", "require_recording"]);
    for (text, set) in cases {
        let mut expected = Config::new("x");
        set(&mut expected);
        let read = store_of(text);
        assert_eq!(read, expected, "{text}");
        read.validate().unwrap();
        keys.extend(text.lines().filter_map(|line| line.split(' ').next()));
    }
    let (_, listed) = KEYS.iter().find(|(name, _)| *name == "[store]").unwrap();
    assert_eq!(keys, listed.iter().copied().collect(), "each key is tried");
}

#[test]
fn what_is_wrong_is_told_with_file_line_key_expected_and_found() {
    let upstream = "[[upstream]]\nurl = 'http://h'\n";
    let cases = [
        ("listen = 5", 1, "listen: expected an address and a port, such as 127.0.0.1:3000, found 5"),
        ("\nlisten = '9504'", 2, "listen: expected an address and a port, such as 127.0.0.1:9504, found \"9504\""),
        (
            "drain = 5",
            1,
            "drain: expected a duration with its unit, such as 250us, 10ms, 1.5s, 1h30m or \"2 days\", found 5",
        ),
        ("drain = '2 days'", 1, "drain: expected 0s to 1d, found \"2 days\""),
        (
            "[admin]\nlisten = true",
            2,
            "[admin] listen: expected an address and a port, such as 127.0.0.1:3000, found boolean",
        ),
        (
            "[[upstream]]\nurl = 7",
            2,
            "[[upstream]] url: expected a URL, such as \"http://127.0.0.1:9000/mcp\", found integer",
        ),
        ("[[upstream]]\nname = ' '", 2, "[[upstream]] name: expected a name, found an empty text"),
        ("[[upstream]]\ntimeout = '9ms'", 2, "[[upstream]] timeout: expected 10ms to 1d, found \"9ms\""),
        ("[[upstream]]\nrewrite_host = 'yes'", 2, "[[upstream]] rewrite_host: expected true or false, found string"),
        (
            "[[upstream]]\nroute = '/files'",
            2,
            "[[upstream]] route: routes are for several upstreams, which are not served yet; leave it out",
        ),
        (
            "[store]\nsync = 'often'",
            2,
            "[store] sync: expected one of \"always\", \"interval\", \"never\", found \"often\"",
        ),
        ("[store]\n\nsync_interval = '2m'", 3, "[store] sync_interval: expected 1ms to 1m, found \"2m\""),
        (
            "[store]\nkeep = 30",
            2,
            "[store] keep: expected a duration with its unit, such as 250us, 10ms, 1.5s, 1h30m or \"2 days\", found 30",
        ),
        (
            "[store]\nkeep = '1 month'",
            2,
            "[store] keep: expected units of a fixed length (up to weeks), since months and years have none, found \"1 month\"",
        ),
        ("[store]\nmax_size = '1kB'", 2, "[store] max_size: expected at least 1MiB, found \"1kB\""),
        ("[store]\nmax_size = 5", 2, "[store] max_size: expected at least 1MiB, found 5"),
        (
            "[store]\nmax_size = true",
            2,
            "[store] max_size: expected a size such as 64MiB, \"1 GiB\", 500kB, or plain bytes, found boolean",
        ),
        ("[store]\nsegment_size = '65537'", 2, "[store] segment_size: expected a multiple of 4KiB, found \"65537\""),
        ("[store]\nmax_log_size = '16MiB'", 2, "[store] max_log_size: expected at least 32MiB, found \"16MiB\""),
        (
            "[store]\nchannel_events = '5'",
            2,
            "[store] channel_events: expected a whole number from 1 to 16777216, found \"5\"",
        ),
        (
            "[store]\nchannel_events = 0",
            2,
            "[store] channel_events: expected a whole number from 1 to 16777216, found 0",
        ),
        ("store = 5", 1, "store: expected a table: [store], found integer"),
        ("upstream = 'http://h'", 1, "upstream: expected tables: [[upstream]], in double brackets, found string"),
        ("[upstream]\nurl = 'http://h'", 1, "upstream: expected tables: [[upstream]], in double brackets, found table"),
        // Keys that nobody knows.
        ("listn = 'x'", 1, "no such key: \"listn\"; did you mean listen?"),
        ("[store]\nsegmnt_size = 1", 2, "no such key: \"segmnt_size\"; did you mean segment_size?"),
        ("[store]\nsync_interval_ms = 1", 2, "no such key: \"sync_interval_ms\"; did you mean sync_interval?"),
        ("sync_interval = '1s'", 1, "no such key: \"sync_interval\"; it belongs to [store]"),
        ("[store]\ndrain = '1s'", 2, "no such key: \"drain\"; it belongs to the beginning of the file"),
        ("[admin]\nzzz = 1", 2, "no such key: \"zzz\"; expected one of listen"),
        (
            "[metrics]\nx = 1",
            1,
            "no such key: \"metrics\"; expected one of listen, drain, head_timeout, body_timeout, idle_timeout, max_connections, log_level, \
             log_format, access_log, admin, store, upstream",
        ),
    ];
    for (text, line, problem) in cases {
        let expected = format!("/etc/mcplog/proxy.toml:{line}: {problem}");
        assert_eq!(parse(text).map(|_| ()), Err(expected), "{text}");
    }
    let error = parse(&format!("{upstream}\n{upstream}")).unwrap_err();
    assert!(error.starts_with("/etc/mcplog/proxy.toml:4: a second [[upstream]]: several upstreams"), "{error}");
    let error = parse("drain = '5s'\nlisten = 'a:1'\nlisten = 'b:1'").unwrap_err();
    assert!(error.starts_with("/etc/mcplog/proxy.toml:3: ") && error.contains("duplicate key"), "{error}");
}

#[test]
fn a_value_that_may_be_a_secret_is_not_shown() {
    for text in
        ["[[upstream]]\nurl = ['hunter2']", "[[upstream]]\nca_file = { x = 'hunter2' }", "[[upstream]]\nname = 1.5"]
    {
        let error = parse(text).unwrap_err();
        assert!(!error.contains("hunter2") && !error.contains("1.5"), "{error}");
    }
}

#[test]
fn relative_paths_are_beside_the_file() {
    let file = parse("[[upstream]]\nurl = 'http://h'\nca_file = './ca.pem'\n[store]\ndir = 'data'").unwrap();
    assert_eq!(file.upstream.ca_file, Some(PathBuf::from("/etc/mcplog/ca.pem")));
    assert_eq!(file.store.dir, Some(PathBuf::from("/etc/mcplog/data")));
    assert_eq!(parse("[store]\ndir = '/var/lib/x'").unwrap().store.dir, Some(PathBuf::from("/var/lib/x")));
    let here = ConfigFile::parse(Path::new("proxy.toml"), "[store]\ndir = 'data'").unwrap();
    assert_eq!(here.store.dir, Some(PathBuf::from("data")));
}

/// The rows of the page's tables: the heading above, the key, and its default as it is written.
fn rows() -> Vec<(String, String, String)> {
    let mut heading = String::new();
    let mut rows = Vec::new();
    for line in page().lines() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text.trim_matches('`').to_owned();
        } else if line.starts_with("| `") {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, key, kind, default, _, meaning, _] = cells[..] else { panic!("{line}") };
            assert!(!kind.is_empty() && !default.is_empty() && !meaning.is_empty(), "{line}");
            rows.push((heading.clone(), key.trim_matches('`').to_owned(), default.to_owned()));
        }
    }
    rows
}

#[test]
fn the_page_lists_every_key_and_no_other() {
    let table_names: BTreeSet<&str> = ["admin", "store", "upstream"].into();
    for (name, keys) in KEYS {
        let heading = if name.is_empty() { "At the beginning of the file" } else { name };
        let told: Vec<String> =
            rows().into_iter().filter(|(above, ..)| above == heading).map(|(_, key, _)| key).collect();
        let known: Vec<&str> = keys.iter().copied().filter(|key| !table_names.contains(key)).collect();
        assert_eq!(told, known, "{heading}");
    }
}

/// The defaults that the page has under a heading, as a file would say them; those in words are left out.
fn defaults(heading: &str) -> String {
    let written = |default: &str| Some(default.strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let of_heading = rows().into_iter().filter(|(above, ..)| above == heading);
    of_heading.filter_map(|(_, key, default)| Some(format!("{key} = {}\n", written(&default)?))).collect()
}

#[test]
fn the_defaults_on_the_page_are_the_defaults() {
    let store = defaults("[store]");
    let mut expected = Config::new("x");
    // What the proxy has in place of the library's default.
    expected.session_idle_ms = Some(1_800_000);
    // What a new store keeps. Who says nothing leaves a store as it was told.
    expected.keep_rows_age_ms = Some(0);
    (expected.keep_segments_bytes, expected.keep_segments_age_ms) = (Some(0), Some(0));
    assert_eq!(store.lines().count(), 12, "{store}");
    assert_eq!(store_of(&store), expected);

    let arguments = ProxyArgs { upstream: Some("http://127.0.0.1:9000/mcp".to_owned()), ..ProxyArgs::default() };
    let settings = Settings::resolve(arguments).unwrap();
    let upstream = defaults("[[upstream]]");
    let file = parse(&format!("{}[[upstream]]\n{upstream}", defaults("At the beginning of the file"))).unwrap();
    assert_eq!(upstream.lines().count(), 4, "{upstream}");
    assert_eq!((file.listen, file.drain), (Some(settings.proxy.listen), Some(settings.proxy.drain)));
    let limits = settings.proxy.client_limits;
    assert_eq!((file.head_timeout, file.idle_timeout), (Some(limits.head), Some(limits.idle)));
    assert_eq!(file.body_timeout, Some(settings.proxy.body_timeout));
    assert_eq!((file.log_level.as_deref(), file.log_format), (Some(LEVEL_DEFAULT), Some(settings.log.format)));
    assert_eq!(file.upstream.timeout, Some(settings.proxy.upstream_timeout));
    assert_eq!(file.upstream.connect_timeout, Some(settings.proxy.connect_timeout));
    assert_eq!(file.upstream.rewrite_host, Some(settings.proxy.rewrite_host));
    assert_eq!(file.upstream.no_error_text, Some(!settings.proxy.keeps_error_text));
}

#[test]
fn the_example_on_the_page_has_every_key_and_is_valid() {
    let page = page();
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let file = parse(example).unwrap();
    let mut config = Config::new(file.store.dir.clone().unwrap());
    file.store.apply(&mut config);
    config.validate().unwrap();
    assert_eq!(config.keep_rows_age_ms, Some(2_592_000_000));
    assert_eq!((file.upstream.name.as_deref(), file.admin.as_deref()), (Some("files"), Some("127.0.0.1:9464")));
    let shown: Vec<&str> = example.lines().filter_map(|line| line.split_once(" = ").map(|(key, _)| key)).collect();
    let known =
        KEYS.iter().flat_map(|(_, keys)| *keys).filter(|key| !["route", "admin", "store", "upstream"].contains(key));
    assert_eq!(shown.iter().collect::<BTreeSet<_>>(), known.collect::<BTreeSet<_>>());
}

#[test]
fn the_access_log_is_a_file_beside_this_one_or_standard_output() {
    let access_log = |text: &str| parse(&format!("access_log = '{text}'")).unwrap().access_log.unwrap();
    assert_eq!(access_log("access.log"), Path::new("/etc/mcplog/access.log"));
    assert_eq!(access_log("-"), Path::new("-"));
    assert!(parse("log_level = 'wran'").unwrap_err().contains(":1: log_level: expected a level"));
}
