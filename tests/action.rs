//! The action in the repository's root, its scripts and the hook: run by plain bash, with programs in the place of GitHub and GitLab.
#![cfg(unix)]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::Runs;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const ACTION: &str = include_str!("../action.yml");

/// One step of the action that runs a script.
#[derive(Debug, Default)]
struct Step {
    name: String,
    id: String,
    condition: String,
    env: Vec<(String, String)>,
    run: String,
}

/// The steps of `action.yml` that run scripts; those that use other actions are caches.
fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_env = false;
    let (_, text) = ACTION.split_once("  steps:\n").unwrap();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let (depth, line) = (line.len() - line.trim_start().len(), line.trim());
        let (key, value) = line.trim_start_matches("- ").split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        if line.starts_with("- ") {
            steps.push(Step::default());
        }
        let step = steps.last_mut().unwrap();
        match (key, depth) {
            ("name", _) => step.name = value.to_owned(),
            ("id", 6) => step.id = value.to_owned(),
            ("if", 6) => step.condition = value.to_owned(),
            ("run", 6) => step.run = value.trim_matches('\'').to_owned(),
            (_, 8) if in_env => step.env.push((key.to_owned(), value.to_owned())),
            _ => {}
        }
        in_env = key == "env" || in_env && depth == 8;
    }
    steps.retain(|step| !step.run.is_empty());
    steps
}

/// The inputs' defaults.
fn defaults() -> BTreeMap<String, String> {
    let (_, text) = ACTION.split_once("inputs:\n").unwrap();
    let (text, _) = text.split_once("outputs:\n").unwrap();
    let mut found = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        match (line.strip_prefix("    default: "), line.trim().strip_suffix(':')) {
            (Some(default), _) => drop(found.insert(format!("inputs.{name}"), default.trim_matches('"').to_owned())),
            (None, Some(key)) => key.clone_into(&mut name),
            _ => {}
        }
    }
    found
}

/// What `${{ … }}` and conditions speak about.
struct Job {
    values: BTreeMap<String, String>,
    folder: tempfile::TempDir,
}

impl Job {
    fn new(inputs: &[(&str, &str)]) -> Self {
        let mut values = defaults();
        for (name, value) in inputs {
            let known = values.insert(format!("inputs.{name}"), (*value).to_owned());
            assert!(known.is_some(), "the action has no input {name}");
        }
        values.insert("github.event.pull_request.number".to_owned(), "7".to_owned());
        Job { values, folder: tempfile::tempdir().unwrap() }
    }

    fn value(&self, expression: &str) -> String {
        self.values.get(expression.trim()).cloned().unwrap_or_default()
    }

    /// `a == 'b' && c != ''`; without a condition a step runs.
    fn holds(&self, condition: &str) -> bool {
        condition.split("&&").filter(|part| !part.trim().is_empty()).all(|part| {
            let (equal, (left, right)) = match part.split_once("!=") {
                Some(sides) => (false, sides),
                None => (true, part.split_once("==").unwrap()),
            };
            (self.value(left) == right.trim().trim_matches('\'')) == equal
        })
    }

    /// Runs every step in turn; the code of the last one that ran, and all that was printed.
    fn run(&mut self, path: &Path) -> (i32, String) {
        let mut printed = String::new();
        for step in steps() {
            if !self.holds(&step.condition) {
                continue;
            }
            let outputs = self.folder.path().join("outputs");
            std::fs::write(&outputs, "").unwrap();
            let mut command = Command::new("bash");
            command.arg("-e").arg("-c").arg(&step.run).current_dir(self.folder.path());
            command.env("PATH", format!("{}:{}", path.display(), std::env::var("PATH").unwrap()));
            command.env("GITHUB_ACTION_PATH", ROOT).env("GITHUB_OUTPUT", &outputs).env("GITHUB_REPOSITORY", "o/r");
            command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY");
            for (name, value) in &step.env {
                let value = match value.strip_prefix("${{").and_then(|value| value.strip_suffix("}}")) {
                    Some(expression) => self.value(expression),
                    None => value.clone(),
                };
                command.env(name, value);
            }
            let output = command.output().unwrap();
            printed += &String::from_utf8_lossy(&output.stdout);
            printed += &String::from_utf8_lossy(&output.stderr);
            for line in std::fs::read_to_string(&outputs).unwrap().lines() {
                let (name, value) = line.split_once('=').unwrap();
                self.values.insert(format!("steps.{}.outputs.{name}", step.id), value.to_owned());
            }
            if !output.status.success() {
                return (output.status.code().unwrap(), printed);
            }
        }
        (0, printed)
    }
}

fn program(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A `gh` that keeps one comment in a folder, and knows those calls alone that the script makes.
fn gh(folder: &Path) {
    let text = r#"#!/usr/bin/env bash
set -eu
cd "$(dirname "$0")"
echo "$*" >>calls
for word in "$@"; do case $word in body=@*) body=${word#body=@};; esac; done
case "$*" in
    "api --paginate repos/o/r/issues/7/comments?per_page=100 --jq "*)
        # Another comment that quotes the first, and the comment itself.
        if [ -f comment ] && [ "$(head -n 1 comment)" = "$MARKER" ]; then printf '41\n42\n'; fi ;;
    "api --method POST repos/o/r/issues/7/comments -F body=@"*) cp "$OLDPWD/$body" comment ;;
    "api --method PATCH repos/o/r/issues/comments/41 -F body=@"*) cp "$OLDPWD/$body" comment ;;
    *) echo "unknown: $*" >&2; exit 1 ;;
esac
"#;
    program(folder, "gh", text);
}

#[test]
fn the_actions_steps_judge_a_run_comment_once_and_update_it() {
    let (runs, bin) = (Runs::new(), tempfile::tempdir().unwrap());
    gh(bin.path());
    let (baseline, same, worse) = (runs.baseline(), runs.run("same", 0..30), runs.run("worse", 0..70));
    let judge = |run: &Path| {
        let (run, baseline) = (run.to_str().unwrap(), baseline.to_str().unwrap());
        let program = env!("CARGO_BIN_EXE_am-eval");
        let mut job = Job::new(&[
            ("run", run),
            ("baseline", baseline),
            ("program", program),
            ("link-base", "https://pages.example/reports/"),
        ]);
        let ended = job.run(bin.path());
        (job, ended)
    };
    let comment = || std::fs::read_to_string(bin.path().join("comment")).unwrap();

    let (job, (code, printed)) = judge(&worse);
    assert_eq!(code, 100, "{printed}");
    assert!(printed.contains("am-eval: failed") && printed.contains("made a comment"), "{printed}");
    assert_eq!(job.value("steps.judge.outputs.verdict"), "failed");
    assert_eq!(job.value("steps.judge.outputs.report"), worse.join("report.html").to_str().unwrap());
    let sarif = job.folder.path().join(job.value("steps.judge.outputs.gate"));
    assert!(std::fs::read_to_string(sarif).unwrap().contains("\"level\": \"error\""));
    let first = comment();
    assert!(first.starts_with("<!-- am-eval gate of guarded -->\n## gate: failed"), "{first}");
    assert!(
        first.contains("-13.3 points (-17.") && first.contains("](https://pages.example/reports/worse/report.html)")
    );

    let (job, (code, printed)) = judge(&same);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("updated comment 41"), "{printed}");
    assert_eq!(job.value("steps.judge.outputs.verdict"), "passed");
    assert!(comment().contains("## gate: passed"));
    let calls = std::fs::read_to_string(bin.path().join("calls")).unwrap();
    assert_eq!(calls.matches("--method POST").count(), 1, "{calls}");
    assert_eq!(calls.matches("--method PATCH").count(), 1, "{calls}");
}

#[test]
fn other_conditions_fail_the_action_unless_it_is_told_otherwise_and_comments_can_be_left_out() {
    let (runs, bin) = (Runs::new(), tempfile::tempdir().unwrap());
    let baseline = runs.baseline();
    let other = runs.made("other", &support::SUITE.replace("steps = 20", "steps = 10"), 0..30, |_| {});
    let inputs = [
        ("run", other.to_str().unwrap()),
        ("baseline", baseline.to_str().unwrap()),
        ("program", env!("CARGO_BIN_EXE_am-eval")),
        ("comment", "false"),
    ];
    let (code, printed) = Job::new(&inputs).run(bin.path());
    assert_eq!(code, 3, "{printed}");
    let mut job = Job::new(&[&inputs[..], &[("fail-on-incomparable", "false")]].concat());
    let (code, printed) = job.run(bin.path());
    assert_eq!((code, job.value("steps.judge.outputs.verdict").as_str()), (0, "not-comparable"), "{printed}");
    let (code, printed) = Job::new(&[("program", "/no/such/program")]).run(bin.path());
    assert!(code == 2 && printed.contains("there is no program"), "{printed}");
}

/// A suite that takes a moment.
#[cfg(feature = "torch")]
#[test]
fn the_action_runs_a_suite() {
    let (folder, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let suite = folder.path().join("small suite.toml");
    let text = format!(
        "schema = 1\nname = \"small\"\n[data]\nkind = \"synthetic\"\nsamples = 10\n[[model]]\nname = \"cnn\"\n\
         arch = \"cifar/resnet8\"\nweights = \"{ROOT}/models/synthetic-cnn.safetensors\"\n\
         normalize = {{ mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }}\n[[attack]]\nname = \"logit\"\nkind = \"class-logit\"\n\
         norm = \"linf\"\nepsilons = [\"2/255\"]\nsteps = 2\n[[gate]]\nmetric = \"clean_accuracy\"\nmin = 0.01\n"
    );
    std::fs::write(&suite, text).unwrap();
    let inputs = [
        ("suite", suite.to_str().unwrap()),
        ("program", env!("CARGO_BIN_EXE_am-eval")),
        ("comment", "false"),
        ("arguments", "--device cpu --limit 10"),
    ];
    let mut job = Job::new(&inputs);
    let (code, printed) = job.run(bin.path());
    assert_eq!((code, job.value("steps.judge.outputs.verdict").as_str()), (0, "passed"), "{printed}");
    assert!(job.folder.path().join(job.value("steps.judge.outputs.report")).is_file(), "{printed}");
    assert!(job.folder.path().join("reports/comment.md").is_file());
}

#[test]
fn a_file_without_a_marker_is_no_comment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.md");
    std::fs::write(&file, "# hello\n").unwrap();
    let script = |name: &str, set: &[(&str, &str)]| {
        let mut command = Command::new("bash");
        command.arg(Path::new(ROOT).join("action").join(name)).arg(&file);
        for name in ["PULL_REQUEST", "CI_MERGE_REQUEST_IID", "GITLAB_TOKEN"] {
            command.env_remove(name);
        }
        let output = command.envs(set.iter().copied()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (code, message) = script("comment.sh", &[("PULL_REQUEST", "7"), ("GITHUB_REPOSITORY", "o/r")]);
    assert!(code == 2 && message.contains("am-eval gate RUN --comment FILE"), "{message}");
    let gitlab = [("CI_MERGE_REQUEST_IID", "7"), ("GITLAB_TOKEN", "t"), ("CI_API_V4_URL", "u"), ("CI_PROJECT_ID", "1")];
    assert_eq!(script("gitlab-comment.sh", &gitlab).0, 2);
    assert_eq!(script("comment.sh", &[]).0, 0, "a push has no pull request");
    assert_eq!(script("gitlab-comment.sh", &[]).0, 0);
}

/// A `curl` that keeps one note.
#[test]
fn gitlab_gets_one_note_that_is_updated() {
    if Command::new("jq").arg("--version").output().is_err() {
        eprintln!("skipped: no jq");
        return;
    }
    let (runs, bin) = (Runs::new(), tempfile::tempdir().unwrap());
    let text = r#"#!/usr/bin/env bash
set -eu
here=$(dirname "$0")
echo "$*" >>"$here/calls"
for word in "$@"; do case $word in body@*) body=${word#body@};; @*) grep -q '^PRIVATE-TOKEN: secret$' "${word#@}";; esac; done
case "$*" in
    *"--request POST"*"/projects/5/merge_requests/7/notes") cp "$body" "$here/note" ;;
    *"--request PUT"*"/notes/99") cp "$body" "$here/note" ;;
    *"notes?per_page=100&page=1")
        if [ -f "$here/note" ]; then jq -Rs '[{id: 98, body: "other"}, {id: 99, body: .}]' <"$here/note"; else echo '[]'; fi ;;
    *) exit 1 ;;
esac
"#;
    program(bin.path(), "curl", text);
    let baseline = runs.baseline();
    let put = |run: PathBuf| {
        let file = runs.path("comment.md");
        let mut gate = support::am_eval();
        gate.arg("gate").arg(run).arg("--baseline").arg(&baseline).arg("--comment").arg(&file);
        gate.output().unwrap();
        let output = Command::new("bash")
            .arg(Path::new(ROOT).join("action/gitlab-comment.sh"))
            .arg(file)
            .env("PATH", format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap()))
            .envs([("CI_MERGE_REQUEST_IID", "7"), ("GITLAB_TOKEN", "secret"), ("CI_PROJECT_ID", "5")])
            .env("CI_API_V4_URL", "https://gitlab.example/api/v4")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(put(runs.run("worse", 0..70)), "made a note\n");
    assert_eq!(put(runs.run("same", 0..30)), "updated note 99\n");
    assert!(std::fs::read_to_string(bin.path().join("note")).unwrap().contains("gate: passed"));
    let calls = std::fs::read_to_string(bin.path().join("calls")).unwrap();
    assert!(!calls.contains("secret"), "the token is in no list of processes");
}

#[test]
fn the_hook_of_pre_commit_validates_suites() {
    let hooks = include_str!("../.pre-commit-hooks.yaml");
    let entry = hooks.lines().find_map(|line| line.trim().strip_prefix("entry: ")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("suite.toml");
    std::fs::write(&bad, "schema = 1\nnmae = \"x\"\n").unwrap();
    let output = Command::new(Path::new(ROOT).join(entry))
        .arg(&bad)
        .env("AM_EVAL", env!("CARGO_BIN_EXE_am-eval"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && stderr.contains("did you mean `name`"), "{stderr}");
}
