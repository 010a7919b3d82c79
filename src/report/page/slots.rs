//! Places that a page keeps free, and what is put there later. Their names stand in comments, which no name of a model can
//! hold: its `<` is escaped.

use std::collections::HashMap;

use crate::suite::gate::Subject;

/// Bytes that a page leaves to the gate's pictures.
pub const ROOM: usize = 1_500_000;

/// The place called `name`, still empty.
pub fn place(name: &str) -> String {
    marks(name).concat()
}

/// The name of the place for the difference of an accuracy to the baseline's.
pub fn delta_name(subject: &Subject) -> String {
    // Any name of a model gives letters and digits.
    let hash = blake3::hash(subject.to_string().as_bytes()).to_hex();
    format!("delta-{}", &hash[..16])
}

/// Where the place called `name` begins and ends.
pub fn marks(name: &str) -> [String; 2] {
    [format!("<!--{name}-->"), format!("<!--/{name}-->")]
}

/// The page with these contents at its places, by name; those without content get empty.
pub fn filled(page: &str, contents: &HashMap<String, String>) -> String {
    let mut made = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, name, after)) = next_place(rest) {
        let [begin, end] = marks(name);
        let content = contents.get(name).map_or("", String::as_str);
        made.extend([before, &begin, content, &end]);
        rest = after;
    }
    made + rest
}

/// The first place: the page before it, its name, and the page after it.
fn next_place(page: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = page.split_once("<!--")?;
    let (name, rest) = rest.split_once("-->")?;
    let (_, after) = rest.split_once(&marks(name)[1])?;
    Some((before, name, after))
}
