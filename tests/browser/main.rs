//! Reports in a real browser: the real binary makes the pages, `report.test.mjs` opens them in Chromium.

mod runs;

use std::path::Path;

use assert_cmd::Command;
use runs::Recipe;

/// Rules whose verdicts differ: failed, waived, passed, not to be told.
const RULES: &str = r#"schema = 1
[[gate]]
metric = "worst_case_accuracy"
max_drop = 0.02
[[gate]]
metric = "clean_accuracy"
max_drop = 0.01
level = "warn"
[[gate]]
metric = "worst_case_accuracy"
select = { model = "resnet20-adv", epsilon = "4/255" }
min = 0.9
[[gate]]
metric = "flip_rate"
select = { kind = "unit" }
max_rise = 0.05
level = "warn"
[[gate]]
metric = "distance_median"
max_drop = 0.001
level = "warn"
[[waiver]]
metric = "worst_case_accuracy"
select = { model = "resnet20-adv" }
reason = "another training schedule, agreed on in the review"
owner = "ana"
expires = "9999-12-31"
"#;

fn am_eval(words: &[&str], paths: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_am-eval"));
    for name in ["LD_LIBRARY_PATH", "NO_COLOR", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"] {
        command.env_remove(name);
    }
    command.args(words).args(paths);
    command
}

fn report(run: &Path) {
    am_eval(&["report"], &[run]).assert().success();
}

/// Nothing that a name may hold does anything in a page.
fn hostile(name: &str) -> String {
    format!(
        "{name}<script>window.hacked = 1</script>\"'><img src=x onerror='window.hacked = 1'>{{{{ 7 * 7 }}}}</svg></style><!--"
    )
}

/// Puts a page where the browser looks for it.
fn keep_page(page: &Path, folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    std::fs::copy(page, folder.join("report.html")).unwrap();
}

/// Writes the pages that the browser opens: one folder for each.
fn write_pages(folder: &Path) {
    let at = |name: &str| folder.join(name);
    let plain = Recipe { transfer: true, ..Recipe::default() }.write(&at("plain"));
    report(&plain);

    let models = [("resnet20", 0.84, 0.004), ("resnet20-adv", 0.79, 0.03), ("vit-tiny", 0.86, 0.028)];
    let changed = Recipe { models: &models, salt: 1, ..Recipe::default() }.write(&at("verdicts"));
    report(&changed);
    let (rules, baseline) = (at("rules.toml"), at("baseline.json"));
    std::fs::write(&rules, RULES).unwrap();
    am_eval(&["baseline", "save"], &[&plain, &baseline]).assert().success();
    let gate = |run: &Path| {
        let mut gate = am_eval(&["gate"], &[run]);
        gate.arg("--rules").arg(&rules).arg("--baseline").arg(&baseline);
        gate
    };
    gate(&changed).assert().code(100);
    am_eval(&["compare", "--out"], &[&at("compared"), &plain, &changed]).assert().success();
    keep_page(&at("compared").join("compare.html"), &at("compare"));
    am_eval(&["history", "--out"], &[&at("timeline"), &plain, &changed]).assert().success();
    keep_page(&at("timeline").join("history.html"), &at("history"));

    let same = Recipe::default().write(&at("passed"));
    report(&same);
    let first_rule = RULES.split("[[gate]]\nmetric = \"clean_accuracy").next().unwrap();
    std::fs::write(&rules, first_rule).unwrap();
    gate(&same).assert().success();

    let strong = [("frozen", 0.88, f64::INFINITY), ("masked", 0.52, f64::INFINITY)];
    report(&Recipe { models: &strong, ..Recipe::default() }.write(&at("no-flips")));

    let before = Recipe { name: hostile, transfer: true, ..Recipe::default() }.write(&at("before").join("hostile"));
    report(&before);
    am_eval(&["baseline", "save"], &[&before, &baseline]).assert().success();
    let run = Recipe { name: hostile, models: &models, salt: 1, transfer: true, ..Recipe::default() };
    let run = run.write(&at("hostile"));
    report(&run);
    gate(&run).assert().code(100);
    am_eval(&["history", "--out"], &[&at("hostile-timeline"), &before, &run]).assert().success();
    keep_page(&at("hostile-timeline").join("history.html"), &at("hostile-history"));

    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/example/report.html");
    keep_page(&example, &at("example"));

    let part = Recipe { complete: false, pictures: false, ..Recipe::default() }.write(&at("incomplete"));
    am_eval(&["report"], &[&part]).assert().code(5);
}

/// Everything about the pages that only a browser can tell. `PAGES=folder` keeps the pages, `SCREENSHOTS=folder` pictures
/// of them.
#[test]
#[ignore = "needs node and Chromium: `make browser`"]
fn reports_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let pages = std::env::var_os("PAGES").map(std::path::PathBuf::from);
    let folder = pages.as_deref().unwrap_or(folder.path());
    write_pages(folder);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/report.test.mjs");
    let status = std::process::Command::new("node").arg("--test").arg(script).env("REPORTS", folder).status();
    assert!(status.expect("failed to start node").success(), "see above what the browser found");
}
