//! What flags and files make of the settings.

use super::*;
use clap::Parser;
use std::fs;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: ProxyArgs,
}

fn resolve(flags: &[&str]) -> Result<Settings, String> {
    let command = Command::try_parse_from(std::iter::once("proxy").chain(flags.iter().copied()))
        .map_err(|error| error.to_string())?;
    Settings::resolve(command.args).map_err(|error| super::super::chain(&error))
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proxy.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

/// The store of a proxy that was told nothing of it.
fn default_store() -> mcplog::Config {
    let mut config = mcplog::Config::new("./mcplog-data");
    config.session_idle_ms = Some(SESSION_IDLE_MS_DEFAULT);
    config
}

#[test]
fn an_upstream_is_enough() {
    let settings = resolve(&["--upstream", "http://127.0.0.1:9000/mcp"]).unwrap();
    assert_eq!(settings.proxy.listen, "127.0.0.1:3000");
    assert_eq!(settings.proxy.name, "127.0.0.1:9000");
    assert_eq!(settings.proxy.upstream_timeout, Duration::from_secs(300));
    assert!(!settings.proxy.rewrite_host);
    assert_eq!(settings.admin, None);
    assert_eq!(settings.store, default_store());
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let (_dir, path) = file(
        r#"
        upstream = "http://file:1/mcp"
        listen = "127.0.0.1:4000"
        name = "from-file"
        upstream_timeout = "30s"
        drain = "250ms"
        rewrite_host = true
        [store]
        dir = "./from-file"
        sync = "always"
        session_idle_ms = 5
        "#,
    );
    let settings = resolve(&["--config", &path]).unwrap();
    assert_eq!(settings.proxy.upstream.recorded(), "http://file:1/mcp");
    assert_eq!(settings.proxy.listen, "127.0.0.1:4000");
    assert_eq!(settings.proxy.name, "from-file");
    assert_eq!(settings.proxy.drain, Duration::from_millis(250));
    assert_eq!(settings.proxy.session_idle_ms, 5);
    assert_eq!(settings.store.dir, PathBuf::from("./from-file"));
    assert_eq!(settings.store.sync, mcplog::SyncPolicy::Always);
    assert!(settings.proxy.rewrite_host);

    let flags = ["--config", &path, "--upstream", "http://flag:2", "--dir", "./from-flag", "--upstream-timeout", "2m"];
    let settings = resolve(&flags).unwrap();
    assert_eq!(settings.proxy.upstream.recorded(), "http://flag:2/");
    assert_eq!(settings.proxy.upstream_timeout, Duration::from_secs(120));
    assert_eq!(settings.proxy.name, "from-file");
    assert_eq!(settings.store.dir, PathBuf::from("./from-flag"));
    assert_eq!(settings.store.sync, mcplog::SyncPolicy::Always);
}

#[test]
fn what_nobody_knows_is_refused_by_name() {
    for (text, name) in [
        ("upstream = 'http://h'\nlistn = 'x'", "listn"),
        ("upstream = 'http://h'\n[store]\nsegmnt_bytes = 1", "segmnt_bytes"),
        ("upstream = 'http://h'\n[store]\nsync_interval_ms = 0", "sync_interval_ms"),
        ("upstream = 'http://h'\nupstream_timeout = '5'", "expected a number and a unit"),
    ] {
        let (_dir, path) = file(text);
        let error = resolve(&["--config", &path]).unwrap_err();
        assert!(error.contains(name), "{error}");
    }
    assert!(resolve(&[]).unwrap_err().contains("no upstream"));
    assert!(resolve(&["--upstream", "http://h", "--name", " "]).unwrap_err().contains("empty name"));
    assert!(resolve(&["--config", "/nowhere/proxy.toml"]).unwrap_err().contains("/nowhere/proxy.toml"));
}

#[test]
fn the_example_in_the_help_is_a_valid_file() {
    let (_, example) = EXAMPLES.split_once("of the store:\n").unwrap();
    let (_dir, path) = file(example);
    let settings = resolve(&["--config", &path]).unwrap();
    assert_eq!(settings.proxy.name, "files");
    assert_eq!(settings.admin.as_deref(), Some("127.0.0.1:9464"));
    assert_eq!(settings.store, default_store(), "the example shows the defaults");
}

#[test]
fn a_duration_has_a_unit_and_a_range() {
    for (text, expected) in [
        ("10ms", Some(Duration::from_millis(10))),
        ("30s", Some(Duration::from_secs(30))),
        ("5m", Some(Duration::from_secs(300))),
        ("24h", Some(Duration::from_secs(86_400))),
        ("9ms", None),
        ("25h", None),
        ("99999999999999999h", None),
        ("5", None),
        ("s", None),
        ("-5s", None),
        ("5 days", None),
        ("", None),
    ] {
        assert_eq!(parse_duration(text).ok(), expected, "{text:?}");
    }
}
