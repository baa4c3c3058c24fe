//! Signals are the server's.

use super::fixture::{Fixture, Running, bare, pid_in, run, signal, wait_for_state};
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
    let mut wrapped = Running::start(nohup(&fixture.wrapper(&[], &script)));
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

/// A wrapper in the foreground of a terminal, whose keys are what is sent, and whose screen is the output. `None`: there is
/// no program here that makes a terminal.
fn in_terminal(wrapper: &Command, redirection: &str) -> Option<Running> {
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap().replace('\'', "'\\''"));
    let words: Vec<String> = std::iter::once(wrapper.get_program()).chain(wrapper.get_args()).map(quoted).collect();
    let mut command = Command::new("script");
    command.args(["-qefc", &format!("exec {} {redirection}", words.join(" ")), "/dev/null"]).env("SHELL", "/bin/sh");
    if Command::new("script").arg("--version").output().is_err() {
        mcplog_skipped::skip("a wrapper in a terminal", "script(1)", "cargo test --test wrap");
        return None;
    }
    Some(Running::start(command))
}

/// Reads until a line has that.
fn read_until(terminal: &mut Running, part: &str) -> String {
    let mut screen = String::new();
    while !screen.contains(part) {
        let line = terminal.line();
        assert_ne!(line, "", "the end, after {screen:?}");
        screen += &line;
    }
    screen
}

pub(crate) fn ctrl_c_in_a_terminal_reaches_the_server_once() {
    let fixture = Fixture::new();
    let script =
        ["on:INT".to_owned(), fixture.step("file", "server"), "read-all".to_owned(), "err:the end\\x0a".to_owned()];
    let Some(mut terminal) = in_terminal(&fixture.wrapper(&[], &script), "") else { return };
    pid_in(&fixture.path("server"));
    terminal.send("\x03");
    let before = read_until(&mut terminal, "got INT");
    // The end of input of a terminal.
    terminal.send("\x04");
    let screen = before + &read_until(&mut terminal, "the end");
    assert_eq!(screen.matches("got INT").count(), 1, "{screen:?}");
}

pub(crate) fn a_server_that_wants_the_terminal_has_it_in_the_foreground_and_is_told_of_otherwise() {
    for (flags, expected) in [(&["--foreground"][..], "typed"), (&[], "--foreground before --")] {
        let fixture = Fixture::new();
        let fifo = fixture.path("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let script = [fixture.step("file", "server"), "read-tty".to_owned()];
        // An input that is no terminal and does not end.
        let redirection = format!("0<>'{}'", fifo.display());
        let Some(mut terminal) = in_terminal(&fixture.wrapper(flags, &script), &redirection) else { return };
        let server = pid_in(&fixture.path("server"));
        if flags.is_empty() {
            read_until(&mut terminal, expected);
            signal(server, "KILL");
        } else {
            terminal.send("typed\n");
            // What is typed shows, and then what the server says of it.
            let screen = read_until(&mut terminal, expected) + &terminal.line();
            assert_eq!(screen.matches(expected).count(), 2, "{screen:?}");
        }
    }
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
