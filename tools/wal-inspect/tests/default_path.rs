//! Which log is looked at when nobody says: that of the store where every command of mcplog looks.

mod fixture;

use assert_cmd::Command;
use fixture::{Log, inspect, outcome};
use std::path::Path;

/// The tool, for somebody whose home is that directory.
fn at_home(home: &Path, arguments: &[&str]) -> Command {
    let mut command = inspect(home);
    command.args(arguments).env_remove("MCPLOG_DIR").env_remove("XDG_DATA_HOME").env("HOME", home);
    command
}

fn complaint(mut command: Command) -> String {
    let output = command.output().expect("run");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("UTF-8")
}

const COMMANDS: [&[&str]; 4] = [&["list"], &["dump"], &["verify"], &["tail"]];

#[test]
fn without_a_path_it_is_the_store_where_mcplog_looks() {
    let log = Log::of_samples();
    let home = tempfile::tempdir().expect("a directory");
    let share = home.path().join(".local/share");
    std::fs::create_dir_all(&share).expect("create");
    std::os::unix::fs::symlink(log.dir(), share.join("mcplog")).expect("link");
    for arguments in COMMANDS {
        let default = share.join("mcplog");
        let named = at_home(home.path(), &[arguments, &[default.to_str().expect("UTF-8")]].concat());
        assert_eq!(outcome(at_home(home.path(), arguments)), outcome(named), "{arguments:?}");
        let mut told = at_home(home.path(), arguments);
        told.env("MCPLOG_DIR", log.dir()).env("HOME", "/nowhere");
        assert_eq!(outcome(told).1, 0, "{arguments:?}");
    }
}

#[test]
fn who_finds_nothing_there_is_told_why_it_was_looked_for_there() {
    let home = tempfile::tempdir().expect("a directory");
    for arguments in COMMANDS.into_iter().chain([["tail", "--follow"].as_slice()]) {
        let error = complaint(at_home(home.path(), arguments));
        let default = home.path().join(".local/share/mcplog");
        for part in [default.to_str().expect("UTF-8"), "no PATH was given", "HOME says"] {
            assert!(error.contains(part), "{part:?} in {error}");
        }
        let mut told = at_home(home.path(), arguments);
        told.env("MCPLOG_DIR", "told");
        assert!(complaint(told).contains("MCPLOG_DIR says"));
        assert!(!complaint(at_home(home.path(), &[arguments, &["named"]].concat())).contains("PATH"));
        let mut nowhere = at_home(home.path(), arguments);
        nowhere.env_remove("HOME");
        let error = complaint(nowhere);
        assert!(error.contains("set MCPLOG_DIR") && error.contains("name a PATH"), "{error}");
    }
}
