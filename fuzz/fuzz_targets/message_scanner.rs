//! Attacks reading JSON-RPC messages with any bytes, at every cut. `fuzz/run` runs it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| mcplog_fuzz_checks::messages::check(input));
