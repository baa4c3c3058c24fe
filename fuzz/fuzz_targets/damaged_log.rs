//! Attacks the opening of a store with damaged and forged logs. `fuzz/run` runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mcplog_fuzz_checks::damaged_log::check(input));
