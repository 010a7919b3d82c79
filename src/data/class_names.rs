//! Names of classes that a suite gives in a file, or the thousand of ImageNet.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::DataError;
use super::text::TextFile;
use crate::suite::ClassNames;
use crate::wording::nearest;

/// ILSVRC2012's classes in the order of their synsets: `synset name`, names as torchvision has them.
const IMAGENET: &str = include_str!("imagenet_classes.txt");

/// Names of classes by class index; where the file has them, also their synsets.
#[derive(Debug, Clone)]
pub(super) struct ClassList {
    /// The file, or `imagenet`.
    pub(super) path: PathBuf,
    /// Names, by class index; not always distinct.
    pub(super) names: Vec<String>,
    /// The index of each synset and of each name that is no other class's too.
    indices: HashMap<String, u32>,
}

impl ClassList {
    /// The names that a suite asks for.
    ///
    /// # Errors
    /// If the file cannot be read, has no names, or gives a class twice or not at all.
    pub(super) fn open(names: &ClassNames) -> Result<Self, DataError> {
        match names {
            ClassNames::Imagenet => ClassList::imagenet(),
            ClassNames::File(path) => ClassList::parse(&TextFile::open(path)?),
        }
    }

    /// The classes of ILSVRC2012.
    pub(super) fn imagenet() -> Result<Self, DataError> {
        ClassList::parse(&TextFile::parse(Path::new("imagenet"), IMAGENET.into())?)
    }

    fn parse(file: &TextFile) -> Result<Self, DataError> {
        let entries = match file.text().trim_start().chars().next() {
            Some('[' | '{') => from_json(file)?,
            _ => numbered(from_lines(file)),
        };
        if file.path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            return Err(DataError::content(&file.path, "is YAML; write one name per line, or JSON"));
        }
        if entries.is_empty() {
            return Err(DataError::content(&file.path, "has no class names"));
        }
        let mut indices: HashMap<String, u32> = HashMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let Some(synset) = &entry.synset else { continue };
            if let Some(first) = indices.insert(synset.clone(), index as u32) {
                return Err(file.wrong(entry.line, format!("class {index} is `{synset}`, as class {first} is already")));
            }
        }
        let mut count: HashMap<&str, usize> = HashMap::new();
        entries.iter().for_each(|entry| *count.entry(&entry.name).or_default() += 1);
        for (index, entry) in entries.iter().enumerate() {
            if count[entry.name.as_str()] == 1 {
                indices.entry(entry.name.clone()).or_insert(index as u32);
            }
        }
        let names = entries.iter().map(|entry| entry.name.clone()).collect();
        Ok(ClassList { path: file.path.clone(), names, indices })
    }

    /// The class with this synset or, if it is only one, this name.
    pub(super) fn index(&self, text: &str) -> Option<u32> {
        self.indices.get(text).copied()
    }

    /// The synsets with their class indices, in no particular order.
    pub(super) fn synsets(&self) -> impl Iterator<Item = (&str, u32)> {
        self.indices.iter().filter(|(text, _)| is_synset(text)).map(|(synset, index)| (synset.as_str(), *index))
    }

    /// A class that `text` could mean, for messages.
    pub(super) fn near(&self, text: &str) -> String {
        let mut known: Vec<&str> = self.indices.keys().map(String::as_str).collect();
        known.sort_unstable();
        match nearest(text, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the classes are those of {}", self.path.display()),
        }
    }

    /// The names, for a data set with these classes.
    ///
    /// # Errors
    /// If there are not as many names as classes.
    pub(super) fn rename(&self, classes: &[String]) -> Result<Vec<String>, DataError> {
        if self.names.len() != classes.len() {
            let problem = format!("has {} class names, but the data has {} classes", self.names.len(), classes.len());
            return Err(DataError::content(&self.path, problem));
        }
        Ok(self.names.clone())
    }
}

struct Entry {
    line: usize,
    synset: Option<String>,
    name: String,
}

/// Whether `text` is a WordNet id such as `n01440764`.
pub(super) fn is_synset(text: &str) -> bool {
    text.len() == 9 && text.starts_with('n') && text.bytes().skip(1).all(|byte| byte.is_ascii_digit())
}

/// One class per line: a name, a synset, or both (`n01440764 tench, Tinca tinca`), of whose names the first is kept.
fn from_lines(file: &TextFile) -> Vec<Entry> {
    let entry = |(line, text): (usize, &str)| {
        let (first, rest) = text.split_once([' ', '\t', ',']).unwrap_or((text, ""));
        if !is_synset(first) {
            return Entry { line, synset: None, name: text.to_owned() };
        }
        let name = rest.split(',').next().unwrap_or("").trim();
        Entry { line, synset: Some(first.to_owned()), name: if name.is_empty() { first } else { name }.to_owned() }
    };
    file.lines().map(entry).collect()
}

/// Lines that tell their classes themselves, `3 cat`, `3: cat` or `cat 3`, in their order and without the numbers; others as they are.
/// Numbers from 1 on count the classes from the first.
fn numbered(entries: Vec<Entry>) -> Vec<Entry> {
    let parts = [before as fn(&str) -> Option<(u32, &str)>, behind];
    for part in parts {
        let pairs: Option<Vec<(u32, &str)>> = entries.iter().map(|entry| part(&entry.name)).collect();
        let Some(mut pairs) =
            pairs.filter(|pairs| pairs.len() > 1 && entries.iter().all(|entry| entry.synset.is_none()))
        else {
            continue;
        };
        let mut places: Vec<usize> = (0..pairs.len()).collect();
        places.sort_by_key(|place| pairs[*place].0);
        pairs.sort_by_key(|(number, _)| *number);
        let first = pairs[0].0;
        let distinct: std::collections::HashSet<&str> = pairs.iter().map(|(_, name)| *name).collect();
        if first <= 1
            && distinct.len() == pairs.len()
            && pairs.iter().enumerate().all(|(at, (number, _))| *number == at as u32 + first)
        {
            let entry = |(place, (_, name)): (&usize, &(u32, &str))| Entry {
                line: entries[*place].line,
                synset: None,
                name: (*name).to_owned(),
            };
            return places.iter().zip(&pairs).map(entry).collect();
        }
    }
    entries
}

/// The number that a line begins with, and the name behind it.
fn before(line: &str) -> Option<(u32, &str)> {
    let end = line.find(|letter: char| !letter.is_ascii_digit())?;
    let rest = line[end..].strip_prefix([' ', '\t', ',', ':', ';'])?.trim();
    Some((line[..end].parse().ok()?, rest)).filter(|(_, name)| !name.is_empty())
}

/// The number that a line ends with, and the name before it.
fn behind(line: &str) -> Option<(u32, &str)> {
    let (name, number) = line.rsplit_once([' ', '\t', ',', ':', ';'])?;
    let number = Some(number).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some((number.parse().ok()?, name.trim())).filter(|(_, name)| !name.is_empty())
}

/// An object that gives each name its index, as `class_to_idx` of torchvision and `label2id` of Hugging Face.
fn from_indices(file: &TextFile, map: &serde_json::Map<String, Value>) -> Result<Vec<Entry>, DataError> {
    let mut names: Vec<Option<&String>> = vec![None; map.len()];
    for (name, index) in map {
        let place = index.as_u64().and_then(|index| names.get_mut(index as usize));
        let free = place.filter(|place| place.is_none()).ok_or_else(|| {
            let last = map.len() - 1;
            let problem =
                format!("`{name}` has the index {index}; {} classes go from 0 to {last}, each once", map.len());
            DataError::content(&file.path, problem)
        })?;
        *free = Some(name);
    }
    let entry = |name: &String| match is_synset(name) {
        true => Entry { line: 1, synset: Some(name.clone()), name: name.clone() },
        false => Entry { line: 1, synset: None, name: name.clone() },
    };
    Ok(names.into_iter().flatten().map(entry).collect())
}

/// A list of names, a list of `[synset, name]`, or an object with one of these for each index.
fn from_json(file: &TextFile) -> Result<Vec<Entry>, DataError> {
    let value: Value =
        serde_json::from_str(file.text()).map_err(|error| file.wrong(error.line(), format!("is not JSON: {error}")))?;
    let wrong = |problem: String| DataError::content(&file.path, problem);
    let entry = |index: usize, value: &Value| match value {
        Value::String(name) => Ok(Entry { line: 1, synset: None, name: name.clone() }),
        Value::Array(both) => match both.as_slice() {
            [Value::String(synset), Value::String(name)] => {
                Ok(Entry { line: 1, synset: Some(synset.clone()), name: name.clone() })
            }
            _ => Err(wrong(format!("class {index} is neither a name nor [synset, name]"))),
        },
        _ => Err(wrong(format!("class {index} is neither a name nor [synset, name]"))),
    };
    match &value {
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| entry(index, value)).collect(),
        Value::Object(map) if map.values().all(Value::is_u64) => from_indices(file, map),
        Value::Object(map) => {
            if let Some(other) = map.keys().find(|key| key.parse::<usize>().map_or(true, |at| at >= map.len())) {
                let last = map.len() - 1;
                return Err(wrong(format!(
                    "key `{other}` is no class index; {} classes go from 0 to {last}",
                    map.len()
                )));
            }
            let class = |index: usize| match map.get(&index.to_string()) {
                Some(value) => entry(index, value),
                None => Err(wrong(format!("class {index} is missing"))),
            };
            (0..map.len()).map(class).collect()
        }
        _ => Err(wrong("is neither a list nor an object of class names".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Result<ClassList, String> {
        let file =
            TextFile::parse(Path::new("names.txt"), text.as_bytes().to_vec()).map_err(|error| error.to_string())?;
        ClassList::parse(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn imagenets_classes_are_in_the_order_of_their_synsets() {
        let list = ClassList::imagenet().unwrap();
        assert_eq!(list.names.len(), 1000);
        assert_eq!((list.index("n01440764"), list.index("n15075141")), (Some(0), Some(999)));
        assert_eq!((list.names[0].as_str(), list.names[281].as_str()), ("tench", "tabby"));
        let synsets: Vec<&str> = IMAGENET.lines().map(|line| &line[..9]).collect();
        assert!(synsets.iter().all(|synset| is_synset(synset)) && synsets.is_sorted());
        assert_eq!((list.index("crane"), list.index("crane bird")), (Some(517), Some(134)));
    }

    #[test]
    fn every_form_of_a_list_is_read() {
        let forms = [
            "tench\ngoldfish\n",
            "n01440764 tench, Tinca tinca\r\nn01443537 goldfish, Carassius auratus\r\n",
            "\u{feff}n01440764,tench\n\nn01443537,goldfish",
            r#"["tench", "goldfish"]"#,
            r#"{"1": ["n01443537", "goldfish"], "0": ["n01440764", "tench"]}"#,
            r#"{"0": "tench", "1": "goldfish"}"#,
            r#"{"goldfish": 1, "tench": 0}"#,
            "1 goldfish\n0 tench\n",
            "1: tench\n2: goldfish\n",
            "tench,0\ngoldfish,1\n",
        ];
        for form in forms {
            let list = parsed(form).unwrap();
            assert_eq!(list.names, ["tench", "goldfish"], "{form}");
            assert_eq!(list.index("goldfish"), Some(1), "{form}");
            assert!(!form.contains("n01443537") || list.index("n01443537") == Some(1), "{form}");
        }
        // Of two classes with one name, the name means neither.
        let list = parsed("crane\nant\ncrane").unwrap();
        assert_eq!((list.index("crane"), list.index("ant"), list.names.len()), (None, Some(1), 3));
        assert_eq!(parsed("n01440764\nn01443537\n").unwrap().names, ["n01440764", "n01443537"]);
    }

    #[test]
    fn unusable_lists_say_why() {
        assert_eq!(parsed("class 0\nclass 1\n").unwrap().names, ["class 0", "class 1"]);
        assert_eq!(parsed("3 doors\n5 doors\n").unwrap().names, ["3 doors", "5 doors"]);
        assert!(parsed(r#"{"a": 0, "b": 0}"#).unwrap_err().contains("each once"));
        insta::assert_snapshot!(parsed("\n \n").unwrap_err(), @"names.txt: has no class names");
        insta::assert_snapshot!(parsed("n01440764 a\nn01440764 b").unwrap_err(), @"names.txt:2: class 1 is `n01440764`, as class 0 is already");
        insta::assert_snapshot!(parsed(r#"{"0": "a", "2": "b"}"#).unwrap_err(), @"names.txt: key `2` is no class index; 2 classes go from 0 to 1");
        insta::assert_snapshot!(parsed(r#"["a", 7]"#).unwrap_err(), @"names.txt: class 1 is neither a name nor [synset, name]");
        assert!(parsed("[\"a\",\n").unwrap_err().starts_with("names.txt:2: is not JSON: "));
        let list = parsed("a\nb").unwrap();
        insta::assert_snapshot!(list.rename(&vec![String::new(); 3]).unwrap_err(), @"names.txt: has 2 class names, but the data has 3 classes");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = TextFile::parse(Path::new("names"), bytes).map(|file| ClassList::parse(&file));
        }

        #[test]
        fn any_json_is_a_list_or_an_error(text in r#"[\[{]["\[\]{}:,0-9a-z]{0,40}"#) {
            let _ = parsed(&text);
        }
    }
}
