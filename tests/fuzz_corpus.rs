//! Every input that fuzzing found worth keeping, replayed without a fuzzer.

#[path = "../fuzz/checks/record.rs"]
mod record;

use std::path::Path;

#[test]
fn the_record_decoder_survives_its_corpus() {
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/record_decoder"));
    let mut decoded = 0;
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus") {
        let input = std::fs::read(entry.expect("an entry").path()).expect("an input");
        record::check(&input);
        inputs += 1;
        decoded += usize::from(mcplog::record::Record::decode(&input).is_ok());
    }
    assert!(inputs > 20 && decoded > 5, "{inputs} inputs, of which {decoded} decode, prove little");
}
