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
        self.add_at(problem, node, None);
    }

    /// `node`, which comes from this line of code, has this problem.
    pub fn add_at(&mut self, problem: impl Into<String>, node: &str, line: Option<String>) {
        let problem = problem.into();
        let node = format!("`{node}`{}", line.map_or(String::new(), |line| format!(" ({line})")));
        match self.found.iter_mut().find(|(known, _)| *known == problem) {
            Some((_, nodes)) if nodes.contains(&node) => {}
            Some((_, nodes)) => nodes.push(node),
            None => self.found.push((problem, vec![node])),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them as one message; nothing if there are none.
    pub fn text(&self) -> Option<String> {
        let line = |(problem, nodes): &(String, Vec<String>)| {
            let listed: Vec<&str> = nodes.iter().take(SHOWN).map(String::as_str).collect();
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

/// Two answers, or what is wrong with either of them or both.
///
/// # Errors
/// One problem, or the two as lines.
pub fn both<A, B>(one: Result<A, String>, other: Result<B, String>) -> Result<(A, B), String> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(one), Err(other)) => Err(format!("\n  {one}\n  {other}")),
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    }
}
