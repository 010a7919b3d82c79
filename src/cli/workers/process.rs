//! One of the processes: how it is started, what it says, how it ends.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::super::args::RunArgs;
use super::super::exit::Exit;
use super::placement::Placement;
use crate::engine::Prepared;

/// Lines of a process that are shown when it fails.
const LAST_LINES: usize = 12;

/// A process with its share of the run.
pub struct Worker {
    /// How it is called in messages.
    pub title: String,
    /// 1 at first.
    pub attempt: usize,
    command: Command,
    child: Child,
    /// The blocks that it was told to compute and that are not there yet.
    pub assigned: Vec<String>,
    /// Whether it was told that there are no more.
    pub released: bool,
    /// When this is closed, the process stops after its block: so also if this process is killed.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    last_lines: VecDeque<String>,
}

impl Worker {
    /// Starts the process for share `index` of `count`.
    pub fn start(
        args: &RunArgs,
        prepared: &Prepared,
        placement: &Placement,
        (index, count): (usize, usize),
    ) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("run").arg("--out").arg(&args.out);
        command.args(["--worker", "--no-progress", "--shard", &format!("{index}/{count}")]);
        command.args(["--device", &placement.device_there().to_string()]);
        command.args(["--seed", &prepared.suite.seed.to_string()]);
        if let Some(limit) = args.limit {
            command.args(["--limit", &limit.to_string()]);
        }
        for (name, folder) in [("--data-root", &args.data_root), ("--weights-root", &args.weights_root)] {
            if let Some(folder) = folder {
                command.arg(name).arg(folder);
            }
        }
        if args.save_adversarial {
            command.arg("--save-adversarial");
        }
        command.arg("--").arg(&prepared.suite.path);
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let (name, value) = placement.environment(visible.as_deref());
        command.env(name, value).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        Worker::spawn(command, format!("process {index} ({placement})"), 1)
    }

    /// Starts the same once more.
    pub fn again(self) -> io::Result<Self> {
        Worker::spawn(self.command, self.title, self.attempt + 1)
    }

    fn spawn(mut command: Command, title: String, attempt: usize) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        let (sender, lines) = channel();
        if let Some(errors) = child.stderr.take() {
            std::thread::spawn(move || {
                // Lines in any encoding: what it says last may be a library's.
                let mut reader = BufReader::new(errors);
                let mut line = Vec::new();
                while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                    if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                        break;
                    }
                    line.clear();
                }
            });
        }
        let (assigned, released) = (Vec::new(), false);
        Ok(Worker { title, attempt, command, child, assigned, released, input, lines, last_lines: VecDeque::new() })
    }

    /// Gives it a line. One that cannot be given is not missed: the process has ended, which is seen otherwise.
    pub fn tell(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}").and_then(|()| input.flush());
        }
    }

    /// Asks for an end after the block at hand.
    pub fn stop(&mut self) {
        self.input = None;
    }

    /// The warnings that it gave since the last call.
    pub fn warnings(&mut self) -> Vec<String> {
        let mut warnings = Vec::new();
        for line in self.lines.try_iter() {
            if let Some(warning) = line.strip_prefix("warning: ") {
                warnings.push(warning.to_owned());
            }
            self.last_lines.push_back(line);
            if self.last_lines.len() > LAST_LINES {
                self.last_lines.pop_front();
            }
        }
        warnings
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<Ended>> {
        Ok(self.child.try_wait()?.map(Ended::from))
    }

    /// What it said last, as lines below a message.
    pub fn last_words(&mut self) -> String {
        // Its lines end with it; those that are still on their way are few.
        let rest: Vec<String> = self.lines.iter().collect();
        let lines = self.last_lines.iter().chain(&rest).filter(|line| !line.is_empty());
        lines.map(|line| format!("\n  {line}")).collect()
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its share is done.
    Finished,
    /// It failed, with this exit code.
    Failed(i32),
    /// It was killed, or crashed, with this signal where there are signals.
    Killed(Option<i32>),
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal = None;
        match status.code() {
            Some(0) => Ended::Finished,
            Some(code) => Ended::Failed(code),
            None => Ended::Killed(signal),
        }
    }
}

impl Ended {
    /// Whether the same may go well another time.
    pub fn is_worth_a_retry(self) -> bool {
        matches!(self, Ended::Killed(_)) || self == Ended::Failed(i32::from(Exit::Device.code()))
    }

    /// Whether it stopped because it was asked to.
    pub fn is_interruption(self) -> bool {
        self == Ended::Failed(i32::from(Exit::Incomplete.code()))
    }

    /// The exit code of a run that ends so.
    pub fn exit(self) -> Exit {
        match self {
            Ended::Failed(code) => {
                Exit::ALL.into_iter().find(|exit| i32::from(exit.code()) == code).unwrap_or(Exit::RunFailed)
            }
            Ended::Finished | Ended::Killed(_) => Exit::RunFailed,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Finished => f.write_str("is done"),
            Ended::Failed(code) => write!(f, "failed with exit code {code}"),
            Ended::Killed(Some(9)) => f.write_str("was killed (signal 9; the system does so when memory is short)"),
            Ended::Killed(Some(signal)) => write!(f, "was killed by signal {signal}"),
            Ended::Killed(None) => f.write_str("was killed"),
        }
    }
}
