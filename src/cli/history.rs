//! `am-eval history`: many runs in their order, with steps and trends.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::args::{HistoryArgs, HistoryFormat, HistoryOrder};
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::{tell_exactly, warn};
use crate::gate::Snapshot;
use crate::history::{Entry, History, Moment, Unusable};
use crate::outputs::write_history_pages;
use crate::record::{Manifest, RunDir};
use crate::report::history as render;
use crate::wording::escape;

/// The file that makes a folder a run.
const MANIFEST: &str = "manifest.json";
/// Folders within folders that are looked through for runs.
const DEPTH: usize = 6;

/// Puts the runs in order, writes tables and page, and prints what was found.
pub fn history(args: &HistoryArgs) -> Result<Exit, Failure> {
    let mut folders = Vec::new();
    for path in &args.runs {
        let before = folders.len();
        find(path, DEPTH, &mut folders);
        if folders.len() == before {
            return Err(nothing_in(path));
        }
    }
    folders.sort();
    folders.dedup();
    let (mut runs, mut unusable) = (Vec::new(), Vec::new());
    for folder in folders {
        match load(&folder, args.order) {
            Ok(run) => runs.push(run),
            Err(why) => unusable.push(Unusable { folder, why }),
        }
    }
    unusable.iter().for_each(|folder| warn(&format!("{} is left out: {}", folder.folder.display(), folder.why)));
    if runs.is_empty() {
        return Err(Failure::message(
            Exit::NothingSelected,
            "none of the runs can be used",
            "finish them with the same `am-eval run`, or make their tables again with `am-eval report RUN`",
        ));
    }
    runs.sort_by(|(a, _), (b, _)| a.moment.seconds.cmp(&b.moment.seconds).then_with(|| a.folder.cmp(&b.folder)));
    let history = History::from_runs(runs, unusable, args.last);
    let command: Vec<String> = std::env::args().collect();
    write_history_pages(&args.out, &history, &command).or_exit(Exit::RunFailed)?;
    tell_exactly(&match args.format {
        HistoryFormat::Text => escape::terminal(&render::text(&history, &args.out)).into_owned(),
        HistoryFormat::Json => escape::json_text(&history).or_exit(Exit::RunFailed)? + "\n",
    });
    Ok(if args.fail_on_drift && history.worsens() { Exit::GateFailed } else { Exit::Success })
}

/// The folders of runs in `path`, which may be one itself.
fn find(path: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if path.join(MANIFEST).exists() {
        return found.push(path.to_owned());
    }
    let Some(deeper) = depth.checked_sub(1) else { return };
    let Ok(entries) = std::fs::read_dir(path) else { return };
    // Links are not followed: they could lead in a circle.
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut folders: Vec<PathBuf> = folders.map(|entry| entry.path()).collect();
    folders.sort();
    folders.iter().for_each(|folder| find(folder, deeper, found));
}

fn nothing_in(path: &Path) -> Failure {
    let problem = match path.exists() {
        true => format!("there is no run in {}", path.display()),
        false => format!("{} does not exist", path.display()),
    };
    Failure::message(Exit::Usage, problem, "name folders of finished runs, or a folder that holds some")
}

/// A run with its place in time, or why it cannot be used.
fn load(folder: &Path, order: HistoryOrder) -> Result<(Entry, Snapshot), String> {
    let (dir, manifest) = RunDir::open(folder).map_err(|error| with_causes(&error))?;
    let (snapshot, _) = Snapshot::of_run(&dir, &manifest).map_err(|error| with_causes(&error))?;
    let entry = Entry {
        folder: folder.to_owned(),
        run: manifest.run.clone(),
        moment: moment(&manifest, folder, order)?,
        commit: manifest.origin.as_ref().and_then(|origin| origin.commit.clone()),
        device: manifest.device.clone(),
    };
    Ok((entry, snapshot))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn moment(manifest: &Manifest, folder: &Path, order: HistoryOrder) -> Result<Moment, String> {
    let of_file = || {
        let time = std::fs::metadata(folder.join(MANIFEST)).and_then(|file| file.modified()).ok();
        time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
    };
    let committed = manifest.origin.as_ref().and_then(|origin| origin.committed);
    match (order, &manifest.origin, committed) {
        (HistoryOrder::Commit, _, Some(seconds)) => Ok(Moment { seconds, certain: true }),
        (HistoryOrder::Commit, _, None) => {
            Err("it does not say when its commit was made; order by time, or run it in a checkout with git".to_owned())
        }
        (HistoryOrder::Time, Some(origin), _) => Ok(Moment { seconds: origin.started, certain: true }),
        (HistoryOrder::Time, None, _) => Ok(Moment { seconds: of_file(), certain: false }),
    }
}
