//! Attacks a pipe with whatever its two sides may say, in any order, ended in any way. `fuzz/run` runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mcplog_fuzz_checks::pipe::check(input));
