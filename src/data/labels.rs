//! Labels as files state them: class indices, or names.

use super::class_names::ClassList;
use super::{DataError, Numbering};

/// Largest class index that is believed.
const LARGEST: u32 = 1_000_000;

/// The classes that a list of labels speaks of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Labelled {
    /// Class index of each label.
    pub(super) labels: Vec<u32>,
    /// Class names by index; empty where only an index is known.
    pub(super) classes: Vec<String>,
    /// How the classes got their numbers.
    pub(super) numbering: Numbering,
}

/// Turns labels into class indices. Whole numbers are indices. Names are looked up in `names`, as synset or name; without
/// them, the classes are the distinct names in alphabetical order. `wrong` makes an error about a label, by its place in
/// the list.
///
/// # Errors
/// If a label is empty, beyond or not among the names, or without names neither like the first: index or name.
pub(super) fn classify(
    labels: &[impl AsRef<str>],
    names: Option<&ClassList>,
    wrong: impl Fn(usize, String) -> DataError,
) -> Result<Labelled, DataError> {
    let labels = || labels.iter().map(|label| label.as_ref().trim()).enumerate();
    if let Some((at, _)) = labels().find(|(_, label)| label.is_empty()) {
        return Err(wrong(at, "the label is empty".into()));
    }
    let index = |at: usize, label: &str| -> Result<Option<u32>, DataError> {
        if !is_number(label) {
            return Ok(None);
        }
        match number(label) {
            Some(index) => Ok(Some(index)),
            None => {
                let problem = format!("label {label} is no class index; they are whole numbers from 0 to {LARGEST}");
                Err(wrong(at, problem))
            }
        }
    };
    if let Some(list) = names {
        let place = |(at, label): (usize, &str)| match index(at, label)? {
            Some(index) if list.index(label).is_some_and(|named| named != index) => {
                let (named, path) = (list.index(label).unwrap_or_default(), list.path.display());
                let problem = format!(
                    "label {label} is class {index} by its number, but class {named} by its name in {path}; give the names words, \
                     or leave them out"
                );
                Err(wrong(at, problem))
            }
            Some(index) if (index as usize) < list.names.len() => Ok(index),
            Some(index) => {
                let (count, path) = (list.names.len(), list.path.display());
                let problem = format!(
                    "label {index} is beyond the {count} classes of {path}, which go from 0 on{}",
                    if index as usize == count { "; do labels begin at 1?" } else { "" }
                );
                Err(wrong(at, problem))
            }
            None => list.index(label).ok_or_else(|| {
                wrong(at, format!("label `{label}` is no class of {}; {}", list.path.display(), list.near(label)))
            }),
        };
        let found = labels().map(place).collect::<Result<_, _>>()?;
        return Ok(Labelled { labels: found, classes: list.names.clone(), numbering: Numbering::Fixed });
    }
    let mut numbers = Vec::new();
    let mut texts = Vec::new();
    for (at, label) in labels() {
        match index(at, label)? {
            Some(number) if texts.is_empty() => numbers.push(number),
            None if numbers.is_empty() => texts.push(label),
            _ => {
                let (this, first) = if texts.is_empty() { ("name", "index") } else { ("index", "name") };
                return Err(wrong(
                    at,
                    format!(
                        "label `{label}` is a class {this}, but the first label is a class {first}; name all classes \
                             in a file, `class_names` in [data], or use one of both"
                    ),
                ));
            }
        }
    }
    if texts.is_empty() {
        let count = numbers.iter().max().map_or(0, |largest| *largest as usize + 1);
        return Ok(Labelled { labels: numbers, classes: vec![String::new(); count], numbering: Numbering::Numbers });
    }
    let mut classes: Vec<&str> = texts.clone();
    classes.sort_unstable();
    classes.dedup();
    let found = texts.iter().map(|text| classes.partition_point(|class| class < text) as u32).collect();
    let classes = classes.into_iter().map(String::from).collect();
    Ok(Labelled { labels: found, classes, numbering: Numbering::Places("labels") })
}

/// Whether a text is meant as a number: digits, with a sign, a point or an exponent, as tables of numbers write them.
fn is_number(text: &str) -> bool {
    let text = mantissa(text);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (integer, rest) = digits.split_once('.').unwrap_or((digits, ""));
    !integer.is_empty() && integer.bytes().chain(rest.bytes()).all(|byte| byte.is_ascii_digit())
}

/// What stands before the exponent of `3.0e+00`, as NumPy writes numbers by default; all of a text without one. `1e3`, which has
/// neither point nor sign, may be a name.
fn mantissa(text: &str) -> &str {
    let Some((before, exponent)) = text.split_once(['e', 'E']) else { return text };
    let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if integer && (before.contains('.') || digits.len() < exponent.len()) { before } else { text }
}

/// The class index that a text writes as a number: `7`, `007`, `7.0` as tables with gaps in a column have it, and `7.000e+00`.
pub(super) fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    if !is_number(text) {
        return None;
    }
    if mantissa(text).len() < text.len() {
        let number: f64 = text.parse().ok()?;
        return (number.fract() == 0.0 && (0.0..=f64::from(LARGEST)).contains(&number)).then_some(number as u32);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (integer, rest) = digits.split_once('.').unwrap_or((digits, ""));
    let exact = rest.bytes().all(|byte| byte == b'0');
    let negative = text.starts_with('-');
    integer.parse::<u32>().ok().filter(|number| exact && *number <= LARGEST && (*number == 0 || !negative))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::suite::ClassNames;

    fn read(labels: &[&str], names: Option<&str>) -> Result<Labelled, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.txt");
        let list = names.map(|names| {
            std::fs::write(&path, names).unwrap();
            ClassList::open(&ClassNames::File(path.clone())).unwrap()
        });
        let wrong = |at, problem| DataError::Dataset(format!("label {at}: {problem}"));
        let found = classify(labels, list.as_ref(), wrong);
        found.map_err(|error| error.to_string().replace(&folder.path().display().to_string(), "ROOT"))
    }

    fn right(labels: &[u32], classes: &[&str], numbering: Numbering) -> Result<Labelled, String> {
        let classes = classes.iter().map(|class| class.to_string()).collect();
        Ok(Labelled { labels: labels.to_vec(), classes, numbering })
    }

    #[test]
    fn indices_and_names_are_told_apart() {
        use Numbering::{Fixed, Numbers, Places};
        assert_eq!(read(&["2", " 0", "2"], None), right(&[2, 0, 2], &["", "", ""], Numbers));
        assert_eq!(read(&["dog", "ant", "dog "], None), right(&[1, 0, 1], &["ant", "dog"], Places("labels")));
        assert_eq!(read(&["dog", "0"], Some("cat\ndog")), right(&[1, 0], &["cat", "dog"], Fixed));
        assert_eq!(read(&["n01440764"], Some("n01440764 tench")), right(&[0], &["tench"], Fixed));
        assert_eq!(read(&[], None), right(&[], &[], Numbers));
    }

    #[test]
    fn numbers_are_indices_however_they_are_written() {
        let found = read(&["2.0", "10", "007", "+1", "0.", "1.100e+01", "5E+00", "-0"], None).unwrap();
        assert_eq!((found.labels, found.numbering), (vec![2, 10, 7, 1, 0, 11, 5, 0], Numbering::Numbers));
        for label in ["-1", "1.5", "-0.5", "12345678901", "1.5e+00", "1.0e+99", "-1.0e+00"] {
            let error = read(&["0", label], None).unwrap_err();
            assert!(error.contains("is no class index; they are whole numbers"), "{label}: {error}");
        }
        assert_eq!(read(&["v1.0", "1e3"], None).unwrap().numbering, Numbering::Places("labels"));
        assert_eq!(read(&["1", "0.0"], Some("0\n1")).unwrap().labels, [1, 0]);
        let error = read(&["2"], Some("0\n1\n10\n2")).unwrap_err();
        assert!(error.contains("label 2 is class 2 by its number, but class 3 by its name"), "{error}");
    }

    #[test]
    fn wrong_labels_are_placed() {
        insta::assert_snapshot!(read(&["1", ""], None).unwrap_err(), @"label 1: the label is empty");
        insta::assert_snapshot!(read(&["1", "cat"], None).unwrap_err(), @"label 1: label `cat` is a class name, but the first label is a class index; name all classes in a file, `class_names` in [data], or use one of both");
        insta::assert_snapshot!(read(&["cat", "1"], None).unwrap_err(), @"label 1: label `1` is a class index, but the first label is a class name; name all classes in a file, `class_names` in [data], or use one of both");
        insta::assert_snapshot!(read(&["99999999999"], None).unwrap_err(), @"label 0: label 99999999999 is no class index; they are whole numbers from 0 to 1000000");
        insta::assert_snapshot!(read(&["2"], Some("cat\ndog")).unwrap_err(), @"label 0: label 2 is beyond the 2 classes of ROOT/names.txt, which go from 0 on; do labels begin at 1?");
        insta::assert_snapshot!(read(&["dig"], Some("cat\ndog")).unwrap_err(), @"label 0: label `dig` is no class of ROOT/names.txt; did you mean `dog`?");
    }

    proptest! {
        #[test]
        fn every_label_has_its_class(labels in proptest::collection::vec("[a-c]{1,3}", 0..20)) {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            let found = read(&labels, None).unwrap();
            prop_assert!(found.classes.is_sorted());
            for (label, index) in labels.iter().zip(&found.labels) {
                prop_assert_eq!(&found.classes[*index as usize], label);
            }
        }

        #[test]
        fn any_labels_are_read_or_an_error(labels in proptest::collection::vec(any::<String>(), 0..6)) {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            if let Ok(found) = read(&labels, None) {
                prop_assert!(found.labels.iter().all(|label| (*label as usize) < found.classes.len()));
            }
        }
    }
}
