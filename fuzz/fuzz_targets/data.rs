#![no_main]

libfuzzer_sys::fuzz_target!(init: am_eval::fuzzing::sow("data"), |bytes: &[u8]| am_eval::fuzzing::data(bytes));
