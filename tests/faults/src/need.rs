//! What a test needs of the machine, and what happens where it is missing.

use std::process::{Command, Stdio};

/// Says loudly that a test is skipped, and why. Where `MCPLOG_FAULTS_REQUIRED` is set, as on a machine that is known to
/// have everything, that is a failure.
///
/// # Panics
/// Nothing may be skipped here.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("MCPLOG_FAULTS_REQUIRED").is_none(), "{test} can't be skipped here: {why}");
    mcplog_skipped::skip(test, why, "tests/faults/setup.sh and cargo test -p mcplog-faults, as root");
}

/// Why a test that needs `program` can't be run; `None` if it can.
pub fn missing(program: &str) -> Option<String> {
    if program == "strace" {
        return untraceable();
    }
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    (!found).then(|| format!("{program} is not installed; tests/faults/setup.sh installs it"))
}

/// Tried, not guessed: many containers have strace and refuse ptrace(2).
fn untraceable() -> Option<String> {
    let tried = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=getpid:error=EIO:when=1", "true"])
        .stderr(Stdio::piped())
        .output();
    match tried {
        Err(error) => Some(format!("strace can't be started, tests/faults/setup.sh installs it: {error}")),
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("strace can't trace here: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
