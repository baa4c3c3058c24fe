//! Attacks the reader of segments with damaged and forged files. `fuzz/run` runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mcplog_fuzz_checks::scan::check(input));
