//! What a run shows while it goes on: a bar with flip rate and remaining time, or plain lines without a terminal.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{say, warn};
use crate::engine::{Observer, Prepared};
use crate::record::{Block, Status};
use crate::suite::{Task, WorkUnit};
use crate::wording::escape;

/// Shortest time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// A progress bar, or plain lines on standard error.
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
    said_at: Option<Instant>,
    total: usize,
    done: usize,
    /// Blocks that were there already.
    resumed: usize,
    task: String,
    attacked: u64,
    flipped: u64,
}

impl Progress {
    /// Progress of the run `name`; `plain` prints lines instead of a bar.
    pub fn new(name: &str, plain: bool) -> Self {
        let bar = if plain { ProgressBar::hidden() } else { ProgressBar::new(1) };
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} [{bar:30}] {pos}/{len} blocks, {elapsed} eta {eta}  {msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name.to_owned());
        let (started, task) = (Instant::now(), String::new());
        Progress { bar, plain, started, said_at: None, total: 0, done: 0, resumed: 0, task, attacked: 0, flipped: 0 }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    fn flip_rate(&self) -> String {
        if self.attacked == 0 {
            return String::new();
        }
        format!(", flip rate {:.1} %", 100.0 * self.flipped as f64 / self.attacked as f64)
    }

    fn remaining(&self) -> String {
        let fresh = self.done - self.resumed;
        if fresh == 0 {
            return String::new();
        }
        let each = self.started.elapsed().as_secs_f64() / fresh as f64;
        format!(", about {:.0} s left", each * (self.total - self.done) as f64)
    }
}

impl Observer for Progress {
    fn begin(&mut self, done: usize, total: usize) {
        (self.done, self.resumed, self.total) = (done, done, total);
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.reset_eta();
        self.bar.enable_steady_tick(Duration::from_millis(250));
        if self.plain && done > 0 {
            say(&format!("{done} of {total} blocks were finished before"));
        }
    }

    fn block_started(&mut self, unit: &WorkUnit, prepared: &Prepared) {
        let model = &prepared.suite.models[unit.model].name;
        let task = match unit.task {
            Task::Attack(index) => &prepared.suite.attacks[index].name,
            Task::Boundary => "boundary",
        };
        let task = format!("{model} {task}");
        if task != self.task {
            (self.attacked, self.flipped) = (0, 0);
            self.task = task;
        }
        self.bar.set_message(format!("{}{}", self.task, self.flip_rate()));
    }

    fn block_finished(&mut self, _unit: &WorkUnit, block: &Block) {
        self.done += 1;
        let attacked = || {
            block
                .records
                .iter()
                .filter(|record| !record.cell.kind.is_control() && record.status != Status::SkippedMisclassified)
        };
        self.attacked += attacked().count() as u64;
        self.flipped += attacked().filter(|record| record.flipped).count() as u64;
        self.bar.set_position(self.done as u64);
        self.bar.set_message(format!("{}{}", self.task, self.flip_rate()));
        let due = self.said_at.is_none_or(|said_at| said_at.elapsed() >= PLAIN_EVERY) || self.done == self.total;
        if self.plain && due {
            self.said_at = Some(Instant::now());
            let (done, total, task) = (self.done, self.total, &self.task);
            say(&format!("{done}/{total} blocks: {task}{}{}", self.flip_rate(), self.remaining()));
        }
    }

    fn warn(&mut self, text: &str) {
        if self.plain { warn(text) } else { self.bar.println(format!("warning: {}", escape::line(text))) }
    }
}
