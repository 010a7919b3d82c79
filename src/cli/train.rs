//! `am-eval train`: trains by recipes, with a progress bar and checkpoints, and writes the weights' cards.

use std::io::IsTerminal;
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::TrainArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::{say, tell, warn};
use crate::cuda::{self, Repeatability};
use crate::engine::{LibtorchError, device, guarded};
use crate::interrupt;
use crate::train::{TrainError, Trainer};

/// Trains each recipe in turn.
pub fn train(args: &TrainArgs) -> Result<Exit, Failure> {
    let device = device::resolve(args.device).or_exit(Exit::Usage)?;
    // Training on a GPU need not repeat; its gradients of weights have no such kernels.
    cuda::repeat(Repeatability::Preferred);
    if let Some(warning) = device::missed(args.device, device) {
        warn(&warning);
    }
    interrupt::listen(|| Exit::Incomplete.leave());
    for path in &args.recipes {
        let trainer = Trainer::new(path, args.data_root.clone(), args.out.clone(), device).map_err(failure)?;
        if args.fresh {
            trainer.forget().map_err(failure)?;
        }
        let bar = if args.no_progress || !std::io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(10_000)
        };
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:40}] {percent} % {elapsed} eta {eta}") {
            bar.set_style(style);
        }
        if !args.card_only {
            let weights = guarded(|| weights(&trainer, &bar)).map_err(gave_up)?;
            bar.set_position(0);
            tell(&format!("wrote {}\n", weights.map_err(failure)?.display()));
        }
        let card = guarded(|| card(&trainer, &bar)).map_err(gave_up)?;
        bar.finish_and_clear();
        tell(&format!("wrote {}\n", card.map_err(failure)?.display()));
    }
    Ok(Exit::Success)
}

fn weights(trainer: &Trainer, bar: &ProgressBar) -> Result<PathBuf, TrainError> {
    bar.set_message(trainer.recipe().arch.clone());
    let plain = bar.is_hidden();
    trainer.run(
        |progress, loss| {
            bar.set_position((progress * 10_000.0) as u64);
            bar.set_message(format!("{} loss {loss:.3}", trainer.recipe().arch));
        },
        |epoch| {
            let (at, epochs, loss, seconds) = (epoch.epoch, epoch.epochs, epoch.loss, epoch.seconds);
            let line = format!(
                "epoch {at}/{epochs}: loss {loss:.4}, held-out accuracy {:.2} %, {seconds:.0} s",
                epoch.accuracy * 100.0
            );
            if plain { say(&line) } else { bar.println(line) }
        },
        interrupt::requested,
    )
}

fn card(trainer: &Trainer, bar: &ProgressBar) -> Result<PathBuf, TrainError> {
    bar.set_message(format!("{} under attack", trainer.recipe().arch));
    let plain = bar.is_hidden();
    trainer.write_card(
        |done, total| {
            bar.set_position((done * 10_000 / total.max(1)) as u64);
            if plain {
                say(&format!("attacked {done}/{total} held-out images"));
            }
        },
        interrupt::requested,
    )
}

/// The exit code of a libtorch that gave up.
fn gave_up(error: LibtorchError) -> Failure {
    Failure::new(if error.retry() { Exit::Device } else { Exit::RunFailed }, error)
}

fn failure(error: TrainError) -> Failure {
    let exit = match &error {
        TrainError::Interrupted { .. } | TrainError::CardInterrupted { .. } => Exit::Incomplete,
        TrainError::Write { .. } | TrainError::Store(_) | TrainError::Diverged { .. } => Exit::RunFailed,
        _ => Exit::Usage,
    };
    Failure::new(exit, error)
}
