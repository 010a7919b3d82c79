//! Every reader of files on bytes that were changed at random: none may panic. `fuzz/` does the same guided by coverage.
//! `AM_EVAL_FUZZ` sets the number of inputs for each reader.

use am_eval::fuzzing::TARGETS;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A change of some bytes: other ones, fewer, more, a part twice, or a part of another input.
fn changed(seed: &[u8], other: &[u8], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let mut below = |count: usize| (random.next_u64() % count.max(1) as u64) as usize;
    for _ in 0..1 + below(4) {
        let at = below(bytes.len() + 1);
        match below(7) {
            0 if at < bytes.len() => bytes[at] = below(256) as u8,
            1 if at < bytes.len() => bytes[at] ^= 1 << below(8),
            2 => bytes.truncate(at),
            3 => drop(bytes.splice(at..at, [below(256) as u8; 3])),
            4 => {
                let end = (at + below(40)).min(bytes.len());
                drop(bytes.drain(at..end));
            }
            5 => {
                let end = (at + below(40)).min(bytes.len());
                let part = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, part));
            }
            _ => {
                let from = below(other.len());
                let part = other[from..(from + below(60)).min(other.len())].to_vec();
                drop(bytes.splice(at..at, part));
            }
        }
    }
    bytes
}

#[test]
fn no_reader_panics_on_any_bytes() {
    let count = std::env::var("AM_EVAL_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(400);
    for target in &TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        let mut random = ChaCha8Rng::seed_from_u64(17);
        for seed in &seeds {
            (target.read)(seed);
        }
        let started = std::time::Instant::now();
        for number in 0..count {
            let [seed, other] = [0, 1].map(|_| &seeds[(random.next_u64() % seeds.len() as u64) as usize]);
            let bytes = changed(seed, other, &mut random);
            let begun = std::time::Instant::now();
            (target.read)(&bytes);
            assert!(begun.elapsed().as_secs() < 20, "{} took {:?} for input {number}", target.name, begun.elapsed());
        }
        println!("{}: {count} inputs in {:.1} s", target.name, started.elapsed().as_secs_f64());
    }
}
