//! Attacks the record decoder with any bytes. `cargo +nightly fuzz run record_decoder`.
#![no_main]

#[path = "../checks/record.rs"]
mod record;

libfuzzer_sys::fuzz_target!(|payload: &[u8]| record::check(payload));
