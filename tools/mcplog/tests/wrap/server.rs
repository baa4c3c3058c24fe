//! The scripted server: this program, started by a wrapper or by a test, does what its arguments say, one after the other.
//!
//! It prints nothing by itself. It reads and writes its descriptors without buffers of its own.

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio, exit};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The argument that makes this program the server.
pub(crate) const SERVER: &str = "--be-server";
/// The one that makes it a client, which starts the rest of its arguments and hangs.
pub(crate) const CLIENT: &str = "--be-client";

pub(crate) const SIGNALS: [(&str, i32); 8] = [
    ("HUP", SIGHUP),
    ("INT", SIGINT),
    ("QUIT", SIGQUIT),
    ("TERM", SIGTERM),
    ("USR1", SIGUSR1),
    ("USR2", SIGUSR2),
    ("WINCH", SIGWINCH),
    ("CONT", SIGCONT),
];

/// What these tests start ignores nothing, although who started the tests may (`nohup`): a signal that is caught here is as
/// it is by default in a program that is started.
pub(crate) fn ignore_nothing() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    for (_, signal) in SIGNALS.iter().filter(|(_, signal)| ignored & (1 << (signal - 1)) != 0) {
        signal_hook::flag::register(*signal, Arc::new(AtomicBool::new(false))).unwrap();
    }
}

/// Plays a script. Ends the process with code 0 at its end, unless it says otherwise.
pub(crate) fn play(script: &[String]) -> ! {
    // They are waited for by nobody, as those of servers are that end first.
    let mut children = Vec::new();
    let mut steps = script.iter();
    while let Some(step) = steps.next() {
        let (verb, what) = step.split_once(':').unwrap_or((step, ""));
        match verb {
            "out" => say(&mut raw_stdout(), &bytes_of(what)),
            "err" => say(&mut raw_stderr(), &bytes_of(what)),
            "copy" => copy(),
            "answer" => answer(what.parse().unwrap_or(usize::MAX)),
            "ask" => ask(what),
            "read-all" => drop(std::io::copy(&mut std::io::stdin(), &mut std::io::sink())),
            "read-line" => drop(line()),
            "flood" => while raw_stdout().write_all(&[b'x'; 4096]).is_ok() {},
            "close-stdin" => rustix::stdio::dup2_stdin(std::io::pipe().unwrap().0).unwrap(),
            "close-out" => rustix::stdio::dup2_stdout(std::io::pipe().unwrap().1).unwrap(),
            "read-tty" => {
                let mut terminal = std::fs::File::open("/dev/tty").unwrap();
                let mut bytes = [0; 64];
                let count = terminal.read(&mut bytes).unwrap();
                say(&mut raw_stdout(), &bytes[..count]);
            }
            "hang" => loop {
                std::thread::park();
            },
            "exit" => exit(what.parse().unwrap()),
            "die" => {
                let signal = rustix::process::Signal::from_named_raw(what.parse().unwrap()).unwrap();
                rustix::process::kill_process(rustix::process::getpid(), signal).unwrap();
            }
            "ignore" => ignore(what),
            "on" => report(what),
            "file" => std::fs::write(what, std::process::id().to_string()).unwrap(),
            "await" => {
                while !Path::new(what).exists() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            "ignored" => {
                let status = std::fs::read_to_string("/proc/self/status").unwrap();
                let mask = status.lines().find(|line| line.starts_with("SigIgn:")).unwrap().to_owned();
                say(&mut raw_stdout(), mask.as_bytes());
            }
            // A process of its own plays what follows, up to the end.
            "child" => {
                let rest: Vec<&String> = steps.by_ref().take_while(|step| *step != "end-child").collect();
                children.push(Command::new(std::env::current_exe().unwrap()).arg(SERVER).args(rest).spawn().unwrap());
            }
            _ => panic!("no step: {step}"),
        }
    }
    exit(0)
}

/// Starts a command between pipes, as a client does, and never gets on.
#[expect(clippy::zombie_processes, reason = "whoever called this is killed before its child ends")]
pub(crate) fn hang_before(command: &[String]) -> ! {
    let mut child = Command::new(&command[0]);
    let _child = child.args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    loop {
        std::thread::park();
    }
}

/// `\xNN` is a byte.
fn bytes_of(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

fn raw_stdout() -> std::fs::File {
    std::fs::File::from(rustix::io::dup(std::io::stdout()).unwrap())
}

fn raw_stderr() -> std::fs::File {
    std::fs::File::from(rustix::io::dup(std::io::stderr()).unwrap())
}

/// Who does not read any more does not matter.
fn say(stream: &mut std::fs::File, bytes: &[u8]) {
    let _ = stream.write_all(bytes);
}

fn copy() {
    let (mut input, mut output) = (std::fs::File::from(rustix::io::dup(std::io::stdin()).unwrap()), raw_stdout());
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = input.read(&mut buffer) {
        if output.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// The next line; `None` at the end.
fn line() -> Option<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while let Ok(1) = std::io::stdin().lock().read(&mut byte) {
        if byte[0] == b'\n' {
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
        line.push(byte[0]);
    }
    None
}

/// Answers so many requests, or all.
fn answer(count: usize) {
    let mut answered = 0;
    while answered < count {
        let Some(line) = line() else { return };
        let Ok(message) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
        let (Some(id), Some(method)) = (message.get("id"), message["method"].as_str()) else { continue };
        let result = match method {
            "initialize" => {
                r#"{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"s","version":"1"}}"#
            }
            "tools/list" => r#"{"tools":[{"name":"add","inputSchema":{"type":"object"}}]}"#,
            _ => r#"{"content":[]}"#,
        };
        say(&mut raw_stdout(), format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n").as_bytes());
        answered += 1;
    }
}

/// Asks the client, and waits for its answer.
fn ask(method: &str) {
    let request = format!("{{\"jsonrpc\":\"2.0\",\"id\":\"asked\",\"method\":\"{method}\",\"params\":{{}}}}\n");
    say(&mut raw_stdout(), request.as_bytes());
    let _ = line();
}

fn number_of(name: &str) -> i32 {
    SIGNALS.iter().find(|(of, _)| *of == name).unwrap().1
}

fn ignore(name: &str) {
    signal_hook::flag::register(number_of(name), Arc::new(AtomicBool::new(false))).unwrap();
}

/// Says on standard error how often that signal came, each time.
fn report(name: &str) {
    let mut signals = signal_hook::iterator::Signals::new([number_of(name)]).unwrap();
    let name = name.to_owned();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            say(&mut raw_stderr(), format!("got {name}\n").as_bytes());
        }
    });
}
