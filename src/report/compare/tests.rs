//! Every format of one comparison.

use std::path::Path;

use super::page;
use super::*;
use crate::compare::{Options, compare, write_changed, write_compare};
use crate::gate::testing::{old, run, with_distances};
use crate::gate::{CellSamples, Distance, Snapshot};
use crate::record::testing::cell;
use crate::record::{Thumbnail, Thumbnails};
use crate::report::fixture;
use crate::report::page::shell;
use crate::summary::HealthSign;

/// A second radius, distances, and misclassified samples.
fn richer(snapshot: Snapshot, shift: f64, wrong: u32) -> Snapshot {
    let at = move |sample: usize| Distance::At(0.05 + 0.0001 * sample as f64 + shift);
    let mut snapshot = with_distances(snapshot, at);
    let smaller = CellSamples {
        cell: cell(2.0 / 255.0),
        flipped: snapshot.cells[0].flipped.iter().filter(|sample| sample % 3 == 0).collect(),
        ..snapshot.cells[0].clone()
    };
    snapshot.cells.insert(0, smaller);
    snapshot.models[0].correct = (wrong..200).collect();
    snapshot
}

fn comparison() -> Comparison {
    let mut worse = richer(run(200, 5..60), 0.0, 4);
    worse.provenance.device = "another".to_owned();
    let mut better = richer(run(200, 5..8), 0.006, 2);
    better.provenance.run = "suite-better".to_owned();
    better.provenance.models[0].weights_hash = "old".to_owned();
    better.cells[1].health = vec![HealthSign::ZeroGradient(3)];
    compare(&richer(old(200, 2..20), 0.004, 2), &[worse, better], &Options::default()).unwrap()
}

fn thumbnails(side: u32) -> Thumbnails {
    let mut thumbnails = Thumbnails::default();
    let png = fixture::example("m", "a", 3, side).clean;
    for sample in 0..200 {
        thumbnails.add(&Thumbnail { sample_id: sample.to_string().into(), png: png.clone() });
    }
    thumbnails
}

fn made(comparison: &Comparison, thumbnails: &Thumbnails) -> String {
    page::page(
        comparison,
        thumbnails,
        &UnitPairs::default(),
        &["am-eval".to_owned(), "compare".to_owned(), "my run".to_owned()],
    )
    .unwrap()
}

/// A table with its numbers to six digits, beyond which they may depend on the system.
fn rounded(table: &str) -> String {
    let field = |field: &str| match field.parse::<f64>() {
        Ok(number) if field.len() > 8 => format!("{number:.5e}"),
        _ => field.to_owned(),
    };
    let line = |line: &str| line.split(',').map(field).collect::<Vec<_>>().join(",");
    table.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_format_of_one_comparison() {
    let comparison = comparison();
    insta::assert_snapshot!("text", text(&comparison, Path::new("out")));
    insta::assert_snapshot!("markdown", markdown(&comparison));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    write_compare(&path, &comparison).unwrap();
    insta::assert_snapshot!("compare.csv", rounded(&std::fs::read_to_string(&path).unwrap()));
    write_changed(&path, &comparison).unwrap();
    let changed = std::fs::read_to_string(&path).unwrap();
    let rows: u64 = comparison
        .contrasts
        .iter()
        .flat_map(|contrast| &contrast.rows)
        .map(|row| row.broken.len() + row.fixed.len())
        .sum();
    assert_eq!(changed.lines().count() as u64, rows + 1);
    let first: Vec<&str> = changed.lines().take(8).collect();
    insta::assert_snapshot!("changed.csv", first.join("\n"));
    let json = serde_json::to_value(&comparison).unwrap();
    assert_eq!(json["contrasts"][0]["rows"][1]["change"]["broken"], 14);
}

#[test]
fn the_page_has_numbers_charts_and_pictures_and_loads_nothing() {
    let page = made(&comparison(), &thumbnails(8));
    assert!(page.contains("am-eval compare &#x27;my run&#x27;"), "the command is quoted and escaped");
    for expected in ["<svg class=\"chart\"", "data:image/png;base64,", "id=\"samples\"", "less robust", "log-rank p"] {
        assert!(page.contains(expected), "{expected}");
    }
    for forbidden in ["http://", "https://", "@import", "<link", "<iframe"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("<script>").count(), 1);
    assert_eq!(page, made(&comparison(), &thumbnails(8)), "the same bytes each time");
    let bare = made(&comparison(), &Thumbnails::default());
    assert!(bare.contains("No run kept thumbnails") && bare.contains("<code>20</code>"));
}

#[test]
fn the_chart_of_differences() {
    let comparison = comparison();
    let reach = chart::reach(&comparison.contrasts);
    let figure = chart::differences(&comparison.contrasts[0], reach).unwrap();
    insta::assert_snapshot!(crate::report::chart::figure::svg(&figure, "differences").unwrap());
}

#[test]
fn pictures_never_fill_a_page_beyond_its_size() {
    let mut large = Thumbnails::default();
    for sample in 0..200 {
        large.add(&Thumbnail { sample_id: sample.to_string().into(), png: vec![7; 400_000] });
    }
    let page = made(&comparison(), &large);
    assert!(page.len() < shell::MOST_BYTES, "{}", page.len());
    assert!(page.matches("data:image/png").count() >= 5);
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "<script>alert(1)</script>\"'><img src=x>| `b`\n::error::{{ 7 * 7 }}";
    let rename = |mut snapshot: Snapshot| {
        snapshot.provenance.run = hostile.to_owned();
        snapshot.provenance.dataset = hostile.to_owned();
        snapshot.provenance.models[0].name = hostile.to_owned();
        snapshot.models[0].model = hostile.to_owned();
        snapshot.cells[0].cell.model = hostile.to_owned();
        snapshot.cells[0].cell.attack = hostile.to_owned();
        snapshot.samples = (0..20).map(|sample| format!("{hostile}{sample}").into()).collect();
        snapshot
    };
    let (before, after) = (rename(old(20, 0..2)), rename(run(20, 0..9)));
    let comparison = compare(&before, &[after], &Options::default()).unwrap();
    let page = made(&comparison, &Thumbnails::default());
    assert_eq!(page.matches("<script>").count(), 1);
    assert!(!page.contains("<img src=x") && page.contains("{{ 7 * 7 }}"));
    let markdown = markdown(&comparison);
    // Between backticks Markdown takes nothing for a tag.
    let prose: String = markdown.replace("\\`", "").split('`').step_by(2).collect();
    assert!(!prose.contains("<script>") && !markdown.contains("\n::error"), "{markdown}");
}

/// Writes a page to the folder named by `REPORT_TRY`, to be looked at.
#[test]
#[ignore = "writes files to look at"]
fn a_page_to_look_at() {
    let Some(folder) = std::env::var_os("REPORT_TRY") else { return };
    std::fs::write(Path::new(&folder).join("compare.html"), made(&comparison(), &thumbnails(32))).unwrap();
}
