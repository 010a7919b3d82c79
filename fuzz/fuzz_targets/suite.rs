#![no_main]

libfuzzer_sys::fuzz_target!(init: am_eval::fuzzing::sow("suite"), |bytes: &[u8]| am_eval::fuzzing::suite(bytes));
