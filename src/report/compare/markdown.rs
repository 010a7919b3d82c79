//! Markdown, for comments and for the summary of a CI job.

use super::{cells, cells_sentence, changed, label, significant, warnings};
use crate::compare::{Comparison, Contrast};
use crate::wording::escape::{code, markdown as escaped};
use crate::wording::format;

/// Cells of a contrast that are listed; GitHub refuses comments over 64 KiB.
const MOST_CELLS: usize = 20;

/// The comparison as Markdown.
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = format!(
        "## Comparison with `{}`\n\n{} samples of {}, paired; 95 % intervals; p values are two-sided and adjusted (Holm).\n",
        code(&comparison.reference),
        format::count(comparison.n),
        escaped(&comparison.dataset)
    );
    for contrast in &comparison.contrasts {
        text += &format!(
            "\n### {} in `{}`: {}\n\n",
            escaped(&contrast.models.to_string()),
            code(&contrast.run),
            contrast.finding()
        );
        text += &table(contrast);
        text += &format!("\n- {}\n", cells_sentence(contrast));
        for fixed in [false, true] {
            let line = changed(comparison, contrast, fixed, 10);
            text += &line.map_or(String::new(), |line| format!("- {}\n", escaped(&line)));
        }
        let differing = contrast.mismatches.iter().map(|found| found.against("reference"));
        for line in warnings(contrast).into_iter().chain(differing).chain(contrast.drift.iter().cloned()) {
            text += &format!("- {}\n", escaped(&line));
        }
    }
    text
}

fn table(contrast: &Contrast) -> String {
    let mut text = "| | reference | run | difference | p | newly broken | newly fixed |\n".to_owned();
    text += "|---|---|---|---|---|---|---|\n";
    for row in contrast.headline().chain(significant(contrast).into_iter().take(MOST_CELLS)) {
        let name = escaped(&label(row));
        text += &format!("| {} | {} |\n", name, cells(row).join(" | "));
    }
    text
}
