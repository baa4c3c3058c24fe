//! How a server is started, or why not.

use super::fixture::{Fixture, mcplog, run};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

fn wrapping(command: &[&str]) -> Command {
    let mut wrapper = mcplog();
    wrapper.args(["wrap", "--"]).args(command);
    wrapper
}

fn told(output: &Output) -> (Option<i32>, String) {
    assert_eq!(output.stdout, b"", "{output:?}");
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

pub(crate) fn a_command_that_can_not_be_run_ends_as_shells_end_it() {
    let fixture = Fixture::new();
    let plain = fixture.path("plain");
    std::fs::write(&plain, "").unwrap();
    let missing = fixture.path("missing");
    for (program, code) in [
        ("no-such-program-anywhere", 127),
        (missing.to_str().unwrap(), 127),
        (plain.to_str().unwrap(), 126),
        (fixture.root.path().to_str().unwrap(), 126),
        ("", 127),
    ] {
        let (found, text) = told(&run(wrapping(&[program, "--key", "s3cret"]), b"{}\n"));
        assert_eq!(found, Some(code), "{program}: {text}");
        assert!(text.starts_with("mcplog wrap: ") && text.lines().count() == 1, "{text}");
        assert!(text.contains(program) && !text.contains("s3cret"), "{text}");
    }
}

pub(crate) fn a_script_without_a_first_line_runs_as_everywhere() {
    let fixture = Fixture::new();
    let script = fixture.path("script");
    std::fs::write(&script, "printf 'by a shell: %s' \"$1\"\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let by_path = run(wrapping(&[script.to_str().unwrap(), "argument", "--quiet"]), b"");
    assert_eq!((by_path.status.code(), &*by_path.stdout), (Some(0), &b"by a shell: argument"[..]));
    let mut by_name = wrapping(&["script", "argument"]);
    by_name.env("PATH", fixture.root.path());
    assert_eq!(run(by_name, b"").stdout, b"by a shell: argument");
}

pub(crate) fn a_command_needs_its_dashes() {
    for arguments in [&["wrap"][..], &["wrap", "--"], &["wrap", "true"], &["wrap", "--name", " ", "--", "true"]] {
        let mut command = mcplog();
        command.args(arguments);
        let (code, text) = told(&run(command, b""));
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(text.contains("Usage: mcplog wrap") || text.contains("--help"), "{text}");
    }
}

pub(crate) fn environment_directory_and_descriptors_are_the_servers() {
    let fixture = Fixture::new();
    let script =
        "pwd; echo \"$KEY $MCPLOG_DIR\"; for number in 0 1 2; do [ -p /proc/self/fd/$number ] && echo $number; done";
    let mut wrapper = wrapping(&["sh", "-c", script]);
    wrapper.current_dir(fixture.root.path()).env("KEY", "value").env("MCPLOG_DIR", fixture.store());
    let output = String::from_utf8(run(wrapper, b"").stdout).unwrap();
    let here = fixture.root.path().canonicalize().unwrap();
    assert_eq!(output, format!("{}\nvalue {}\n0\n1\n2\n", here.display(), fixture.store().display()));
}
