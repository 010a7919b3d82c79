//! Plain text, for a terminal or a log.

use std::path::Path;

use super::{cells, cells_sentence, changed, label, significant, warnings};
use crate::compare::{Comparison, Contrast, Row};
use crate::wording::columns::{Align, columns};
use crate::wording::format;

/// Cells of a contrast that are listed.
const MOST_CELLS: usize = 10;

/// The comparison as plain text; `folder` holds its files. Ends with a line break.
pub fn text(comparison: &Comparison, folder: &Path) -> String {
    let mut text = format!(
        "reference {} ({} samples of {})\n",
        comparison.reference,
        format::count(comparison.n),
        comparison.dataset
    );
    for contrast in &comparison.contrasts {
        text += &format!("\n{} in {}: {}\n", contrast.models, contrast.run, contrast.finding());
        if !contrast.rows.is_empty() {
            text += &table(contrast);
            text += &format!("  {}\n", cells_sentence(contrast));
        }
        for fixed in [false, true] {
            text += &changed(comparison, contrast, fixed, 5).map_or(String::new(), |line| format!("  {line}\n"));
        }
        for line in warnings(contrast) {
            text += &format!("  note: {line}\n");
        }
        for found in &contrast.mismatches {
            text += &format!("  differs: {}\n", found.against("reference"));
        }
        for line in &contrast.drift {
            text += &format!("  drift: {line}\n");
        }
    }
    let names = ["compare.html", "compare.csv", "changed.csv"].map(|name| folder.join(name).display().to_string());
    text + &format!("\nlook at {}\n", names.join(", "))
}

fn table(contrast: &Contrast) -> String {
    let head = ["", "reference", "run", "difference", "p", "broken", "fixed"].map(str::to_owned);
    let line = |row: &Row| {
        let [reference, run, difference, p, broken, fixed] = cells(row);
        [format!("  {}", label(row)), reference, run, difference, p, broken, fixed]
    };
    let listed = significant(contrast);
    let rows = contrast.headline().chain(listed.into_iter().take(MOST_CELLS)).map(line);
    columns(&std::iter::once(head).chain(rows).collect::<Vec<_>>(), [Align::Left; 7]) + "\n"
}
