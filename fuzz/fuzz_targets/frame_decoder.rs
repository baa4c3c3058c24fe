//! Attacks the codec of frames, marks and headers with any bytes. `fuzz/run` runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mcplog_fuzz_checks::frame::check(input));
