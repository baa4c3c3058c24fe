//! Attacks folding with any events, in any order and in any batches. `fuzz/run` runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mcplog_fuzz_checks::fold::check(input));
