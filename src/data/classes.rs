//! Whether the classes of a data set can be those of a model.

use std::collections::BTreeSet;

use super::Dataset;

/// How the classes of a data set got their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// They are the data set's own, or a list of names gives them.
    Fixed,
    /// Each is the place of a name among those that are there, in alphabetical order: of `folders`, or of `labels`.
    Places(&'static str),
    /// Labels are numbers.
    Numbers,
}

/// What looks wrong about the data for a model of so many classes: one sentence, and what to do.
pub fn misfit(dataset: &dyn Dataset, classes: usize) -> Option<String> {
    let names = dataset.classes();
    match dataset.numbering() {
        Numbering::Places(noun) if names.len() != classes => Some(format!(
            "{noun} {} are classes {} in alphabetical order, but the model has {classes} classes; `class_names` in [data] \
             tells which classes they are",
            first(names.iter().map(|name| format!("`{name}`")), names.len()),
            first((0..names.len()).map(|class| class.to_string()), names.len()),
        )),
        Numbering::Places(noun) => out_of_order(noun, names),
        Numbering::Fixed if names.len() != classes && !names.is_empty() => Some(format!(
            "the data has {} classes, the model has {classes}; are they numbered alike? `class_names` in [data] names the \
             model's classes",
            names.len()
        )),
        Numbering::Numbers => begins_at_one(dataset, classes)
            .then(|| "no label is 0: do labels begin at 1? am-eval counts classes from 0".to_owned()),
        _ => None,
    }
}

/// That names which differ by a number, such as `class_2` and `class_10`, are not in the order of these numbers.
fn out_of_order(noun: &str, names: &[String]) -> Option<String> {
    let before = |name: &str| name.find(|letter: char| letter.is_numeric()).map(|at| name[..at].to_owned());
    let shared = before(names.first()?)?;
    let number = |name: &String| -> Option<u64> {
        let rest = name.strip_prefix(shared.as_str())?;
        let digits: Vec<u32> = rest.chars().map_while(digit).collect();
        (1..=18).contains(&digits.len()).then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(*digit)))
    };
    let numbers: Vec<u64> = names.iter().map(number).collect::<Option<_>>()?;
    // Folders that are numbers and nothing else were spoken of when they were found.
    if names.iter().all(|name| super::labels::number(name).is_some()) {
        return None;
    }
    let place = numbers.windows(2).position(|pair| pair[0] > pair[1])?;
    Some(format!(
        "{noun} are classes in alphabetical order, so `{}` is class {place} and `{}` is class {}; if the model's classes are in the \
         order of these numbers, `class_names` in [data] (one name per line, from class 0 on) says so",
        names[place],
        names[place + 1],
        place + 1
    ))
}

/// The value of a decimal digit, of the usual ones or those of full width or of Arabic, Persian and Devanagari.
fn digit(letter: char) -> Option<u32> {
    const ZEROS: [u32; 5] = [0x30, 0xff10, 0x660, 0x6f0, 0x966];
    ZEROS.into_iter().find_map(|zero| (letter as u32).checked_sub(zero).filter(|digit| *digit < 10))
}

/// Whether the labels are numbers from 1 on: up to the number of classes, or without a gap.
fn begins_at_one(dataset: &dyn Dataset, classes: usize) -> bool {
    let labels: BTreeSet<u32> = (0..dataset.len()).map(|index| dataset.label(index)).collect();
    let last = labels.last().map_or(0, |last| *last as usize);
    let gapless = labels.len() > 1 && labels.first() == Some(&1) && last == labels.len();
    !labels.contains(&0) && (gapless || last == classes)
}

/// The number of classes that the labels speak of.
pub fn class_count(dataset: &dyn Dataset) -> usize {
    let largest = (0..dataset.len()).map(|index| dataset.label(index) as usize + 1).max();
    dataset.classes().len().max(largest.unwrap_or(0))
}

/// The first few of a list.
fn first(words: impl Iterator<Item = String>, count: usize) -> String {
    const SHOWN: usize = 5;
    let mut text = words.take(SHOWN).collect::<Vec<_>>().join(", ");
    if count > SHOWN {
        text += &format!(" and {} more", count - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(names: &[&str]) -> Option<String> {
        let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        names.sort_unstable();
        out_of_order("labels", &names)
    }

    #[test]
    fn names_that_differ_by_a_number_are_said_to_be_out_of_order() {
        let forms = [
            ["class_2", "class_10"],
            ["c2", "c10"],
            ["2-x", "10-y"],
            ["tensor(2)", "tensor(10)"],
            ["#2", "#10"],
            ["２", "１０"],
            ["٢", "١٠"],
        ];
        for names in forms {
            let text = warning(&names).unwrap_or_else(|| panic!("{names:?} pass"));
            assert!(text.contains(&format!("`{}` is class 0 and `{}` is class 1", names[1], names[0])), "{text}");
        }
        for names in [&["c02", "c10"][..], &["cat", "dog"], &["cat2", "dog10"], &["a1", "a2", "b"], &["2", "10"], &[]] {
            assert_eq!(warning(names), None, "{names:?}");
        }
    }
}
