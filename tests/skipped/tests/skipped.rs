//! A skipped test is heard through the harness, and is in the list.

use std::process::Command;

/// Set in the process that skips.
const CHILD: &str = "MCPLOG_SKIPPED_CHILD";

/// Not a test by itself: what the test below runs, and whose output the harness would keep.
#[test]
fn child_skips() {
    if std::env::var_os(CHILD).is_some() {
        mcplog_skipped::skip("a test", "no such\nprogram.", "apt-get install it");
    }
}

#[test]
fn what_is_skipped_is_said_past_the_harness_and_listed_beside_what_others_skipped() {
    let list = std::env::temp_dir().join(format!("mcplog-skipped-{}", std::process::id()));
    std::fs::write(&list, "SKIPPED before\n").expect("write");
    let child = || {
        Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child_skips"])
            .env(CHILD, "1")
            .env(mcplog_skipped::LIST, &list)
            .output()
            .expect("start the child")
    };
    let (said, _) = (child(), child());
    let listed = std::fs::read_to_string(&list).expect("the list");
    std::fs::remove_file(&list).expect("remove");
    let line = "SKIPPED a test: no such program. To run it: apt-get install it\n";
    assert!(String::from_utf8_lossy(&said.stderr).contains(line), "{said:?}");
    assert_eq!(listed, format!("SKIPPED before\n{line}{line}"));
    // A list that can't be written is no reason to be silent.
    let nowhere = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_skips"])
        .env(CHILD, "1")
        .env(mcplog_skipped::LIST, "/nowhere/at/all")
        .output()
        .expect("start the child");
    assert!(!nowhere.status.success());
}
