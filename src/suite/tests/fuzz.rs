//! Any text is a suite or a clean error; what is a suite also fulfils the schema.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::{FULL, SHIPPED, parse, render};
use crate::suite::{Suite, schema};

static VALIDATOR: LazyLock<jsonschema::Validator> =
    LazyLock::new(|| jsonschema::validator_for(&schema()).expect("the schema is one"));

/// Parse, and render whatever comes back.
fn check(source: &str) {
    match parse(source) {
        Ok(_) => {
            let instance: serde_json::Value = toml::from_str(source).expect("a suite is TOML");
            assert!(VALIDATOR.is_valid(&instance), "a suite that the schema rejects:\n{source}");
        }
        Err(errors) => {
            assert!(!errors.problems().is_empty());
            for problem in errors.problems() {
                let span = problem.span().expect("problems of a text have a place");
                assert!(span.start <= span.end && span.end <= source.len());
                assert!(errors.position(problem).is_some());
            }
            assert!(!render(&errors).contains("Failed to read contents"), "{}", render(&errors));
            assert!(format!("{errors:#}").lines().count() > errors.problems().len());
        }
    }
}

fn values() -> impl Strategy<Value = String> {
    const WORDS: [&str; 31] = [
        "-1",
        "0",
        "1",
        "16",
        "1e400",
        "nan",
        "-inf",
        "0x10",
        "9223372036854775808",
        "true",
        "\"\"",
        "\"all\"",
        "\"auto\"",
        "\"8/255\"",
        "\"-8/255\"",
        "\" +1e1 / 2 \"",
        "\"3@4,5\"",
        "[]",
        "[[]]",
        "{}",
        "[1, \"2\"]",
        "{ top = 1 }",
        "{ random = 2 }",
        "1979-05-27",
        "\"l1\"",
        "\"linf\"",
        "\"cnn\"",
        "[\"cnn\"]",
        "\"target\"",
        "\"unit\"",
        "\"ü\\n\"",
    ];
    prop_oneof![prop::sample::select(&WORDS[..]).prop_map(str::to_string), any::<f64>().prop_map(|x| format!("{x:?}"))]
}

proptest! {
    #[test]
    fn any_text_is_handled(source in "\\PC*") {
        check(&source);
    }

    #[test]
    fn text_that_looks_like_toml_is_handled(
        lines in prop::collection::vec("(\\[{0,2}[a-z.]{1,8}\\]{0,2}|[a-z_]{1,8} ?= ?[\\[\\]{}\"'0-9a-z,. ]{0,12})", 0..20)
    ) {
        check(&lines.join("\n"));
    }

    #[test]
    fn any_bytes_are_handled(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.toml");
        std::fs::write(&path, bytes).unwrap();
        prop_assert!(Suite::load(&path).is_err());
    }

    #[test]
    fn a_suite_with_another_value_is_handled(
        which in 0usize..3, line in any::<prop::sample::Index>(), value in values()
    ) {
        let source = [FULL, SHIPPED[0].1, SHIPPED[1].1][which];
        let mut lines: Vec<String> = source.lines().map(str::to_string).collect();
        let line = line.get_mut(&mut lines[..]);
        if let Some((key, _)) = line.split_once(" = ") {
            *line = format!("{key} = {value}");
        }
        check(&lines.join("\n"));
    }

    #[test]
    fn a_suite_with_pieces_cut_moved_and_doubled_is_handled(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..3), 1..4)
    ) {
        let mut lines: Vec<String> = FULL.lines().map(str::to_string).collect();
        for (a, b, edit) in edits {
            if lines.is_empty() {
                break;
            }
            let (a, b) = (a.index(lines.len()), b.index(lines.len()));
            match edit {
                0 => { lines.remove(a); }
                1 => lines.swap(a, b),
                _ => { let line = lines[a].clone(); lines.insert(b, line); }
            }
        }
        check(&lines.join("\n"));
    }

    #[test]
    fn a_suite_with_another_character_is_handled(at in any::<prop::sample::Index>(), with in any::<char>()) {
        let mut characters: Vec<char> = FULL.chars().collect();
        *at.get_mut(&mut characters[..]) = with;
        check(&characters.into_iter().collect::<String>());
    }
}
