//! Every input that fuzzing found worth keeping, replayed without a fuzzer.

use mcplog_fuzz_checks as checks;
use std::path::Path;

/// Replays the corpus of a target. It must have at least so many inputs.
fn replay(target: &str, inputs_min: usize, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus).expect("the corpus") {
        let path = entry.expect("an entry").path();
        // Shown only where the check fails.
        println!("{}", path.display());
        check(&std::fs::read(path).expect("an input"));
        inputs += 1;
    }
    assert!(inputs >= inputs_min, "{inputs} inputs prove little");
}

#[test]
fn the_record_decoder_survives_its_corpus() {
    replay("record_decoder", 20, checks::record::check);
}

#[test]
fn the_codec_of_frames_survives_its_corpus() {
    replay("frame_decoder", 10, checks::frame::check);
}

#[test]
fn the_reader_of_segments_survives_its_corpus() {
    replay("segment_scan", 20, checks::scan::check);
}

#[test]
fn opening_a_store_survives_its_corpus() {
    replay("damaged_log", 20, checks::damaged_log::check);
}

#[test]
fn folding_survives_its_corpus() {
    replay("fold", 20, checks::fold::check);
}

#[test]
fn the_output_of_wal_inspect_survives_its_corpus() {
    replay("wal_inspect_output", 20, checks::inspect::check);
}

#[test]
fn the_reader_of_messages_survives_its_corpus() {
    replay("message_scanner", 20, checks::messages::check);
}

#[test]
fn the_parser_of_event_streams_survives_its_corpus() {
    replay("event_stream", 20, checks::events::check);
}

#[test]
fn undoing_a_coding_survives_its_corpus() {
    replay("content_decoder", 10, checks::content::check);
}

#[test]
fn the_observer_survives_its_corpus() {
    replay("observer", 20, checks::observer::check);
}

#[test]
fn a_pipe_survives_its_corpus() {
    replay("pipe", 20, checks::pipe::check);
}
