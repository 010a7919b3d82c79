//! What cannot be computed, all of it at once: each problem with the nodes that have it.

/// Problems in the order in which they were found.
#[derive(Default)]
pub struct Problems {
    found: Vec<(String, Vec<String>)>,
}

/// Nodes that a message names.
const SHOWN: usize = 3;

impl Problems {
    /// `node` has this problem.
    pub fn add(&mut self, problem: impl Into<String>, node: &str) {
        let problem = problem.into();
        match self.found.iter_mut().find(|(known, _)| *known == problem) {
            Some((_, nodes)) if nodes.iter().any(|known| known == node) => {}
            Some((_, nodes)) => nodes.push(node.to_owned()),
            None => self.found.push((problem, vec![node.to_owned()])),
        }
    }

    /// All of them as one message; nothing if there are none.
    pub fn text(&self) -> Option<String> {
        let line = |(problem, nodes): &(String, Vec<String>)| {
            let listed: Vec<String> = nodes.iter().take(SHOWN).map(|node| format!("`{node}`")).collect();
            let more = if nodes.len() > SHOWN { format!(" and {} more", nodes.len() - SHOWN) } else { String::new() };
            let word = if nodes.len() == 1 { "node" } else { "nodes" };
            format!("{word} {}{more}: {problem}", listed.join(", "))
        };
        match &self.found[..] {
            [] => None,
            [only] => Some(line(only)),
            several => Some(several.iter().map(|problem| format!("\n  {}", line(problem))).collect()),
        }
    }
}
