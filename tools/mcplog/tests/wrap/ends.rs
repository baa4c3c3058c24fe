//! How a wrapped server ends, whoever goes first.

use super::fixture::{Fixture, bare, pid_in, run, signal, this, wait_for_end, wait_for_state};
use super::server::CLIENT;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

pub(crate) fn the_servers_end_is_the_wrappers() {
    for script in ["exit:0", "exit:3", "exit:126", "exit:255", "die:9", "die:15", "die:6", "die:11", "die:13", "die:1"]
    {
        let fixture = Fixture::new();
        let (expected, wrapped) = (run(bare(&[script]), b""), run(fixture.wrapper(&[], &[script]), b""));
        // Whether there is a core is the system's business.
        let seen = |output: &std::process::Output| (output.status.code(), output.status.signal());
        assert_eq!(seen(&wrapped), seen(&expected), "{script}");
        assert_eq!(String::from_utf8_lossy(&wrapped.stderr), "", "{script}");
    }
}

pub(crate) fn what_a_server_says_after_its_input_ended_comes_however_long_it_takes() {
    let fixture = Fixture::new();
    let script =
        ["read-all".to_owned(), "err:ended\\x0a".to_owned(), fixture.step("await", "gate"), "out:late".to_owned()];
    let mut wrapped = fixture.start(&["--grace", "1ms"], &script);
    wrapped.send("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"slow\"}}\n");
    wrapped.stdin = None;
    wrapped.wait_for_errors("ended");
    // Many times the grace time: who is impatient would have ended it by now.
    std::thread::sleep(std::time::Duration::from_millis(600));
    std::fs::write(fixture.path("gate"), "").unwrap();
    assert_eq!(wrapped.line(), "late");
    assert!(wrapped.end().success());
}

/// A server that nothing but SIGKILL ends, with another process that it started.
fn stubborn(fixture: &Fixture) -> Vec<String> {
    let own = ["ignore:TERM", "ignore:HUP"].map(str::to_owned);
    let child =
        [vec!["child".to_owned()], own.to_vec(), vec![fixture.step("file", "child"), "hang".to_owned()]].concat();
    [child, vec!["end-child".to_owned()], own.to_vec(), vec![fixture.step("file", "server"), "hang".to_owned()]]
        .concat()
}

pub(crate) fn a_server_whose_client_is_gone_ends_with_all_that_it_started() {
    let fixture = Fixture::new();
    let mut wrapped = fixture.start(&["--grace", "50ms"], &stubborn(&fixture));
    let pids = ["child", "server"].map(|name| pid_in(&fixture.path(name)));
    (wrapped.stdin, wrapped.stdout) = (None, None);
    assert_eq!(wrapped.end().signal(), Some(9));
    pids.into_iter().for_each(wait_for_end);
    // One that ends in good order is not killed.
    let fixture = Fixture::new();
    let script = ["read-all".to_owned(), fixture.step("file", "ended")];
    let mut wrapped = fixture.start(&[], &script);
    (wrapped.stdin, wrapped.stdout) = (None, None);
    assert!(wrapped.end().success());
    pid_in(&fixture.path("ended"));
}

pub(crate) fn a_client_that_is_killed_takes_the_server_and_all_that_it_started_with_it() {
    let fixture = Fixture::new();
    let wrapper = fixture.wrapper(&["--grace", "50ms"], &stubborn(&fixture));
    let mut client = Command::new(this());
    client.arg(CLIENT).arg(wrapper.get_program()).args(wrapper.get_args());
    let mut client = client.spawn().unwrap();
    let pids = ["child", "server"].map(|name| pid_in(&fixture.path(name)));
    client.kill().unwrap();
    client.wait().unwrap();
    pids.into_iter().for_each(wait_for_end);
}

pub(crate) fn a_server_whose_wrapper_is_killed_has_its_end_of_input() {
    let fixture = Fixture::new();
    let script = [fixture.step("file", "server"), "read-all".to_owned(), fixture.step("file", "ended")];
    let mut wrapped = fixture.start(&[], &script);
    let server = pid_in(&fixture.path("server"));
    wrapped.signal("KILL");
    assert_eq!(wrapped.end().signal(), Some(9));
    assert_eq!(pid_in(&fixture.path("ended")), server);
    wait_for_end(server);
}

pub(crate) fn a_server_that_ends_first_ends_the_wrapper_although_the_client_goes_on() {
    let fixture = Fixture::new();
    let mut wrapped = fixture.start(&[], &["read-line", "out:last words", "exit:7"]);
    wrapped.send("{}\n");
    assert_eq!(wrapped.line(), "last words");
    assert_eq!(wrapped.end().code(), Some(7));
    let error = wrapped.stdin.as_mut().unwrap().write_all(b"{}\n").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

pub(crate) fn output_that_others_hold_open_is_passed_on_and_not_waited_for() {
    let fixture = Fixture::new();
    let script = [
        "child".to_owned(),
        fixture.step("file", "child"),
        fixture.step("await", "server"),
        "out:from the other one\\x0a".to_owned(),
        "hang".to_owned(),
        "end-child".to_owned(),
        fixture.step("file", "server"),
        "exit:5".to_owned(),
    ];
    let mut wrapped = fixture.start(&[], &script);
    let child = pid_in(&fixture.path("child"));
    assert_eq!(wrapped.line(), "from the other one\n");
    assert_eq!(wrapped.end().code(), Some(5));
    wait_for_end(child);
}

pub(crate) fn a_server_that_reads_no_more_is_told_to_the_client() {
    let fixture = Fixture::new();
    let script =
        ["read-line".to_owned(), "close-stdin".to_owned(), "out:closed\\x0a".to_owned(), fixture.step("await", "gate")];
    let mut wrapped = fixture.start(&[], &script);
    wrapped.send("{}\n");
    wrapped.line();
    let mut stdin = wrapped.stdin.take().unwrap();
    let error = loop {
        if let Err(error) = stdin.write_all(b"{}\n") {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    std::fs::write(fixture.path("gate"), "").unwrap();
    assert!(wrapped.end().success());
}

pub(crate) fn a_client_that_reads_no_more_is_told_to_the_server() {
    let fixture = Fixture::new();
    let script = ["out:x", "flood", "err:told\\x0a", "read-all"];
    let mut wrapped = fixture.start(&[], &script);
    let mut first = [0];
    wrapped.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    wrapped.stdout = None;
    wrapped.wait_for_errors("told");
    wrapped.stdin = None;
    assert!(wrapped.end().success());
}

pub(crate) fn a_server_that_ignores_sigterm_is_killed_before_the_clients_patience_ends() {
    let fixture = Fixture::new();
    let mut wrapped = fixture.start(&["--grace", "1h"], &stubborn(&fixture));
    let pids = ["child", "server"].map(|name| pid_in(&fixture.path(name)));
    // As the SDKs do it: the input ends, then SIGTERM comes, and they read on.
    wrapped.stdin = None;
    wrapped.signal("TERM");
    assert_eq!(wrapped.end().signal(), Some(9));
    pids.into_iter().for_each(wait_for_end);
    // While the client may send, SIGTERM is the server's business.
    let fixture = Fixture::new();
    let mut wrapped = fixture.start(&[], &stubborn(&fixture));
    let server = pid_in(&fixture.path("server"));
    wrapped.signal("TERM");
    signal(server, "STOP");
    wait_for_state(server, |state| state == Some('T'));
    signal(server, "KILL");
    assert_eq!(wrapped.end().signal(), Some(9));
}
