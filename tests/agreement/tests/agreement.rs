//! Damaged logs, and whether all who read a log say the same of them.

use mcplog_agreement::answers::ask;
use mcplog_agreement::case::{Case, Recordings};
use mcplog_agreement::judge::judge;
use mcplog_agreement::python_reader::PythonReader;

#[test]
fn try_some() {
    let recordings = Recordings::default();
    let mut python = PythonReader::start().expect("python");
    let range = std::env::var("SEEDS").unwrap_or("0..20".into());
    let (from, to) = range.split_once("..").unwrap();
    let mut bad = 0;
    let mut rules = std::collections::BTreeMap::new();
    for seed in from.parse::<u64>().unwrap()..to.parse().unwrap() {
        let case = Case::of(seed);
        let damaged = case.make(&recordings);
        let root = tempfile::tempdir().unwrap();
        let answers = ask(&damaged, root.path(), &mut python);
        let found = judge(&damaged, &answers);
        if !found.is_empty() {
            bad += 1;
            println!("seed {seed}: {:#?}\n{:#?}", damaged.story, found);
            for f in &found { *rules.entry(f.rule).or_insert(0) += 1; }
        }
    }
    println!("{bad} bad; {rules:#?}");
}
