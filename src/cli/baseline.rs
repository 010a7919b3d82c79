//! `am-eval baseline`: saves a run as the baseline of later ones, and shows what a baseline holds.

use super::args::{BaselineAction, BaselineArgs};
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::gate::{baseline_failure, check_files, load_baseline, snapshot_failure};
use super::output::{print, tell};
use crate::gate::{Snapshot, baseline};
use crate::record::RunDir;
use crate::stats::wilson;
use crate::wording::format;

/// Saves or shows a baseline.
pub fn baseline(args: &BaselineArgs) -> Result<Exit, Failure> {
    match &args.action {
        BaselineAction::Save { run, file } => {
            let (dir, manifest) = RunDir::open(run).or_exit(Exit::Usage)?;
            check_files(&dir, &manifest)?;
            let (snapshot, _) = Snapshot::of_run(&dir, &manifest).map_err(snapshot_failure)?;
            baseline::save(&snapshot, file)
                .map_err(|error| Failure { exit: Exit::RunFailed, ..baseline_failure(error) })?;
            tell(&format!("{}baseline: {}\n", outline(&snapshot), file.display()));
        }
        BaselineAction::Show { file } => print(&outline(&load_baseline(file)?))?,
    }
    Ok(Exit::Success)
}

/// What a baseline holds, in lines.
fn outline(snapshot: &Snapshot) -> String {
    let about = &snapshot.provenance;
    let versions: Vec<String> = about.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let counted =
        |count: usize, one: &str| format!("{} {one}{}", format::count(count as u64), if count == 1 { "" } else { "s" });
    let mut text = format!("run       {} (suite {}, seed {})\n", about.run, about.suite, about.seed);
    let hash = about.data_hash.get(..12).unwrap_or(&about.data_hash);
    text += &format!("data      {}, {}, hash {hash}\n", about.dataset, counted(snapshot.samples.len(), "sample"));
    text += &format!("made by   {} on {}\n", versions.join(", "), about.device);
    text += &format!(
        "holds     {}, {}, {}\n",
        counted(snapshot.models.len(), "model"),
        counted(snapshot.cells.len(), "cell"),
        counted(snapshot.distances.len(), "distance table")
    );
    for model in &snapshot.models {
        let clean = wilson(model.correct.len(), model.samples.len());
        let weights = about.models.iter().find(|known| known.name == model.model);
        let weights = weights.and_then(|known| known.weights_hash.get(..12)).unwrap_or("unknown");
        text += &format!("model     {}, clean {}, weights {weights}\n", model.model, format::rate(&clean));
    }
    for (subject, estimate) in crate::gate::worst_cases(snapshot) {
        text += &format!("          worst case {subject}: {}\n", format::rate(&estimate));
    }
    text
}
