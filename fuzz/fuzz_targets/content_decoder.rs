//! Attacks undoing a body's coding with any bytes. `fuzz/run` runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mcplog_fuzz_checks::content::check(input));
