//! The nearest known word to one that is not known.

/// The known word nearest to `word`, if one is near enough to be what was meant: at most a third of its letters
/// wrong, transposed, missing or too many, or the beginning of exactly one known word.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 200;
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_lowercase();
    let known: Vec<&str> = known.into_iter().collect();
    let tolerated = (word.chars().count() / 3).max(1);
    let close = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&word, &name.to_lowercase()), *name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= tolerated && *distance < name.chars().count());
    if let Some((_, name)) = close {
        return Some(name);
    }
    let mut begun = known.into_iter().filter(|name| word.len() >= 3 && name.to_lowercase().starts_with(&word));
    match (begun.next(), begun.next()) {
        (Some(name), None) => Some(name),
        _ => None,
    }
}

/// "did you mean …?" if a known word is near, else the list of what is known; of more than twenty the five that are nearest.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let mut distinct = std::collections::HashSet::new();
    let known: Vec<&str> = known.into_iter().filter(|name| distinct.insert(*name)).collect();
    let last = with_last_part(word, &known);
    if !last.is_empty() {
        let named: Vec<String> = last.iter().map(|name| format!("`{name}`")).collect();
        return format!("did you mean {}?", named.join(" or "));
    }
    if let Some(name) = nearest(word, known.iter().copied()) {
        return format!("did you mean `{name}`?");
    }
    let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match known.len() {
        0 => "there are none".to_string(),
        1 => format!("the only one is {}", quoted(&known)),
        count if count > SHOWN => format!("the nearest of {count} are {}", quoted(&most_alike(word, known))),
        _ => format!("known are {}", quoted(&known)),
    }
}

/// The known names whose last part is `word`: `torchvision/resnet18` for `resnet18`, `layer1.0.conv1` for `conv1`; at most five.
fn with_last_part<'a>(word: &str, known: &[&'a str]) -> Vec<&'a str> {
    let wanted = word.rsplit('/').next().unwrap_or(word).to_lowercase();
    let ends = |name: &&&str| {
        let before = name.to_lowercase();
        let before = before.strip_suffix(&wanted).filter(|_| !wanted.is_empty());
        before.is_some_and(|before| before.ends_with(['/', '.']))
    };
    known.iter().filter(ends).take(5).copied().collect()
}

/// The five names that are most like `word`, the most alike first (Winkler 1990: a common beginning counts for more).
pub fn most_alike<'a>(word: &str, mut known: Vec<&'a str>) -> Vec<&'a str> {
    known.sort_by(|a, b| strsim::jaro_winkler(word, b).total_cmp(&strsim::jaro_winkler(word, a)));
    known.truncate(5);
    known
}

/// What an error of serde means by an unknown field or variant: the nearest of the names that it lists.
pub fn of_serde(message: &str) -> Option<String> {
    let message = message.lines().rev().find(|line| line.starts_with("unknown ")).unwrap_or(message);
    let mut names = message.split('`').skip(1).step_by(2);
    let unknown = names.next().filter(|_| message.starts_with("unknown "))?;
    let known: Vec<&str> = names.collect();
    (!known.is_empty()).then(|| did_you_mean(unknown, known))
}

/// Text of a file as a message shows it: control characters escaped, at most 60 characters.
pub fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut escaped = text.chars().flat_map(char::escape_debug);
    let mut short: String = escaped.by_ref().take(LONGEST).collect();
    if escaped.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typos_and_beginnings_but_not_strangers() {
        let known = ["steps", "step_size", "epsilons", "norm"];
        assert_eq!(nearest("stesp", known), Some("steps"));
        assert_eq!(nearest("Steps", known), Some("steps"));
        assert_eq!(nearest("epsilon", known), Some("epsilons"));
        assert_eq!(nearest("eps", known), Some("epsilons"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn a_name_without_its_beginning_is_completed() {
        let known = ["cifar/resnet8", "cifar/resnet18", "timm/resnet18", "torchvision/resnet18", "torchvision/vgg11"];
        let expected = "did you mean `cifar/resnet18` or `timm/resnet18` or `torchvision/resnet18`?";
        assert_eq!(did_you_mean("resnet18", known), expected);
        assert_eq!(did_you_mean("torch/ResNet18", known), expected);
        assert_eq!(did_you_mean("conv2", ["layer1.conv1", "layer1.conv2"]), "did you mean `layer1.conv2`?");
    }

    #[test]
    fn lists_what_is_known_when_nothing_is_near() {
        assert_eq!(did_you_mean("colour", ["linf", "l2", "linf"]), "known are `linf`, `l2`");
        let many: Vec<String> = (0..25).map(|i| format!("layer-number-{i}")).collect();
        let help = did_you_mean("layer-7", many.iter().map(String::as_str));
        assert!(help.starts_with("the nearest of 25 are `layer-number-"), "{help}");
    }

    #[test]
    fn words_that_serde_lists_are_compared() {
        let field = "unknown field `epoch`, expected one of `epochs`, `batch`";
        assert_eq!(of_serde(field).as_deref(), Some("did you mean `epochs`?"));
        let of_toml = format!("TOML parse error at line 1, column 1\n  |\n1 | epoch = 3\n  | ^^^^^\n{field}\n");
        assert_eq!(of_serde(&of_toml).as_deref(), Some("did you mean `epochs`?"));
        assert_eq!(
            of_serde("unknown variant `sdg`, expected `sgd` or `adamw`").as_deref(),
            Some("did you mean `sgd`?")
        );
        assert_eq!(of_serde("missing field `batch`"), None);
    }

    #[test]
    fn long_and_strange_text_is_shown_short_and_escaped() {
        assert_eq!(excerpt("a\u{1b}[31m\n"), "a\\u{1b}[31m\\n");
        assert_eq!(excerpt(&"x".repeat(1000)), format!("{}…", "x".repeat(60)));
        assert_eq!(nearest(&"x".repeat(1_000_000), ["x"]), None);
    }
}
