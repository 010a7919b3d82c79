//! `am-eval train`: trains by recipes, with a progress bar and checkpoints.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::TrainArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit, print};
use crate::engine::device;
use crate::interrupt;
use crate::train::{TrainError, Trainer};

/// Trains each recipe in turn.
pub fn train(args: &TrainArgs) -> Result<Exit, Failure> {
    let device = device::resolve(args.device).or_exit(Exit::Usage)?;
    interrupt::listen();
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
        bar.set_message(trainer.recipe().arch.clone());
        let plain = bar.is_hidden();
        let done = trainer.run(
            |progress, loss| {
                bar.set_position((progress * 10_000.0) as u64);
                bar.set_message(format!("{} loss {loss:.3}", trainer.recipe().arch));
            },
            |epoch| {
                let (at, of, loss, seconds) = (epoch.epoch, epoch.epochs, epoch.loss, epoch.seconds);
                let line = format!(
                    "epoch {at}/{of}: loss {loss:.4}, held-out accuracy {:.2} %, {seconds:.0} s",
                    epoch.accuracy * 100.0
                );
                if plain { eprintln!("{line}") } else { bar.println(line) }
            },
            interrupt::requested,
        );
        bar.finish_and_clear();
        let written = done.map_err(failure)?;
        print(&format!("wrote {}\n", written.display()))?;
    }
    Ok(Exit::Success)
}

fn failure(error: TrainError) -> Failure {
    let exit = match &error {
        TrainError::Interrupted { .. } => Exit::Incomplete,
        TrainError::Write { .. } | TrainError::Store(_) | TrainError::Diverged { .. } => Exit::RunFailed,
        _ => Exit::Usage,
    };
    Failure::new(exit, error)
}
