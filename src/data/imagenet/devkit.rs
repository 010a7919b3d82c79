//! Which class a label of ImageNet means.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::matlab;
use crate::data::DataError;
use crate::data::class_names::{ClassList, is_synset};
use crate::data::text::TextFile;

/// Classes by synset, in alphabetical order, and what the devkit's class ids mean.
pub(super) struct Synsets {
    /// Class names, by class index.
    pub(super) names: Vec<String>,
    indices: HashMap<String, u32>,
    /// Synsets by class id, where it is known.
    ids: BTreeMap<u32, String>,
}

/// Ids of classes that are trained on, in `meta.mat`: the others are inner nodes of the hierarchy.
const LEAVES: u32 = 1000;

impl Synsets {
    /// The classes of the file `synsets`, or of ImageNet. If `labels` are class ids, their meaning is looked for in `synsets`
    /// or in `meta.mat` beside them.
    ///
    /// # Errors
    /// If a file cannot be used, or class ids have no meaning.
    pub(super) fn open(synsets: Option<&Path>, labels: &Path, need_ids: bool) -> Result<Self, DataError> {
        let imagenet = ClassList::imagenet()?;
        let ids = match synsets {
            Some(path) => read(path, &imagenet, need_ids)?,
            None if need_ids => {
                let synsets = labels.with_file_name("meta.mat");
                if !synsets.is_file() {
                    let problem = format!(
                        "has class ids, whose meaning is in the devkit's meta.mat: put it beside this file ({} is not there), \
                         or name it with `synsets` in [data]",
                        synsets.display()
                    );
                    return Err(DataError::content(labels, problem));
                }
                read(&synsets, &imagenet, need_ids)?
            }
            None => BTreeMap::new(),
        };
        if ids.is_empty()
            || ids.values().all(|synset| imagenet.index(synset).is_some()) && ids.len() == imagenet.names.len()
        {
            let indices = imagenet.synsets().map(|(synset, index)| (synset.to_owned(), index)).collect();
            return Ok(Synsets { names: imagenet.names, indices, ids });
        }
        let mut sorted: Vec<&String> = ids.values().collect();
        sorted.sort();
        let name = |synset: &&String| match imagenet.index(synset) {
            Some(index) => imagenet.names[index as usize].clone(),
            None => (*synset).clone(),
        };
        let names = sorted.iter().map(name).collect();
        let indices = sorted.iter().enumerate().map(|(at, synset)| ((*synset).clone(), at as u32)).collect();
        Ok(Synsets { names, indices, ids })
    }

    /// The class index of a class id of the devkit.
    pub(super) fn of_class_id(&self, id: u32, file: &TextFile, line: usize) -> Result<u32, DataError> {
        match self.ids.get(&id) {
            Some(synset) => self.of_synset(synset, file, line),
            None => Err(file.wrong(line, format!("{id} is no class id; they go from 1 to {}", self.ids.len()))),
        }
    }

    /// The class index of a synset.
    pub(super) fn of_synset(&self, synset: &str, file: &TextFile, line: usize) -> Result<u32, DataError> {
        self.indices.get(synset).copied().ok_or_else(|| {
            let count = self.names.len();
            file.wrong(
                line,
                format!(
                    "`{synset}` is none of the {count} synsets; for other classes than ImageNet's 1000, name a file of \
                         them with `synsets` in [data]"
                ),
            )
        })
    }

    /// The class index of a synset, or of a class index from 0 on.
    pub(super) fn of_label(&self, label: &str, file: &TextFile, line: usize) -> Result<u32, DataError> {
        if is_synset(label) {
            return self.of_synset(label, file, line);
        }
        match label.parse::<u32>() {
            Ok(index) if (index as usize) < self.names.len() => Ok(index),
            _ => {
                let last = self.names.len() - 1;
                Err(file.wrong(
                    line,
                    format!("`{label}` is neither a synset such as n01440764 nor a class index from 0 to {last}"),
                ))
            }
        }
    }
}

/// Synsets by class id: of `meta.mat`, of lines of an id and a synset in either order, or of one synset per line.
fn read(path: &Path, imagenet: &ClassList, need_ids: bool) -> Result<BTreeMap<u32, String>, DataError> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mat")) {
        let mut ids = matlab::class_ids(path)?;
        ids.retain(|id, _| (1..=LEAVES).contains(id));
        return checked(path, ids);
    }
    let file = TextFile::open(path)?;
    let mut ids = BTreeMap::new();
    let mut numbered = false;
    for (place, (line, text)) in file.lines().enumerate() {
        let mut fields = text.split([' ', '\t', ',']).filter(|field| !field.is_empty());
        let (first, second) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
        let (id, synset) = match (first.parse::<u32>(), second.parse::<u32>()) {
            (Ok(id), _) if is_synset(second) => (Some(id), second),
            (_, Ok(id)) if is_synset(first) => (Some(id), first),
            _ if is_synset(first) => (None, first),
            _ => {
                return Err(file
                    .wrong(line, "has no synset, such as n01440764; a line is a synset, or a class id and a synset"));
            }
        };
        if place == 0 {
            numbered = id.is_some();
        }
        if numbered != id.is_some() {
            return Err(file.wrong(line, "either every line or none has a class id"));
        }
        let id = id.unwrap_or(place as u32 + 1);
        if ids.insert(id, synset.to_owned()).is_some() {
            return Err(file.wrong(line, format!("class id {id} stands twice")));
        }
    }
    // The devkit's ids follow another order, which an alphabetical list cannot tell.
    let alphabetical = !numbered && ids.values().is_sorted();
    if need_ids
        && alphabetical
        && ids.len() == imagenet.names.len()
        && ids.values().all(|s| imagenet.index(s).is_some())
    {
        let problem = "lists ImageNet's synsets in alphabetical order, which is not the order of the devkit's class ids; name the \
                       devkit's meta.mat instead, or a file of `id synset` lines";
        return Err(DataError::content(path, problem));
    }
    checked(path, ids)
}

fn checked(path: &Path, ids: BTreeMap<u32, String>) -> Result<BTreeMap<u32, String>, DataError> {
    let mut first_ids: HashMap<&str, u32> = HashMap::new();
    for (id, synset) in &ids {
        if let Some(first) = first_ids.insert(synset, *id) {
            return Err(DataError::content(path, format!("class ids {first} and {id} are both {synset}")));
        }
    }
    match ids.is_empty() {
        true => Err(DataError::content(path, "has no synsets")),
        false => Ok(ids),
    }
}
