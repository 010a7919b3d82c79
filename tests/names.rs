//! Identifiers say what a thing is where they stand alone: words that only a sentence completes are no names.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sources::rust_files;

#[path = "support/sources.rs"]
mod sources;

/// Words that name nothing without what stands around them, and what a reader would search for instead is the thing: `cell`, `distance`, `model`.
const NO_NAMES: &[&str] = &[
    "of", "told", "own", "here", "held", "shown", "beside", "said", "seen", "asked", "given", "kept", "what", "whole",
];

/// Functions of other crates.
const FOREIGN: &[&str] = &["option::of"];

/// The identifiers of Rust code, each with the path before it (`option::of`), without what comments and texts say.
fn identifiers(code: &str) -> Vec<(usize, String)> {
    let letters: Vec<char> = code.chars().collect();
    let (mut found, mut place, mut line) = (Vec::new(), 0, 1);
    let begins = |place: usize, text: &str| {
        text.chars().enumerate().all(|(at, letter)| letters.get(place + at) == Some(&letter))
    };
    while place < letters.len() {
        let start = place;
        match letters[place] {
            '/' if begins(place, "//") => {
                place += letters[place..].iter().take_while(|letter| **letter != '\n').count()
            }
            '/' if begins(place, "/*") => {
                let end = (place + 2..letters.len()).find(|&at| begins(at, "*/"));
                place = end.map_or(letters.len(), |end| end + 2);
            }
            '"' => place = end_of_text(&letters, place),
            'r' if raw_text(&letters, place).is_some() => place = raw_text(&letters, place).unwrap(),
            // A character, not a lifetime.
            '\'' if begins(place + 1, "\\") => {
                place += 3 + letters[place + 3..].iter().take_while(|letter| **letter != '\'').count()
            }
            '\'' if letters.get(place + 2) == Some(&'\'') => place += 3,
            letter if letter.is_alphabetic() || letter == '_' => {
                let length = |at: usize| {
                    letters[at..].iter().take_while(|letter| letter.is_alphanumeric() || **letter == '_').count()
                };
                place += length(place);
                found.push((line, letters[start..place].iter().collect()));
            }
            letter if letter.is_numeric() => {
                place +=
                    letters[place..].iter().take_while(|letter| letter.is_alphanumeric() || **letter == '_').count()
            }
            ':' if begins(place, "::") && found.last().is_some_and(|(at, _)| *at == line) => {
                place += 2;
                let length =
                    letters[place..].iter().take_while(|letter| letter.is_alphanumeric() || **letter == '_').count();
                if length > 0 {
                    let member: String = letters[place..place + length].iter().collect();
                    let (_, path) = found.last().unwrap();
                    found.push((line, format!("{path}::{member}")));
                    place += length;
                }
            }
            _ => place += 1,
        }
        line += letters[start..place].iter().filter(|letter| **letter == '\n').count();
    }
    found
}

fn end_of_text(letters: &[char], start: usize) -> usize {
    let mut place = start + 1;
    while place < letters.len() && letters[place] != '"' {
        place += if letters[place] == '\\' { 2 } else { 1 };
    }
    (place + 1).min(letters.len())
}

/// Where a text `r#"…"#` that begins at `start` ends.
fn raw_text(letters: &[char], start: usize) -> Option<usize> {
    let marks = letters[start + 1..].iter().take_while(|letter| **letter == '#').count();
    (letters.get(start + 1 + marks) == Some(&'"')).then_some(())?;
    let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', marks)).collect();
    let body = start + 2 + marks;
    let end = letters[body..].windows(close.len()).position(|window| window == close);
    Some(end.map_or(letters.len(), |end| body + end + close.len()))
}

#[test]
fn comments_and_texts_are_no_identifiers() {
    let code =
        "// of here\nlet of = \"own \\\" told\"; /* held */ f(r#\"a \"shown\" b\"#, 'x', '\\'', option::of(x.seen))";
    let names: Vec<String> = identifiers(code).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["let", "of", "f", "option", "option::of", "x", "seen"]);
    assert_eq!(identifiers(code)[0].0, 2);
}

#[test]
fn names_say_what_things_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["src", "tests", "benches"].into_iter().flat_map(|folder| rust_files(&root.join(folder)));
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        let place = file.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        for (line, path) in identifiers(&fs::read_to_string(&file).unwrap()) {
            let name = path.rsplit("::").next().unwrap_or(&path);
            if NO_NAMES.contains(&name) && !FOREIGN.iter().any(|foreign| path.ends_with(foreign)) {
                found.entry(name.to_owned()).or_default().push(format!("{place}:{line}"));
            }
        }
    }
    let lines: Vec<String> = found.iter().map(|(name, places)| format!("`{name}`: {}", places.join(", "))).collect();
    assert!(found.is_empty(), "names that say nothing alone; say what the thing is:\n{}", lines.join("\n"));
}
