//! Where a run came from: the commit that was checked out, and its files as readers of a repository name them.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::record::{Manifest, Origin};
use crate::report::gate::{Source, Sources};
use crate::suite::gate::RuleSet;
use crate::wording::escape;

/// Now, and the commit around the suite's file: git's if it is there and answers, else what a CI job says.
#[cfg_attr(not(feature = "torch"), allow(dead_code))]
pub fn origin(suite: &Path) -> Origin {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let folder = suite.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(["--no-optional-locks", "--no-pager", "log", "-1", "--format=%H %ct"]);
    let output = git.stdin(Stdio::null()).output().ok().filter(|output| output.status.success());
    let printed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let found = printed.as_deref().and_then(|text| text.trim().split_once(' '));
    match found {
        Some((commit, time)) => Origin { started, commit: Some(commit.to_owned()), committed: time.parse().ok() },
        None => Origin { started, commit: ["GITHUB_SHA", "CI_COMMIT_SHA"].iter().find_map(commit_in), committed: None },
    }
}

/// A commit's name in a variable of the environment.
#[cfg_attr(not(feature = "torch"), allow(dead_code))]
fn commit_in(variable: &&str) -> Option<String> {
    let plain = |text: &String| (7..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    std::env::var(variable).ok().filter(plain)
}

/// The suite of a run, in the file `suite` or in the one that its command named, and the file of rules if there is one.
pub fn sources(manifest: &Manifest, suite: Option<&Path>, rules_file: Option<&Path>, rules: &RuleSet) -> Sources {
    let path = suite.map_or_else(|| suite_path(manifest), Path::to_owned);
    let suite = Source { uri: address(&path), text: manifest.suite_source.clone() };
    let rules_file = rules_file.map(|path| Source {
        uri: address(path),
        // It has just been read.
        text: crate::files::read_text(path).unwrap_or_default(),
    });
    Sources::new(suite, rules_file, rules)
}

/// The argument of the run's command that is its suite: the file with the run's text, else the first that is named as a suite is.
fn suite_path(manifest: &Manifest) -> PathBuf {
    let named = |argument: &&String| Path::new(argument).extension() == Some(OsStr::new("toml"));
    let candidates: Vec<&String> = manifest.command.iter().skip(1).filter(named).collect();
    let same = |path: &&&String| crate::files::read_text(path).is_ok_and(|text| text == manifest.suite_source);
    let found = candidates.iter().find(same).or(candidates.first());
    found.map_or_else(|| PathBuf::from(format!("{}.toml", manifest.suite_name)), |path| PathBuf::from(path.as_str()))
}

/// A path relative to the repository around the working directory, or to that directory; a file's URI where it lies elsewhere.
fn address(path: &Path) -> String {
    let working = std::env::current_dir().unwrap_or_default();
    let root = working.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(&working);
    let full = plain(&working.join(path));
    let parts = |path: &Path| {
        let parts = path.components().filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        });
        escape::uri(&parts.collect::<Vec<_>>().join("/"))
    };
    match full.strip_prefix(root) {
        Ok(inside) => parts(inside),
        Err(_) => format!("file:///{}", parts(&full)),
    }
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut found = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            Component::CurDir => {}
            other => found.push(other),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_knows_when_it_began() {
        let origin = origin(Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/mnist.toml").as_path());
        assert!(origin.started > 1_700_000_000, "{origin:?}");
        if let Some(commit) = &origin.commit {
            assert!(commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{origin:?}");
        }
    }

    #[test]
    fn addresses_are_relative_to_the_repository() {
        assert_eq!(address(Path::new("suites/../suites/./a b.toml")), "suites/a%20b.toml");
        assert!(address(Path::new("/nowhere/x.toml")).starts_with("file:///nowhere/"));
    }
}
