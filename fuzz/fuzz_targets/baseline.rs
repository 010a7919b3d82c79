#![no_main]

libfuzzer_sys::fuzz_target!(init: am_eval::fuzzing::sow("baseline"), |bytes: &[u8]| am_eval::fuzzing::baseline(bytes));
