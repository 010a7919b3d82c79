//! The history as text, chart and page.

use std::path::{Path, PathBuf};

use super::*;
use crate::gate::testing::run;
use crate::history::{History, Moment, Unusable};

fn history(model: &str) -> History {
    let made = |(place, flips): (u64, u32)| {
        let name = format!("suite-{place}");
        let mut snapshot = run(200, 0..flips);
        snapshot.provenance.run.clone_from(&name);
        snapshot.provenance.models[0].weights_hash.clone_from(&name);
        snapshot.models[0].model = model.to_owned();
        snapshot.cells[0].cell.model = model.to_owned();
        snapshot.provenance.models[0].name = model.to_owned();
        let moment = Moment { seconds: 1_700_000_000 + place * 86_400, certain: place != 1 };
        let commit = (place > 0).then(|| "0123456789abcdef".to_owned());
        (
            Entry {
                folder: PathBuf::from(format!("reports/{name}")),
                run: name,
                moment,
                commit,
                device: "cpu".to_owned(),
            },
            snapshot,
        )
    };
    let runs = (0..6).zip([10, 14, 17, 21, 26, 30]).map(made).collect();
    let broken = Unusable { folder: PathBuf::from("reports/half"), why: "run suite-x is incomplete".to_owned() };
    History::from_runs(runs, vec![broken], 10)
}

#[test]
fn the_text_says_what_drifts_and_what_is_left_out() {
    let text = text(&history("m"), Path::new("out"));
    for expected in [
        "suite (200 samples of procedural images, seed 17), 6 runs\n",
        "from 2023-11-14 to 2023-11-19 0123456\n",
        "clean accuracy",
        "worst-case accuracy, ℓ∞ 8/255",
        "drifts down, though no single step is significant: -2.0 points (",
        "per run over the last 6 states of the model, p ",
        "left out: reports/half: run suite-x is incomplete\n",
        "look at out/history.html, out/history.csv\n",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn the_page_shows_findings_charts_runs_and_what_is_left_out() {
    let made = pages(&history("m"), &["am-eval".to_owned(), "history".to_owned()]).unwrap();
    for expected in
        ["drifts down", "time of the file", "0123456789ab", "reports&#x2f;half", "is incomplete", "Left out"]
    {
        assert!(made.page.contains(expected), "{expected}");
    }
    let names: Vec<&str> = made.charts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["1-1-m-clean-accuracy.png", "1-2-m-worst-case-accuracy-linf.png"]);
    assert!(made.charts.iter().all(|(_, png)| png.starts_with(b"\x89PNG")));
}

#[test]
fn hostile_names_stay_text() {
    let made = pages(&history("<script>alert(1)</script>"), &[]).unwrap();
    assert_eq!(made.page.matches("<script>").count(), 1);
}
