//! What is said in one place: spellings and constants that once stood in several files, and drifted apart there.

use std::path::Path;

#[path = "support/sources.rs"]
mod sources;

/// What gives such a place away, the files that may have it, and what it is.
const ONCE: &[(&str, &[&str], &str)] = &[
    ("strsim::", &["src/wording/suggest.rs"], "the nearest word is found by `wording::suggest`"),
    ("<width$}", &["src/wording/columns.rs"], "columns are aligned by `wording::columns`"),
    (">width$}", &["src/wording/columns.rs"], "columns are aligned by `wording::columns`"),
    ("is_multiple_of(3)", &["src/wording/format.rs"], "numbers are grouped by `wording::format::count`"),
    ("rchunks(3)", &[], "numbers are grouped by `wording::format::count`"),
    ("2.5 / ", &["src/optimizer/mod.rs"], "the usual step is `Pace::new`'s"),
    ("LINEARIZED_CLASSES: ", &["src/suite/boundary.rs"], "classes to first order"),
    ("NOISE_DRAWS: ", &["src/suite/plan/passes.rs"], "draws of a noise control"),
    ("const RIVALS: ", &["src/suite/row_passes.rs"], "other classes that DeepFool and FAB look at"),
    (
        "map(|field| cell(field).into_owned())",
        &["src/summary/csv.rs"],
        "tables of a summary are written by `summary::csv::write_table`",
    ),
    ("fs::write(", &["src/fuzzing.rs"], "files appear whole, by `record::write_atomically`"),
    ("fn write_atomically", &["src/record/atomic.rs"], "files are written whole by `record::atomic`"),
];

#[test]
fn what_is_said_in_one_place_is_said_there_alone() {
    let mut problems = Vec::new();
    for file in sources::rust_files(Path::new("src")).iter().filter(|file| !file.to_string_lossy().contains("tests")) {
        let (name, code) = (file.to_string_lossy().replace('\\', "/"), sources::code(file));
        for (mark, places, about) in ONCE {
            let is_there = code.contains(mark);
            if is_there != places.contains(&name.as_str()) {
                let verb = if is_there { "has" } else { "no longer has" };
                problems.push(format!("{name} {verb} `{mark}`: {about}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
