//! Every format of one outcome.

use std::path::Path;

use super::*;
use crate::gate::Snapshot;
use crate::gate::testing::{judged, no_drop, old, run, with_distances};
use crate::record::{Thumbnail, Thumbnails};
use crate::report::fixture::{manifest, realistic};
use crate::suite::gate::{Metric, Pattern, Rule, RuleSet, Waiver};

fn with_wrong(mut snapshot: Snapshot, model: &str) -> Snapshot {
    snapshot.models[0].model = model.to_owned();
    snapshot.cells[0].cell.model = model.to_owned();
    snapshot.provenance.models[0].name = model.to_owned();
    for distances in &mut snapshot.distances {
        distances.model = model.to_owned();
    }
    snapshot
}

fn thumbnails() -> Thumbnails {
    let mut thumbnails = Thumbnails::default();
    for sample in 0..20 {
        thumbnails.add(&Thumbnail { sample_id: sample.to_string().into(), png: vec![0; 9] });
    }
    thumbnails
}

/// A regression, a waived one, a warning, a rule that selects nothing, drift and an expired waiver.
pub(super) fn outcome(model: &str) -> GateOutcome {
    judged_rules(model).0
}

/// The same with the rules.
pub(super) fn judged_rules(model: &str) -> (GateOutcome, RuleSet) {
    let at = |shift: f64| move |sample: usize| crate::gate::Distance::At(0.05 + 0.0001 * sample as f64 + shift);
    let before = with_wrong(with_distances(old(200, 0..10), at(0.004)), model);
    let mut after = with_wrong(with_distances(run(200, 5..40), at(0.0)), model);
    after.provenance.device = "other".to_owned();
    let waiver = |metric, expires: &str| Waiver {
        metric: Some(metric),
        select: Default::default(),
        reason: "smaller network".to_owned(),
        owner: "ana".to_owned(),
        expires: expires.parse().unwrap(),
    };
    let mut nothing = no_drop(0.01);
    nothing.select.model = Some(Pattern::new("x*"));
    let rules = RuleSet {
        rules: vec![
            no_drop(0.02),
            Rule { max_drop: Some(0.001), ..Rule::unbounded(Metric::DistanceMedian) },
            Rule { min: Some(0.8), ..Rule::unbounded(Metric::RobustAccuracy) },
            Rule { max_drop: Some(0.01), ..Rule::unbounded(Metric::CleanAccuracy) },
            Rule { level: crate::suite::gate::Level::Warn, ..nothing },
        ],
        waivers: vec![waiver(Metric::DistanceMedian, "2027-01-01"), waiver(Metric::WorstCaseAccuracy, "2025-01-01")],
    };
    (judged(&after, Some(&before), &rules), rules)
}

#[test]
fn each_format_of_one_outcome() {
    let (outcome, page) = (outcome("m"), Path::new("reports/run/report.html"));
    insta::assert_snapshot!("text", text(&outcome, page));
    insta::assert_snapshot!("markdown", markdown(&outcome));
    insta::assert_snapshot!("junit", junit(&outcome));
    insta::assert_snapshot!("github", github(&outcome));
    insta::assert_snapshot!("gitlab", gitlab(&outcome, page));
}

#[test]
fn an_outcome_reads_back_from_json() {
    let outcome = outcome("m");
    let text = serde_json::to_string(&outcome).unwrap();
    assert_eq!(serde_json::from_str::<GateOutcome>(&text).unwrap(), outcome);
}

#[test]
fn a_pass_is_short() {
    let passed =
        judged(&run(200, 0..5), Some(&old(200, 0..5)), &RuleSet { rules: vec![no_drop(0.1)], waivers: vec![] });
    insta::assert_snapshot!(text(&passed, Path::new("no/such/page.html")));
    assert_eq!(github(&passed), "");
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "<script>alert(1)</script>%0A::error::x\n| a | `b` ]]> \u{1}<!--/gate-->";
    let outcome = outcome(hostile);
    let xml = junit(&outcome);
    assert!(!xml.contains("<script>") && !xml.contains('\u{1}'), "{xml}");
    assert!(!markdown(&outcome).contains("<script>"));
    let commands = github(&outcome);
    assert!(commands.lines().all(|line| line.starts_with("::error ") || line.starts_with("::warning ")), "{commands}");
    let folder = tempfile::tempdir().unwrap();
    let models = ["resnet20"];
    crate::report::write_reports(folder.path(), &manifest("quick", &models), &realistic(&models), &[]).unwrap();
    assert!(show_gate(folder.path(), &outcome, &Thumbnails::default()).unwrap());
    let page = std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert_eq!((page.matches("<script>").count(), page.matches("<!--/gate-->").count()), (1, 1));
}

#[test]
fn the_page_shows_the_last_outcome_and_loses_a_silent_one() {
    let folder = tempfile::tempdir().unwrap();
    let models = ["resnet20"];
    crate::report::write_reports(folder.path(), &manifest("quick", &models), &realistic(&models), &[]).unwrap();
    let page = || std::fs::read_to_string(folder.path().join("report.html")).unwrap();
    let bare = page();
    assert!(show_gate(folder.path(), &outcome("resnet20"), &thumbnails()).unwrap());
    let page_with_verdict = page();
    for name in ["gate", "gate-broken", "gate-details"] {
        let section = page_with_verdict.split_once(&format!("<!--{name}-->")).unwrap().1;
        insta::assert_snapshot!(format!("page-{name}"), section.split_once("<!--/").unwrap().0);
    }
    assert!(page_with_verdict.find("id=\"gate\"") < page_with_verdict.find("id=\"verdict\""));
    let deltas = page_with_verdict.matches("<span class=\"delta").count();
    assert_eq!(deltas, 3, "of the clean accuracy, and of the only radius, which is the headline too");
    assert!(page_with_verdict.contains("<a href=\"#gate\">") && !bare.contains("<a href=\"#gate\">"));
    assert!(show_gate(folder.path(), &outcome("resnet20"), &thumbnails()).unwrap());
    assert_eq!(page(), page_with_verdict, "once");
    let silent = judged(&run(10, 0..1), None, &RuleSet::default());
    assert!(show_gate(folder.path(), &silent, &thumbnails()).unwrap());
    assert_eq!(page(), bare);
    assert!(!show_gate(&folder.path().join("none"), &silent, &thumbnails()).unwrap());
}

#[test]
fn differences_have_a_sign_unless_they_are_nothing() {
    let estimate = |point: f64| Estimate { point, lo: -0.01, hi: 0.0 };
    assert_eq!(difference(Metric::CleanAccuracy, &estimate(-0.048)), "-4.8 points (-1.0 to 0.0)");
    assert_eq!(difference(Metric::CleanAccuracy, &estimate(-0.0001)), "0.0 points (-1.0 to 0.0)");
    assert_eq!(difference(Metric::DistanceMedian, &estimate(0.0031)), "+0.00310 (-0.0100 to 0)");
    assert_eq!(
        (p_value(0.000_02), p_value(0.0213), p_value(0.5)),
        ("p < 0.0001".into(), "p = 0.0213".into(), "p = 0.50".into())
    );
}
