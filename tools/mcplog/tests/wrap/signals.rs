//! Signals are the server's.

use super::fixture::{Fixture, bare, pid_in, run, wait_for_state};
use super::server::SIGNALS;
use std::process::Command;

pub(crate) fn every_signal_reaches_the_server_and_what_it_started_once() {
    for (name, _) in SIGNALS {
        let fixture = Fixture::new();
        let script = [
            "child".to_owned(),
            format!("on:{name}"),
            fixture.step("file", "child"),
            "read-all".to_owned(),
            "end-child".to_owned(),
            format!("on:{name}"),
            fixture.step("file", "server"),
            "read-all".to_owned(),
        ];
        let mut wrapped = fixture.start(&["--grace", "1h"], &script);
        ["child", "server"].iter().for_each(|name| _ = pid_in(&fixture.path(name)));
        wrapped.signal(name);
        wrapped.wait_for_errors(&format!("got {name}\ngot {name}\n"));
        // What comes after the end of a process that says all it gets has come.
        wrapped.stdin = None;
        assert!(wrapped.end().success(), "{name}: {}", wrapped.errors());
        assert_eq!(wrapped.errors(), format!("got {name}\ngot {name}\n"));
    }
}

pub(crate) fn what_was_ignored_stays_ignored() {
    let fixture = Fixture::new();
    let nohup = |command: &Command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' HUP USR1; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell
    };
    let expected = run(nohup(&bare(&["ignored"])), b"");
    let wrapped = run(nohup(&fixture.wrapper(&[], &["ignored"])), b"");
    assert_eq!(String::from_utf8_lossy(&wrapped.stdout), String::from_utf8_lossy(&expected.stdout));
    // The wrapper ignores it, too.
    let script = [fixture.step("file", "server"), "read-all".to_owned(), "exit:4".to_owned()];
    let mut wrapped = super::fixture::Running::start(nohup(&fixture.wrapper(&[], &script)));
    pid_in(&fixture.path("server"));
    wrapped.signal("HUP");
    wrapped.stdin = None;
    assert_eq!(wrapped.end().code(), Some(4));
}

pub(crate) fn a_stop_stops_both_and_both_go_on() {
    let fixture = Fixture::new();
    let mut wrapped = fixture.start(&[], &[&fixture.step("file", "server"), "answer"]);
    let pids = [wrapped.child.id(), pid_in(&fixture.path("server"))];
    wrapped.signal("TSTP");
    pids.iter().for_each(|pid| wait_for_state(*pid, |state| state == Some('T')));
    wrapped.signal("CONT");
    pids.iter().for_each(|pid| wait_for_state(*pid, |state| state != Some('T')));
    wrapped.call(1, "ping", "{}");
    wrapped.stdin = None;
    assert!(wrapped.end().success());
    assert_eq!(wrapped.errors(), "");
}

pub(crate) fn a_wrapper_whose_parent_ignores_its_children_learns_how_the_server_ended() {
    let fixture = Fixture::new();
    let wrapper = fixture.wrapper(&[], &["exit:9"]);
    // The shell ignores SIGCHLD, and what it is replaced by begins so.
    let mut python = Command::new("python3");
    let program =
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])";
    python.args(["-c", program]).arg(wrapper.get_program()).args(wrapper.get_args());
    if Command::new("python3").arg("--version").output().is_err() {
        return mcplog_skipped::skip("a wrapper whose parent ignores its children", "Python", "cargo test --test wrap");
    }
    assert_eq!(run(python, b"").status.code(), Some(9));
}
