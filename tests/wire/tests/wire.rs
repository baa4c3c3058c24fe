//! Random exchanges of all revisions and transports: the rows are those that must be.

use mcplog_wire::run::Run;
use mcplog_wire::scale;

#[test]
fn the_rows_say_what_passed_on_the_wire() {
    let run = Run::of(scale::chosen());
    println!("{run}");
    assert!(
        run.exchanges > 0 && run.bad.is_empty(),
        "{} of {} scripts are recorded wrongly",
        run.bad.len(),
        run.scripts
    );
}
