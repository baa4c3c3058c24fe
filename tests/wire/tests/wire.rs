//! Random exchanges of all revisions and transports: the rows are those that must be.

use mcplog_wire::run::Run;
use mcplog_wire::scale;

/// How calls end whose server is no redirect, under a proxy that is not stopped.
const OUTCOMES: [&str; 8] = ["ok", "tool_error", "error", "timeout", "cancelled", "probe", "ended", "input_required"];

#[test]
fn the_rows_say_what_passed_on_the_wire() {
    let run = Run::of(scale::chosen());
    println!("{run}");
    let is_reached = |outcome: &&str| run.ends.keys().any(|end| end.split(' ').next() == Some(outcome));
    let missed: Vec<_> = OUTCOMES.iter().filter(|outcome| run.scripts >= 1_000 && !is_reached(outcome)).collect();
    assert!(missed.is_empty(), "no script has a call that ends as {missed:?}");
    assert!(
        run.exchanges > 0 && run.bad.is_empty(),
        "{} of {} scripts are recorded wrongly",
        run.bad.len(),
        run.scripts
    );
}
