//! Each rule that is broken on purpose is noticed: some script reaches it, and the comparison shows it.

use mcplog_wire::planted::Planted;
use mcplog_wire::trial::Trial;

/// How many scripts each fault is planted into.
const SCRIPTS: u64 = 10_000;
/// In so many of them it shows at least; then no more are tried.
const HITS_MIN: usize = 3;

#[test]
fn a_planted_fault_is_noticed() {
    for planted in [
        Planted::AnswerOfAnother,
        Planted::ErrorForAll,
        Planted::AnswerClosesSession,
        Planted::RefusalMakesSession,
        Planted::ClosedIsGone,
        Planted::ReplayForAnybody,
        Planted::LateUnnoted,
        Planted::AddressByName,
    ] {
        let hits: Vec<_> = (0..SCRIPTS).filter(|seed| !Trial::hides(*seed, planted)).take(HITS_MIN).collect();
        println!("{planted:?}: seeds {hits:?}");
        assert_eq!(hits.len(), HITS_MIN, "{planted:?} shows in too few of {SCRIPTS} scripts: {hits:?}");
    }
}
