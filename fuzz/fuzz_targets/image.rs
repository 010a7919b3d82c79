#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| am_eval::fuzzing::image(bytes));
