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

/// Law 7.
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

/// Name and version of each package in a lock file, and the direct dependencies of am-eval there.
fn locked(file: &str) -> (Vec<(String, String)>, Vec<String>) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let lock: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let packages = lock["package"].as_array().unwrap();
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
    let am_eval = packages.iter().find(|package| text(package, "name") == "am-eval").unwrap();
    let direct = am_eval["dependencies"].as_array().unwrap().iter().filter_map(|name| name.as_str());
    let direct = direct.map(|name| name.split(' ').next().unwrap_or_default().to_owned()).collect();
    (packages.iter().map(|package| (text(package, "name"), text(package, "version"))).collect(), direct)
}

/// `cargo build --locked` in `fuzz/` fails when its lock file is older than a dependency of the program.
#[test]
fn the_fuzz_targets_lock_what_the_program_depends_on() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let optional = |entry: &toml::Value| entry.get("optional").and_then(toml::Value::as_bool).unwrap_or(false);
    let dependencies = manifest["dependencies"].as_table().unwrap().iter().filter(|(_, entry)| !optional(entry));
    let mut needed: Vec<String> = dependencies.map(|(name, _)| name.clone()).collect();
    needed.sort();
    let (program, _) = locked("Cargo.lock");
    let (fuzz, mut direct) = locked("fuzz/Cargo.lock");
    direct.sort();
    assert_eq!(direct, needed, "renew fuzz/Cargo.lock: `cargo update --workspace --manifest-path fuzz/Cargo.toml`");
    // What semantic versioning lets differ: all behind the first number that is not zero.
    let compatible = |version: &str| {
        let numbers: Vec<&str> = version.split('.').collect();
        numbers[..=numbers.iter().position(|number| *number != "0").unwrap_or(0)].join(".")
    };
    for name in needed {
        let versions = |packages: &[(String, String)]| -> Vec<String> {
            packages.iter().filter(|(other, _)| *other == name).map(|(_, version)| compatible(version)).collect()
        };
        let (ours, theirs) = (versions(&program), versions(&fuzz));
        assert!(
            theirs.iter().all(|version| ours.contains(version)),
            "{name}: {theirs:?} in fuzz/Cargo.lock, {ours:?} here"
        );
    }
}

/// A pipe would wait for ever, and a device never ends: files are opened by `files::open_regular` and what calls it.
#[test]
fn files_are_read_through_the_reader_of_regular_files() {
    fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                sources(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    let mut files = Vec::new();
    sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 100);
    // What reads regular files, what syncs a folder, what reads the repository's own seeds.
    let allowed = ["files/regular.rs", "record/atomic.rs", "fuzzing.rs"];
    let mut others = Vec::new();
    for file in files {
        let name = file.display().to_string();
        if name.contains("test") || name.ends_with("parity.rs") || allowed.iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let opens = ["fs::read(", "fs::read_to_string(", " File::open(", "(File::open(", "fs::File::open("];
            if opens.iter().any(|call| line.contains(call)) && !line.contains("\"/proc/") {
                others.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(others.is_empty(), "{}", others.join("\n"));
}
