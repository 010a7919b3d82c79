//! Which process computes which block: each is told the next ones through its standard input while it works, so that none waits for
//! another until the last blocks are under way.

use std::collections::VecDeque;
use std::io::BufRead;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, OnceLock};

use super::process::Worker;
use crate::interrupt;

/// Blocks that a process knows of: the one at hand and the next, so that it does not wait for being told.
const KNOWN: usize = 2;

/// The line that tells a process that there is nothing more.
const END: &str = ".";

/// The blocks that no process has yet, in order.
pub(super) struct Assignment {
    waiting: VecDeque<String>,
}

impl Assignment {
    /// All these blocks wait.
    pub(super) fn new(keys: impl Iterator<Item = String>) -> Self {
        Assignment { waiting: keys.collect() }
    }

    /// Tells a process its next blocks, or that there are none. `is_missing`: whether a block is not there yet.
    pub(super) fn give(&mut self, worker: &mut Worker, is_missing: impl Fn(&str) -> bool) {
        worker.assigned.retain(|key| is_missing(key));
        while worker.assigned.len() < KNOWN
            && let Some(key) = self.waiting.pop_front()
        {
            worker.tell(&key);
            worker.assigned.push(key);
        }
        if self.waiting.is_empty() && worker.assigned.is_empty() && !worker.released {
            worker.tell(END);
            worker.released = true;
        }
    }

    /// What a process had that died waits again, before all others.
    pub(super) fn take_back(&mut self, worker: &mut Worker) {
        for key in worker.assigned.drain(..).rev() {
            self.waiting.push_front(key);
        }
    }
}

/// What the process is told that this one was started by.
static LINES: OnceLock<Mutex<Receiver<String>>> = OnceLock::new();

/// In a process that was started so: listens to what it is told, and asks for a stop after the block at hand when the one that started it
/// closes the line, or is no more.
pub fn listen() {
    let (sender, lines) = channel();
    let _ = LINES.set(Mutex::new(lines));
    std::thread::spawn(move || {
        let mut sender = Some(sender);
        for line in std::io::stdin().lock().lines() {
            // An error says what an end says: nobody is there any more.
            let Ok(line) = line else { break };
            match line.as_str() {
                END => sender = None,
                key => {
                    let _ = sender.as_ref().map(|sender| sender.send(key.to_owned()));
                }
            }
        }
        interrupt::request();
    });
}

/// The next block of this process, waiting for it; none if there are no more.
pub fn assigned() -> Option<String> {
    LINES.get()?.lock().ok()?.recv().ok()
}
