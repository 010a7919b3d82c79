//! Labels as files state them: class indices, or names.

use super::DataError;
use super::class_names::ClassList;

/// Largest class index that is believed.
const LARGEST: u32 = 1_000_000;

/// The classes that a list of labels speaks of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Labelled {
    /// Class index of each label.
    pub(super) labels: Vec<u32>,
    /// Class names by index; empty where only an index is known.
    pub(super) classes: Vec<String>,
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
        if !label.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        match label.parse::<u32>() {
            Ok(index) if index <= LARGEST => Ok(Some(index)),
            _ => Err(wrong(at, format!("label {label} is no class index; the largest is {LARGEST}"))),
        }
    };
    if let Some(list) = names {
        let place = |(at, label): (usize, &str)| match index(at, label)? {
            Some(index) if (index as usize) < list.names.len() => Ok(index),
            Some(index) => {
                let (count, path) = (list.names.len(), list.path.display());
                Err(wrong(at, format!("label {index} is beyond the {count} classes of {path}, which go from 0 on")))
            }
            None => list.index(label).ok_or_else(|| {
                wrong(at, format!("label `{label}` is no class of {}; {}", list.path.display(), list.near(label)))
            }),
        };
        let found = labels().map(place).collect::<Result<_, _>>()?;
        return Ok(Labelled { labels: found, classes: list.names.clone() });
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
        return Ok(Labelled { labels: numbers, classes: vec![String::new(); count] });
    }
    let mut classes: Vec<&str> = texts.clone();
    classes.sort_unstable();
    classes.dedup();
    let found = texts.iter().map(|text| classes.partition_point(|class| class < text) as u32).collect();
    Ok(Labelled { labels: found, classes: classes.into_iter().map(String::from).collect() })
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

    fn right(labels: &[u32], classes: &[&str]) -> Result<Labelled, String> {
        Ok(Labelled { labels: labels.to_vec(), classes: classes.iter().map(|class| class.to_string()).collect() })
    }

    #[test]
    fn indices_and_names_are_told_apart() {
        assert_eq!(read(&["2", " 0", "2"], None), right(&[2, 0, 2], &["", "", ""]));
        assert_eq!(read(&["dog", "ant", "dog "], None), right(&[1, 0, 1], &["ant", "dog"]));
        assert_eq!(read(&["dog", "0"], Some("cat\ndog")), right(&[1, 0], &["cat", "dog"]));
        assert_eq!(read(&["n01440764"], Some("n01440764 tench")), right(&[0], &["tench"]));
        assert_eq!(read(&[], None), right(&[], &[]));
    }

    #[test]
    fn wrong_labels_are_placed() {
        insta::assert_snapshot!(read(&["1", ""], None).unwrap_err(), @"label 1: the label is empty");
        insta::assert_snapshot!(read(&["1", "cat"], None).unwrap_err(), @"label 1: label `cat` is a class name, but the first label is a class index; name all classes in a file, `class_names` in [data], or use one of both");
        insta::assert_snapshot!(read(&["cat", "1"], None).unwrap_err(), @"label 1: label `1` is a class index, but the first label is a class name; name all classes in a file, `class_names` in [data], or use one of both");
        insta::assert_snapshot!(read(&["99999999999"], None).unwrap_err(), @"label 0: label 99999999999 is no class index; the largest is 1000000");
        insta::assert_snapshot!(read(&["2"], Some("cat\ndog")).unwrap_err(), @"label 0: label 2 is beyond the 2 classes of ROOT/names.txt, which go from 0 on");
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
