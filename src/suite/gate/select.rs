//! What a rule or a waiver speaks about: fixed words and patterns, all of which must match.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Subject;
use crate::terms::{Epsilon, Norm};

/// A text with `*` for any run of characters and `?` for any one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Every text is a pattern.
    pub fn new(text: impl Into<String>) -> Self {
        Pattern(text.into())
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of `text` matches. Takes time proportional to the product of the lengths at worst.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text): (Vec<char>, Vec<char>) = (self.0.chars().collect(), text.chars().collect());
        let (mut at, mut in_text) = (0, 0);
        // Where to go on after a mismatch: behind the last star, one character later in the text.
        let mut retry: Option<(usize, usize)> = None;
        while in_text < text.len() {
            match pattern.get(at) {
                Some('*') => {
                    retry = Some((at + 1, in_text));
                    at += 1;
                }
                Some(&letter) if letter == '?' || letter == text[in_text] => {
                    at += 1;
                    in_text += 1;
                }
                _ => {
                    let Some((star, from)) = retry else { return false };
                    retry = Some((star, from + 1));
                    (at, in_text) = (star, from + 1);
                }
            }
        }
        pattern[at..].iter().all(|letter| *letter == '*')
    }
}

/// Which cells a rule or a waiver speaks about; what is none matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selector {
    /// The model's name.
    pub model: Option<Pattern>,
    /// The attack's name.
    pub attack: Option<Pattern>,
    /// The kind of cell (`class-logit`, `unit`, `control-noise`, `control-random-unit`). Rules without it leave controls out.
    pub kind: Option<Pattern>,
    /// The norm.
    pub norm: Option<Norm>,
    /// The radius.
    pub epsilon: Option<Epsilon>,
    /// The layer of unit attacks.
    pub layer: Option<Pattern>,
    /// The unit of unit attacks.
    pub unit: Option<Pattern>,
}

impl Selector {
    /// Whether everything that is given here matches. What the subject does not have (a layer, an attack) matches
    /// nothing that is given.
    pub fn matches(&self, subject: &Subject) -> bool {
        let text = |pattern: &Option<Pattern>, text: Option<&str>| {
            pattern.as_ref().is_none_or(|pattern| text.is_some_and(|text| pattern.matches(text)))
        };
        text(&self.model, Some(&subject.model))
            && text(&self.attack, subject.attack.as_deref())
            && text(&self.kind, subject.kind.map(|kind| kind.as_str()))
            && self.norm.is_none_or(|norm| subject.norm == Some(norm))
            && self.epsilon.is_none_or(|epsilon| subject.epsilon == Some(epsilon))
            && text(&self.layer, subject.layer.as_deref())
            && text(&self.unit, subject.unit.as_deref())
    }

    /// The keys that are given, as the suite names them.
    pub fn keys(&self) -> Vec<&'static str> {
        let keys = [
            ("model", self.model.is_some()),
            ("attack", self.attack.is_some()),
            ("kind", self.kind.is_some()),
            ("norm", self.norm.is_some()),
            ("epsilon", self.epsilon.is_some()),
            ("layer", self.layer.is_some()),
            ("unit", self.unit.is_some()),
        ];
        keys.into_iter().filter(|(_, present)| *present).map(|(key, _)| key).collect()
    }
}

/// As a suite would write it: `model = "resnet*", epsilon = "8/255"`; empty if nothing is given.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = [
            ("model", &self.model),
            ("attack", &self.attack),
            ("kind", &self.kind),
            ("layer", &self.layer),
            ("unit", &self.unit),
        ];
        let texts = texts.into_iter().filter_map(|(key, pattern)| Some((key, pattern.as_ref()?.0.clone())));
        let norm = self.norm.map(|norm| ("norm", norm.to_string()));
        let epsilon = self.epsilon.map(|epsilon| ("epsilon", epsilon.to_string()));
        let all: Vec<String> =
            texts.chain(norm).chain(epsilon).map(|(key, value)| format!("{key} = \"{value}\"")).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        let cases = [
            ("resnet*", "resnet20-adv", true),
            ("resnet*", "vit", false),
            ("*adv", "resnet20-adv", true),
            ("layer?.*.conv2", "layer3.0.conv2", true),
            ("layer?.*.conv2", "layer10.0.conv2", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "ab_ab_b_a", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("?", "ü", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_and_any_cut_with_a_star(text in "[a-z.]{0,12}", cut in any::<prop::sample::Index>()) {
            prop_assert!(Pattern::new(text.clone()).matches(&text));
            let at = cut.index(text.len() + 1);
            let pattern = Pattern::new(format!("{}*{}", &text[..at], &text[at..]));
            prop_assert!(pattern.matches(&text));
            let longer = format!("{}xyz{}", &text[..at], &text[at..]);
            prop_assert!(pattern.matches(&longer));
        }
    }
}
