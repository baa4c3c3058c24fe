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
    resolve_beside(command.args, of_home())
}

fn resolve_beside(args: ProxyArgs, default: Result<DefaultDir, NoDefaultDir>) -> Result<Settings, String> {
    Settings::resolve_beside(args, default).map_err(|error| super::super::chain(&error))
}

/// What the environment says of stores where nobody set anything, where `MCPLOG_DIR` is set, and where there is no home.
fn of_home() -> Result<DefaultDir, NoDefaultDir> {
    Ok(DefaultDir { path: "/home/u/.local/share/mcplog".into(), variable: "HOME" })
}

fn told() -> Result<DefaultDir, NoDefaultDir> {
    Ok(DefaultDir { path: "/told".into(), variable: mcplog::DIR_VARIABLE })
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
    let mut config = mcplog::Config::new("/home/u/.local/share/mcplog");
    config.session_idle_ms = Some(SESSION_IDLE_MS_DEFAULT);
    config.limit_database_by_disk = true;
    config
}

#[test]
fn an_upstream_is_enough() {
    let settings = resolve(&["--upstream", "http://127.0.0.1:9000/mcp"]).unwrap();
    assert_eq!(settings.proxy.listen, "127.0.0.1:3000");
    assert_eq!(settings.proxy.name, "127.0.0.1:9000");
    assert_eq!(settings.proxy.upstream_timeout, Duration::from_secs(300));
    assert!(!settings.proxy.rewrite_host && settings.proxy.keeps_error_text);
    assert_eq!(settings.admin, None);
    assert_eq!(settings.store, default_store());
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let (dir, path) = file(
        r#"
        listen = "127.0.0.1:4000"
        drain = "250ms"
        head_timeout = "10s"
        body_timeout = "20s"
        idle_timeout = "40s"
        max_connections = 100
        [[upstream]]
        name = "from-file"
        url = "http://file:1/mcp"
        timeout = "30s"
        rewrite_host = true
        [store]
        dir = "./from-file"
        sync = "always"
        session_idle = "5ms"
        keep = "7d"
        max_size = "1GiB"
        min_free = "7MiB"
        "#,
    );
    let settings = resolve(&["--config", &path]).unwrap();
    assert_eq!(settings.proxy.upstream.recorded(), "http://file:1/mcp");
    assert_eq!(settings.proxy.listen, "127.0.0.1:4000");
    assert_eq!(settings.proxy.name, "from-file");
    assert_eq!(settings.proxy.drain, Duration::from_millis(250));
    let limits = |head: u64, idle: u64| crate::proxy::http::ClientLimits {
        head: Duration::from_secs(head),
        idle: Duration::from_secs(idle),
    };
    assert_eq!(settings.proxy.client_limits, limits(10, 40));
    assert_eq!((settings.proxy.body_timeout, settings.proxy.max_connections), (Duration::from_secs(20), Some(100)));
    assert_eq!(settings.proxy.session_idle_ms, 5);
    assert_eq!(settings.proxy.upstream_timeout, Duration::from_secs(30));
    assert_eq!(settings.store.dir, dir.path().join("from-file"));
    assert_eq!(settings.store.sync, mcplog::SyncPolicy::Always);
    assert_eq!(
        (settings.store.keep_rows_age_ms, settings.store.database_bytes_max),
        (Some(604_800_000), Some(1 << 30))
    );
    assert_eq!(settings.store.min_free_bytes, Some(7 << 20));
    assert!(settings.proxy.rewrite_host && !settings.store.limit_database_by_disk);

    let line = "--upstream http://flag:2 --dir ./from-flag --upstream-timeout 2m --keep 1d --max-size 1.5GiB --min-free 0 --drain 0s \
         --head-timeout 1s --body-timeout 2s --idle-timeout 3s --max-connections 4";
    let flags: Vec<&str> = ["--config", &path].into_iter().chain(line.split(' ')).collect();
    let settings = resolve(&flags).unwrap();
    assert_eq!((settings.store.keep_rows_age_ms, settings.store.database_bytes_max), (Some(86_400_000), Some(3 << 29)));
    assert_eq!(settings.store.min_free_bytes, Some(0));
    assert_eq!(settings.proxy.drain, Duration::ZERO);
    assert_eq!(settings.proxy.client_limits, limits(1, 3));
    assert_eq!((settings.proxy.body_timeout, settings.proxy.max_connections), (Duration::from_secs(2), Some(4)));
    assert_eq!(settings.proxy.upstream.recorded(), "http://flag:2/");
    assert_eq!(settings.proxy.upstream_timeout, Duration::from_secs(120));
    assert_eq!(settings.proxy.name, "from-file");
    assert_eq!(settings.store.dir, PathBuf::from("./from-flag"));
    assert_eq!(settings.store.sync, mcplog::SyncPolicy::Always);
}

#[test]
fn a_store_lies_where_the_flag_says_else_the_environment_else_the_file_else_where_every_command_looks() {
    let (dir, path) = file("[[upstream]]\nurl = 'http://h'\n[store]\ndir = 'from-file'");
    let args = |flag: bool, file: bool| ProxyArgs {
        upstream: Some("http://h".to_owned()),
        dir: flag.then(|| PathBuf::from("from-flag")),
        config: file.then(|| PathBuf::from(&path)),
        ..ProxyArgs::default()
    };
    let (of_flag, of_file) = (PathBuf::from("from-flag"), dir.path().join("from-file"));
    let (of_environment, of_default) = (PathBuf::from("/told"), of_home().unwrap().path);
    for (default, expected) in [
        (of_home(), [Some((&of_default, true)), Some((&of_file, false)), Some((&of_flag, false))]),
        (told(), [Some((&of_environment, true)), Some((&of_environment, true)), Some((&of_flag, false))]),
        (Err(NoDefaultDir), [None, Some((&of_file, false)), Some((&of_flag, false))]),
    ] {
        for ((flag, file), expected) in [(false, false), (false, true), (true, true)].into_iter().zip(expected) {
            let settings = resolve_beside(args(flag, file), default.clone());
            let found = settings.as_ref().map(|settings| (&settings.store.dir, settings.is_default_dir));
            assert_eq!(found.ok(), expected, "{default:?} {flag} {file}");
        }
    }
    let error = resolve_beside(args(false, false), Err(NoDefaultDir)).unwrap_err();
    assert!(error.contains("set MCPLOG_DIR") && error.contains("--dir") && error.contains("[store]"), "{error}");
    // Who names the default all the same has named it.
    let named = ProxyArgs { dir: Some(of_default), ..args(false, false) };
    assert!(resolve_beside(named, of_home()).unwrap().is_default_dir);
    // Where nothing is recorded, there need be no place.
    let without = ProxyArgs { no_record: true, ..args(false, false) };
    assert!(resolve_beside(without, Err(NoDefaultDir)).is_ok());
}

#[test]
fn the_words_of_errors_are_kept_unless_the_flag_or_the_file_says_no() {
    let keeps =
        |flags: &[&str]| resolve(&[&["--upstream", "http://h"], flags].concat()).unwrap().proxy.keeps_error_text;
    assert!(keeps(&[]) && !keeps(&["--no-error-text"]));
    for (value, expected) in [("true", false), ("false", true)] {
        let (_dir, path) = file(&format!("[[upstream]]\nno_error_text = {value}"));
        assert_eq!(keeps(&["--config", &path]), expected);
        assert!(!keeps(&["--config", &path, "--no-error-text"]));
    }
}

#[test]
fn a_database_without_a_limit_is_one_that_somebody_asked_for() {
    let by_disk = |flags: &[&str]| {
        let store = resolve(&[&["--upstream", "http://h"], flags].concat()).unwrap().store;
        (store.limit_database_by_disk, store.database_bytes_max)
    };
    assert_eq!(by_disk(&[]), (true, None));
    assert_eq!(by_disk(&["--max-size", "unlimited"]), (false, Some(0)));
    let (_dir, path) = file("[store]\nmax_size = 'unlimited'");
    assert_eq!(by_disk(&["--config", &path]), (false, Some(0)));
    assert_eq!(by_disk(&["--config", &path, "--max-size", "1GiB"]), (false, Some(1 << 30)));
}

#[test]
fn what_nobody_knows_is_refused_by_name() {
    let (_dir, path) = file("listn = 'x'\n[[upstream]]\nurl = 'http://h'");
    let error = resolve(&["--config", &path]).unwrap_err();
    assert_eq!(error, format!("{path}:1: no such key: \"listn\"; did you mean listen?"));
    for flags in [["--listen", "9504"], ["--drain", "5"], ["--keep", "30"], ["--max-size", "2G"], ["--min-free", "5%"]]
    {
        let error = resolve(&[&["--upstream", "http://h"], &flags[..]].concat()).unwrap_err();
        assert!(error.contains("expected ") && error.contains(flags[0]), "{error}");
    }
    assert!(resolve(&[]).unwrap_err().contains("no upstream"));
    assert!(resolve(&["--upstream", "http://h", "--name", " "]).unwrap_err().contains("empty name"));
    assert!(resolve(&["--config", "/nowhere/proxy.toml"]).unwrap_err().contains("/nowhere/proxy.toml"));
}

#[test]
fn the_example_in_the_help_is_a_valid_file() {
    let (_, example) = EXAMPLES.split_once("every key:\n").unwrap();
    let (dir, path) = file(example);
    let settings = resolve(&["--config", &path]).unwrap();
    assert_eq!(settings.proxy.name, "files");
    assert_eq!(settings.admin.as_deref(), Some("127.0.0.1:9464"));
    let defaults = resolve(&["--upstream", "http://127.0.0.1:9000/mcp"]).unwrap();
    assert_eq!(settings.proxy.upstream_timeout, defaults.proxy.upstream_timeout);
    assert_eq!(settings.proxy.connect_timeout, defaults.proxy.connect_timeout);
    assert_eq!((settings.proxy.listen, settings.proxy.drain), (defaults.proxy.listen, defaults.proxy.drain));
    let mut expected = default_store();
    expected.dir = dir.path().join("data");
    assert_eq!(settings.store, expected, "the example shows the defaults");
}
