//! tmp
use mcplog_agreement::case::{Case, Recordings};
use mcplog_agreement::model_log::{LogModel, Question};
use mcplog_agreement::python_reader::{self, PythonReader};
use mcplog_agreement::reading::LogReading;
use mcplog_agreement::store_image::Place;
use std::collections::BTreeMap;
#[test]
fn w() {
    let r = Recordings::default();
    let mut python = PythonReader::start().unwrap();
    let n: u64 = std::env::var("N").map(|n| n.parse().unwrap()).unwrap_or(300);
    let (mut bad, mut lost, mut waits, mut logs) = (0, 0, 0, 0);
    for seed in 0..n {
        let d = Case::of(seed).make(&r);
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("s");
        let _held = d.store.write(&dir);
        for (folded, folding) in [(true, false), (true, true), (false, false)] {
            let q = python_reader::Question {
                dir: &dir,
                store: d.store.store,
                folded: folded.then_some(&d.store.folded),
                places: &[Place::Wal],
                is_folding: folding,
            };
            let got = python.read(&q);
            let mut want = BTreeMap::new();
            for ((place, name), f) in &d.store.folders {
                let Some(writer) = mcplog_agreement::bytes::id_from(name) else { continue };
                if *place != Place::Wal {
                    continue;
                }
                let q = Question {
                    store: d.store.store,
                    writer,
                    folded: folded.then_some(d.store.folded_of(writer)),
                    from_segment: 0,
                    is_folding: folding,
                    meanings: &d.store.meanings,
                };
                let m = LogModel::of(f, q);
                logs += 1;
                if m.lost.count() > 0 {
                    lost += 1
                }
                if m.waits {
                    waits += 1
                }
                want.insert(name.clone(), LogReading::of(&m));
            }
            if d.story.iter().any(|s| s.starts_with("another store's id")) {
                continue;
            }
            if want != got {
                bad += 1;
                println!("seed {seed} folded {folded} folding {folding}: {}", d.story.join("\n    "));
                for (k, w) in &want {
                    let g = got.get(k);
                    if g != Some(w) {
                        println!("  {k}\n    model  {w:?}\n    python {g:?}");
                    }
                }
                for k in got.keys() {
                    if !want.contains_key(k) {
                        println!("python only {k}");
                    }
                }
                break;
            }
        }
    }
    println!("{bad} bad of {n}; logs {logs} lost {lost} waits {waits}");
}
