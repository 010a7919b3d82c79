//! Plain text, for a terminal or a log.

use std::path::Path;

use super::{now, sentence, series_name, short};
use crate::history::{Group, History};
use crate::wording::columns::{Align, columns};
use crate::wording::format;

/// The history as plain text; `folder` holds its files. Ends with a line break.
pub fn text(history: &History, folder: &Path) -> String {
    let mut text = String::new();
    for (place, group) in history.groups.iter().enumerate() {
        text += &of_group(group, place, history.groups.len());
    }
    for unusable in &history.unusable {
        text += &format!("left out: {}: {}\n", unusable.folder.display(), unusable.why);
    }
    let names = ["history.html", "history.csv"].map(|name| folder.join(name).display().to_string());
    text + &format!("look at {}\n", names.join(", "))
}

fn of_group(group: &Group, place: usize, groups: usize) -> String {
    let number = if groups > 1 { format!("group {}: ", place + 1) } else { String::new() };
    let runs = if group.runs.len() == 1 { "1 run".to_owned() } else { format!("{} runs", group.runs.len()) };
    let mut text = format!(
        "{number}{} ({} samples of {}, seed {}), {runs}\n",
        group.suite,
        format::count(group.samples as u64),
        group.dataset,
        group.seed
    );
    for line in &group.differs {
        text += &format!("  not with the group before: {line}\n");
    }
    if let (Some(first), Some(last)) = (group.runs.first(), group.runs.last()) {
        text += &format!("  from {} to {}\n", short(first), short(last));
    }
    let head = ["  model", "number", "now", "found"].map(str::to_owned);
    let rows = group.series.iter().map(|series| {
        [format!("  {}", series.subject.model), series_name(series), now(series), sentence(series, &group.runs)]
    });
    text + &columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), [Align::Left; 4]) + "\n\n"
}
