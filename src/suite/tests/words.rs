//! What is said of keys, words and numbers that were meant otherwise.

use super::{FULL, parse, replaced};
use crate::suite::*;

/// The suites that between them use every table, with a key's line and column.
fn keys_as_written() -> Vec<(&'static str, usize, &'static str)> {
    let every_kind = include_str!("../../../tests/fixtures/suites/every_kind.toml");
    let mut keys = Vec::new();
    for source in [FULL, every_kind] {
        for (line, text) in source.lines().enumerate() {
            let Some((key, _)) = text.split_once(" = ").filter(|(key, _)| !key.contains([' ', '#', '"'])) else {
                continue;
            };
            keys.push((source, line, key));
        }
    }
    keys
}

#[test]
fn a_misspelt_key_names_the_one_that_was_meant_wherever_it_stands() {
    let keys = keys_as_written();
    assert!(keys.len() > 150, "{}", keys.len());
    for (source, line, key) in keys {
        let middle = key.len() / 2;
        // Short keys get a letter too many, longer ones lack one.
        let misspelt = match key.len() {
            ..4 => format!("{key}{}", &key[..1]),
            _ => format!("{}{}", &key[..middle], &key[middle + 1..]),
        };
        let lines = source.lines().enumerate();
        let changed =
            |(at, text): (usize, &str)| if at == line { text.replacen(key, &misspelt, 1) } else { text.to_owned() };
        let text = lines.map(changed).collect::<Vec<_>>().join("\n");
        let errors = parse(&text).unwrap_err();
        let named = errors.problems().iter().find(|problem| {
            problem.suggestion().is_some_and(|help| help.contains("did you mean") && help.contains(&format!("`{key}`")))
        });
        let problem = named.unwrap_or_else(|| panic!("{misspelt} in line {}: {errors:#}", line + 1));
        // A table without `kind` is told where it begins.
        assert!(key == "kind" || errors.position(problem) == Some((line + 1, 1)), "{errors:#}");
    }
}

#[test]
fn a_key_of_another_table_is_sent_home() {
    let suggestion = |key: &str| {
        let errors = parse(&replaced("batch = 64", &format!("{key} = 1"))).unwrap_err();
        assert_eq!(errors.position(&errors.problems()[0]), Some((8, 1)));
        errors.problems()[0].suggestion().unwrap_or_default().to_owned()
    };
    assert_eq!(suggestion("objectve"), "`objective` is nearest, and belongs to `[[attack]]` of kind `features`");
    assert_eq!(suggestion("bisections"), "`bisections` belongs to `[boundary]`");
    assert_eq!(suggestion("crop"), "`crop` belongs to `[data]`");
    let strange = suggestion("colour");
    assert!(strange.starts_with("the nearest is `") && strange.contains("known are `"), "{strange}");
}

/// What is written in another way is answered with what would be right.
#[test]
fn words_and_forms_of_other_tools_are_understood() {
    for (old, new, expected) in [
        ("loss = \"dlr\"", "loss = \"cross-entropy\"", "did you mean `ce`?"),
        ("norm = \"l2\"\nepsilons", "norm = \"L_inf\"\nepsilons", "did you mean `linf`?"),
        ("optimizer = \"steepest\"", "optimizer = \"PGD\"", "did you mean `steepest`?"),
        ("device = \"cuda:1\"", "device = \"cup\"", "did you mean `cpu`?"),
        ("device = \"cuda:1\"", "device = \"gpu\"", "did you mean `cuda`?"),
        ("units = \"all\"", "units = \"al\"", "did you mean \"all\"?"),
        ("units = \"all\"", "units = \"4@3,5\"", "write `units = [\"4@3,5\"]`"),
        ("units = \"all\"", "units = { topp = 3 }", "did you mean `top`?"),
        ("units = \"all\"", "units = { rndom = 3 }", "did you mean `random`?"),
        ("epsilons = [1, 0.5]", "epsilons = \"8/255\"", "write `epsilons = [\"8/255\"]`"),
        ("epsilons = [1, 0.5]", "epsilons = 0.5", "write `epsilons = [0.5]`"),
        ("[data]", "[[data]]", "write `[data]`, in one pair of brackets"),
        ("[run]", "[[run]]", "write `[run]`, in one pair of brackets"),
        ("[transfer]\nattacks", "[damage]\nlayer", "did you mean `layers`?"),
        ("steps = 100", "steps = \"100\"", "write `steps = 100`"),
        ("steps = 100", "steps = 100.0", "write `steps = 100`"),
        ("max_drop = 0.02", "max_drop = \"2 %\"", "write `max_drop = 0.02`"),
        ("batch = 64", "batch = \"atuo\"", "did you mean \"auto\"?"),
        ("kind = \"class*\"", "kind = \"control-nois\"", "did you mean `control-noise`?"),
    ] {
        let errors = parse(&replaced(old, new)).expect_err(new);
        let helps: Vec<&str> = errors.problems().iter().filter_map(Problem::suggestion).collect();
        assert!(helps.iter().any(|help| help.contains(expected)), "{new}: {helps:?}\n{errors:#}");
    }
}

#[test]
fn numbers_that_are_far_too_large_are_told_their_limit() {
    for (digits, expected) in [("100001", "at most 100000"), ("9223372036854775807", "at most 100000")]
        .into_iter()
        .chain([("99999999999999999999", "at most 100000"), ("-1", "at least 1")])
    {
        let errors = parse(&replaced("steps = 100", &format!("steps = {digits}"))).expect_err(digits);
        assert!(errors.problems()[0].message().contains(expected), "{errors:#}");
    }
    let longer = "9".repeat(60);
    let errors = parse(&replaced("seed = 3", &format!("seed = {longer}"))).expect_err("no such seed");
    assert!(errors.problems()[0].message().contains("at most 18446744073709551615"), "{errors:#}");
    let errors = parse(&replaced("epsilons = [\"8/255\"", "epsilons = [1e308")).expect_err("no such radius");
    assert!(format!("{errors:#}").contains("epsilon 1e308 is more"), "{errors:#}");
}
