//! The way of the data: imports point one way, and no two folders import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sources::{code, rust_files};

#[path = "support/sources.rs"]
mod sources;

/// The rooms of the house, each of which imports only from those before it. A new one is put where it belongs.
const ORDER: &[&str] = &[
    "interrupt",
    "terms",
    "random",
    "files",
    "cuda",
    "stats",
    "wording",
    "suite",
    "data",
    "record",
    "summary",
    "gate",
    "compare",
    "history",
    "report",
    "outputs",
    "manual",
    "merge",
    "export",
    "init",
    "model",
    "rows",
    "region",
    "optimizer",
    "objective",
    "judge",
    "search",
    "attack",
    "boundary",
    "engine",
    "visualize",
    "train",
    "fuzzing",
    "cli",
];

/// A module's path without `crate`.
type Module = Vec<String>;

fn module(file: &Path) -> Module {
    let mut parts: Module = file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// Every path that begins with `crate` or `super`; of a list in braces, each of its members.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate", "super"].iter().flat_map(|word| code.match_indices(word).map(|(at, _)| at)) {
        let before = code[..start].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || "_:$".contains(letter)) {
            continue;
        }
        expand(&code[start..], &[], &mut found);
    }
    found
}

/// Adds the paths that `text` begins with, below `base`; returns the rest.
fn expand<'t>(text: &'t str, base: &[String], found: &mut Vec<Vec<String>>) -> &'t str {
    let mut path = base.to_vec();
    let mut rest = text.trim_start();
    loop {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        if end > 0 {
            path.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(after) if after.starts_with('{') => {
                rest = &after[1..];
                while !rest.trim_start().starts_with('}') && !rest.trim_start().is_empty() {
                    rest = expand(rest, &path, found).trim_start();
                    // A renaming, and what stands between members.
                    let next = rest.find([',', '}']).unwrap_or(rest.len());
                    rest = &rest[next..];
                    rest = rest.strip_prefix(',').unwrap_or(rest);
                }
                return rest.trim_start().strip_prefix('}').unwrap_or(rest);
            }
            Some(after) => rest = after,
            None => break,
        }
    }
    found.push(path);
    rest
}

/// Who imports from whom, by folder: what stands in it, and what of it that imports from.
fn imports() -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let all: Vec<(Module, PathBuf)> =
        rust_files(&source).into_iter().map(|file| (module(file.strip_prefix(&source).unwrap()), file)).collect();
    let modules: BTreeSet<Module> = all.iter().map(|(module, _)| module.clone()).collect();
    let mut imports: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let of_tests = |module: &Module| module.iter().any(|part| part.contains("test") || part == "fixture");
    for (from, file) in all.iter().filter(|(module, _)| !of_tests(module)) {
        for path in paths(&code(file)) {
            let ups = path.iter().take_while(|part| *part == "super").count();
            let base = if ups == 0 { Vec::new() } else { from[..from.len().saturating_sub(ups)].to_vec() };
            let path = [base, path[ups.max(1)..].to_vec()].concat();
            let Some(to) = (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|path| modules.contains(path))
            else {
                continue;
            };
            let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
            if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
                let folder = imports.entry(from[..shared].to_vec()).or_default();
                folder.entry(one.clone()).or_default().insert(other.clone());
            }
        }
    }
    imports
}

#[test]
fn data_flows_one_way() {
    let imports = imports();
    let rank = |room: &str| {
        let place = ORDER.iter().position(|known| *known == room);
        place.unwrap_or_else(|| panic!("`{room}` is new: add it to ORDER in tests/directions.rs, and to CONTRIBUTING"))
    };
    let backwards: Vec<String> = imports[&Module::new()]
        .iter()
        .filter(|(from, _)| !["lib", "main"].contains(&from.as_str()))
        .flat_map(|(from, to)| to.iter().map(move |to| (from, to)))
        .filter(|(from, to)| rank(to) > rank(from))
        .map(|(from, to)| format!("{from} imports from {to}"))
        .collect();
    assert_eq!(backwards, Vec::<String>::new());
    assert!(imports[&Module::new()]["report"].contains("summary"), "imports are read at all");
}

#[test]
fn no_two_folders_or_files_import_each_other() {
    let mut circles = Vec::new();
    for (folder, imports) in imports() {
        for start in imports.keys() {
            let mut reached: BTreeSet<&String> = BTreeSet::new();
            let mut open: Vec<&String> = imports[start].iter().collect();
            while let Some(next) = open.pop() {
                if reached.insert(next) {
                    open.extend(imports.get(next).into_iter().flatten());
                }
            }
            if reached.contains(start) {
                circles.push(format!("{}::{start}", folder.join("::")));
            }
        }
    }
    assert_eq!(circles, Vec::<String>::new());
}
