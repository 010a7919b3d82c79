//! Which tar files are meant.

use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::data::listing::natural;

/// Most shards that patterns may name.
const MOST: usize = 1_000_000;

/// The files that `patterns` name below `root`: a file, a folder of tar files, or several by ranges (`val-{000..063}.tar`) and
/// alternatives (`{train,val}.tar`), in the order written. Without patterns, the tar files in `root`.
///
/// # Errors
/// If a file is missing, a folder has no tar files, or a pattern is wrong.
pub(super) fn list(root: &Path, patterns: &[String]) -> Result<Vec<PathBuf>, DataError> {
    if patterns.is_empty() {
        return below(root);
    }
    let mut shards = Vec::new();
    for pattern in patterns {
        let names = expand(pattern).map_err(|problem| DataError::Dataset(format!("shards `{pattern}`: {problem}")))?;
        for path in names.into_iter().map(|name| root.join(name)) {
            if path.is_dir() {
                shards.extend(below(&path)?);
            } else if path.is_file() {
                shards.push(path);
            } else {
                return Err(DataError::content(
                    &path,
                    format!("is no file, but `shards` in [data] names it (`{pattern}`)"),
                ));
            }
        }
    }
    let mut sorted: Vec<&PathBuf> = shards.iter().collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(DataError::content(twice[0], "is named twice by `shards` in [data]")),
        None => Ok(shards),
    }
}

/// The tar files in a folder, in natural order.
fn below(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let entries = std::fs::read_dir(folder).map_err(DataError::read(folder))?;
    let mut shards = Vec::new();
    for entry in entries {
        let path = entry.map_err(DataError::read(folder))?.path();
        if path.extension().is_some_and(|extension| extension == "tar") && path.is_file() {
            shards.push(path);
        }
    }
    if shards.is_empty() {
        return Err(DataError::content(
            folder,
            "has no tar files; shards end in .tar, and those that end in .tar.gz or .tgz must be unpacked with gunzip",
        ));
    }
    shards.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(shards)
}

/// The names that a pattern stands for, as a shell's braces expand, without nesting.
fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    while let Some(start) = rest.find('{') {
        let end = start + rest[start..].find('}').ok_or("a brace is not closed")?;
        let (before, inside) = (&rest[..start], &rest[start + 1..end]);
        if inside.contains('{') {
            return Err("braces cannot stand within braces".into());
        }
        let choices = choices(inside)?;
        if names.len().saturating_mul(choices.len()) > MOST {
            return Err(format!("it names more than {MOST} files"));
        }
        names =
            names.iter().flat_map(|name| choices.iter().map(move |choice| format!("{name}{before}{choice}"))).collect();
        rest = &rest[end + 1..];
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// `000..063` or `a,b`.
fn choices(inside: &str) -> Result<Vec<String>, String> {
    let Some((first, last)) = inside.split_once("..") else {
        return match inside.split(',').map(String::from).collect::<Vec<_>>() {
            choices if choices.len() > 1 => Ok(choices),
            _ => Err(format!("`{{{inside}}}` is neither a range such as {{000..063}} nor a list such as {{a,b}}")),
        };
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().map_err(|_| format!("`{text}` is no number of a range")),
        false => Err(format!("`{text}` is no number of a range")),
    };
    let (from, to) = (number(first)?, number(last)?);
    if from > to {
        return Err(format!("the range {inside} runs backwards"));
    }
    if to - from >= MOST as u64 {
        return Err(format!("it names more than {MOST} files"));
    }
    // As in a shell: a leading zero pads all numbers to the longest.
    let padded = [first, last].iter().any(|text| text.len() > 1 && text.starts_with('0'));
    let width = if padded { first.len().max(last.len()) } else { 0 };
    Ok((from..=to).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn braces_expand_as_in_a_shell() {
        let expanded = |pattern: &str| expand(pattern).map(|names| names.join(" "));
        assert_eq!(expanded("val.tar").unwrap(), "val.tar");
        assert_eq!(expanded("v-{08..11}.tar").unwrap(), "v-08.tar v-09.tar v-10.tar v-11.tar");
        assert_eq!(expanded("v-{8..10}.tar").unwrap(), "v-8.tar v-9.tar v-10.tar");
        assert_eq!(expanded("{a,b}/{0..1}").unwrap(), "a/0 a/1 b/0 b/1");
        let wrong = ["{0..", "{a}", "{3..1}", "{a..b}", "{0..99999999}", "{{a,b}}", "{0..99999}{0..99999}"];
        insta::assert_snapshot!(wrong.map(|pattern| expanded(pattern).unwrap_err()).join("\n"), @r#"
        a brace is not closed
        `{a}` is neither a range such as {000..063} nor a list such as {a,b}
        the range 3..1 runs backwards
        `a` is no number of a range
        it names more than 1000000 files
        braces cannot stand within braces
        it names more than 1000000 files
        "#);
    }

    #[test]
    fn files_and_folders_are_found_and_missing_ones_named() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("deep")).unwrap();
        for name in ["b-10.tar", "b-9.tar", "notes.txt", "deep/a.tar"] {
            std::fs::write(root.path().join(name), "").unwrap();
        }
        let listed = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.to_string()).collect();
            let relative = |path: PathBuf| path.strip_prefix(root.path()).unwrap().display().to_string();
            list(root.path(), &patterns)
                .map(|shards| shards.into_iter().map(relative).collect::<Vec<_>>().join(" "))
                .map_err(|error| error.to_string().replace(&root.path().display().to_string(), "ROOT"))
        };
        assert_eq!(listed(&[]).unwrap(), "b-9.tar b-10.tar");
        assert_eq!(listed(&["deep", "b-{9..10}.tar"]).unwrap(), "deep/a.tar b-9.tar b-10.tar");
        insta::assert_snapshot!(listed(&["b-{9..11}.tar"]).unwrap_err(), @"ROOT/b-11.tar: is no file, but `shards` in [data] names it (`b-{9..11}.tar`)");
        insta::assert_snapshot!(listed(&["b-9.tar", "b-{9..10}.tar"]).unwrap_err(), @"ROOT/b-9.tar: is named twice by `shards` in [data]");
    }

    proptest! {
        #[test]
        fn any_pattern_expands_or_is_an_error(pattern in "[a{},.0-9]{0,20}") {
            if let Ok(names) = expand(&pattern) {
                prop_assert!(names.len() <= MOST);
            }
        }
    }
}
