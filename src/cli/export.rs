//! `am-eval export`: a run's adversarial images and numbers for other tools.

use super::args::{ExportArgs, ExportForm};
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::gate::listed;
use super::output::tell;
use crate::export::{Choice, ExportError, ImagesForm, write_images, write_robustbench};
use crate::outputs::{Damage, damages};
use crate::record::{Manifest, RunDir, RunStatus};
use crate::wording::did_you_mean;

/// Writes what was asked for into new folders.
pub fn export(args: &ExportArgs) -> Result<Exit, Failure> {
    let (dir, manifest) = RunDir::open(&args.run).or_exit(Exit::Usage)?;
    check(args, &dir, &manifest)?;
    if let Some(out) = &args.images {
        let choice = choice(args, &manifest)?;
        let form = match args.form {
            ExportForm::Png => ImagesForm::Png,
            ExportForm::Imagefolder => ImagesForm::ImageFolder,
            ExportForm::Safetensors => ImagesForm::Safetensors,
            ExportForm::Npy => ImagesForm::Npy,
        };
        let exported = write_images(&dir, &manifest, &choice, form, out).map_err(failure)?;
        tell(&format!("wrote {} images and images.csv to {}\n", exported.images, out.display()));
    }
    if let Some(out) = &args.robustbench {
        for file in write_robustbench(&dir, &manifest, out).map_err(failure)? {
            tell(&format!("wrote {}; link, authors, venue and additional_data are yours to fill in\n", file.display()));
        }
    }
    Ok(Exit::Success)
}

/// Stops if the run is not finished, or a file that the export reads is not as it was written.
fn check(args: &ExportArgs, dir: &RunDir, manifest: &Manifest) -> Result<(), Failure> {
    if manifest.status != RunStatus::Complete && !args.partial {
        return Err(Failure::message(
            Exit::Incomplete,
            format!(
                "{} is not finished: {} of {} blocks are done",
                manifest.run, manifest.blocks_done, manifest.blocks_total
            ),
            "issue the same `am-eval run` again, which goes on from there, or take what is there with --partial",
        ));
    }
    let read = |damage: &Damage| damage.is_of_numbers() || damage.file.starts_with("adversarial/");
    let damages: Vec<Damage> = damages(dir, manifest).into_iter().filter(read).collect();
    if damages.is_empty() {
        return Ok(());
    }
    Err(Failure::message(
        Exit::RunFailed,
        format!("the files of {} are not those that it wrote: {}", manifest.run, listed(&damages)),
        "`am-eval report RUN` makes tables and images again from whole blocks",
    ))
}

fn choice(args: &ExportArgs, manifest: &Manifest) -> Result<Choice, Failure> {
    let models: Vec<&str> = manifest.models.iter().map(|model| model.name.as_str()).collect();
    let attacks = manifest.attack_names();
    let attacks: Vec<&str> = attacks.iter().map(String::as_str).collect();
    known("model", &args.model, &models)?;
    known("attack", &args.attack, &attacks)?;
    Ok(Choice {
        models: args.model.clone(),
        attacks: args.attack.clone(),
        flipped: args.flipped,
        controls: args.controls,
    })
}

fn known(noun: &str, wanted: &[String], known: &[&str]) -> Result<(), Failure> {
    match wanted.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Failure::message(
            Exit::Usage,
            format!("the run has no {noun} `{name}`"),
            did_you_mean(name, known.iter().copied()),
        )),
    }
}

fn failure(error: ExportError) -> Failure {
    match &error {
        ExportError::NotSaved(_) => {
            let help = "issue the same `am-eval run` again with --save-adversarial and --fresh: images are kept only while blocks are \
                        computed";
            Failure::message(Exit::NothingSelected, error.to_string(), help)
        }
        ExportError::Nothing(_) | ExportError::NoNumber(_) => Failure::new(Exit::NothingSelected, error),
        ExportError::NotEmpty(_) => Failure::new(Exit::Usage, error),
        ExportError::Store(_) | ExportError::Images(_) | ExportError::Content { .. } => {
            Failure::new(Exit::RunFailed, error)
        }
    }
}
