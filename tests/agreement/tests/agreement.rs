//! Damaged logs: all who read a log say the same of them, and nothing is gone without a count or a copy.

use mcplog_agreement::run::Run;
use mcplog_agreement::scale;

#[test]
fn all_readers_agree_on_damaged_logs() {
    let Some(run) = Run::of(scale::chosen()) else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        let command = "apt-get install python3 and cargo test -p mcplog-agreement";
        return mcplog_skipped::skip("readers of damaged logs", "there is no python3", command);
    };
    println!("{run}");
    assert!(run.bad.is_empty(), "readers disagree on {} of {} logs", run.bad.len(), run.logs);
}
