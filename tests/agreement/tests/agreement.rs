//! Damaged logs: all who read a log say the same of them, and nothing is gone without a count or a copy.

use mcplog_agreement::known;
use mcplog_agreement::run::Run;
use mcplog_agreement::scale;

#[test]
fn all_readers_agree_on_damaged_logs() {
    let seeds = scale::chosen();
    let Some(run) = Run::of(seeds.clone()) else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        let command = "apt-get install python3 and cargo test -p mcplog-agreement";
        return mcplog_skipped::skip("readers of damaged logs", "there is no python3", command);
    };
    println!("{run}");
    known::tell(&seeds);
    let bad = run.bad.iter().map(|trial| trial.case.seed).collect();
    let (agree_again, new) = known::differences(&seeds, &bad);
    assert!(new.is_empty(), "readers disagree on {} of {} logs: seeds {new:?}", new.len(), run.logs);
    assert!(agree_again.is_empty(), "seeds {agree_again:?} agree again: take them out of KNOWN_DISAGREEMENTS");
}
