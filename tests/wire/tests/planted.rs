//! Each rule that is broken on purpose is noticed: some script reaches it, and the comparison shows it.

use mcplog_wire::judge::Planted;
use mcplog_wire::trial::Trial;

/// How many scripts each fault is planted into.
const SCRIPTS: u64 = 2_000;
/// In so many of them it shows at least.
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
        let hits = (0..SCRIPTS).filter(|seed| !Trial::hides(*seed, planted)).count();
        println!("{hits:>5} of {SCRIPTS}: {planted:?}");
        assert!(hits >= HITS_MIN, "{planted:?} shows in {hits} of {SCRIPTS} scripts");
    }
}
