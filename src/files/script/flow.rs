//! Whether what a script returns depends on its input by a way that gradients can take. What cannot be followed is taken to let them
//! pass, so that "no" is certain.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Class, outside, split};

/// Functions whose results have no gradient.
const CUTS: [&str; 30] = [
    "torch.detach",
    "torch.argmax",
    "torch.argmin",
    "torch.argsort",
    "torch.zeros_like",
    "torch.ones_like",
    "torch.full_like",
    "torch.empty_like",
    "torch.rand_like",
    "torch.randn_like",
    "torch.new_zeros",
    "torch.new_ones",
    "torch.new_full",
    "torch.eq",
    "torch.ne",
    "torch.lt",
    "torch.le",
    "torch.gt",
    "torch.ge",
    "torch.isnan",
    "torch.isfinite",
    "torch.logical_not",
    "torch.size",
    "torch.dim",
    "torch.numel",
    "torch.len",
    "torch.bincount",
    "torch.quantize_per_tensor",
    "torch.sym_size",
    "torch.is_floating_point",
];

/// How deep modules may lie in each other.
const DEEPEST: usize = 60;

/// Why no gradient can reach the input of the class's forward pass; none if one may.
pub(super) fn cut(classes: &[Class], root: &Class) -> Option<String> {
    let mut reader = Reader { classes, known: BTreeMap::new(), cause: None };
    let passes = reader.passes(root, "forward", DEEPEST);
    (!passes).then(|| match reader.cause {
        Some(cause) => format!("`{cause}` stands between its input and its output"),
        None => "its output does not depend on its input".to_owned(),
    })
}

struct Reader<'c> {
    classes: &'c [Class],
    /// Whether methods let gradients pass, by class and name.
    known: BTreeMap<(String, String), bool>,
    /// The first function that was seen to cut.
    cause: Option<String>,
}

/// What is known of the variables of a method.
struct Scope<'c> {
    class: &'c Class,
    /// Those that depend on the input.
    reached: BTreeSet<String>,
    /// Classes of those that hold modules.
    modules: BTreeMap<String, String>,
    /// Those that switch gradients off.
    switches: BTreeSet<String>,
}

impl<'c> Reader<'c> {
    fn passes(&mut self, class: &'c Class, name: &str, left: usize) -> bool {
        let Some(method) = class.method(name).filter(|_| left > 0) else { return true };
        let key = (class.name.clone(), name.to_owned());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        // A method that calls itself.
        self.known.insert(key.clone(), true);
        let reached = method.parameters.iter().cloned().collect();
        let mut scope = Scope { class, reached, modules: BTreeMap::new(), switches: BTreeSet::new() };
        let (mut passes, mut off) = (false, None);
        for (depth, statement) in &method.body {
            // Behind the block of a `with`.
            off = off.filter(|outer| depth > outer);
            if let Some(switch) = statement.strip_prefix("with ") {
                let name = switch.trim_end_matches(':').split(" as ").next().unwrap_or_default().trim();
                if off.is_none() && (scope.switches.contains(name) || switches_off(name)) {
                    off = Some(*depth);
                }
            } else if let Some(value) = statement.strip_prefix("return ") {
                passes |= off.is_none() && self.depends(&scope, value, left);
            } else if let Some((names, value)) = assignment(statement) {
                let depends = off.is_none() && self.depends(&scope, value, left);
                scope.assign(&names, value, depends);
            }
        }
        self.known.insert(key, passes);
        passes
    }

    /// Whether an expression depends on the input by a way for gradients.
    fn depends(&mut self, scope: &Scope<'c>, text: &str, left: usize) -> bool {
        let mut at = 0;
        while let Some((start, end)) = name(&text[at..]) {
            let (start, end) = (at + start, at + end);
            let word = &text[start..end];
            at = end;
            if let Some(inside) = text[end..].strip_prefix('(').and_then(enclosed) {
                at = end + inside.len() + 2;
                let cuts =
                    CUTS.contains(&word) || ["ops.quantized.", "ops.prim."].iter().any(|space| word.starts_with(space));
                if cuts {
                    if self.depends_on_any(scope, inside) && self.cause.is_none() {
                        self.cause = Some(word.to_owned());
                    }
                } else if self.depends(scope, inside, left) && self.call_passes(scope, word, &text[..start], left) {
                    return true;
                }
            } else if scope.reached.contains(word.split('.').next().unwrap_or_default()) {
                return true;
            }
        }
        false
    }

    fn depends_on_any(&self, scope: &Scope, text: &str) -> bool {
        let mut rest = text;
        while let Some((start, end)) = name(rest) {
            if scope.reached.contains(&rest[start..end]) {
                return true;
            }
            rest = &rest[end..];
        }
        false
    }

    /// Whether a call lets gradients pass: `(fc).forward`, where `fc` is a module, as its class does; all others do.
    fn call_passes(&mut self, scope: &Scope<'c>, word: &str, before: &str, left: usize) -> bool {
        let Some(method) = word.strip_prefix('.') else { return true };
        let Some(object) = before.strip_suffix(')').and_then(|before| before.rsplit('(').next()) else { return true };
        let Some(kind) = scope.modules.get(object) else { return true };
        let classes = self.classes;
        match classes.iter().find(|class| &class.name == kind) {
            Some(class) => self.passes(class, method, left - 1),
            None => true,
        }
    }
}

impl Scope<'_> {
    fn assign(&mut self, names: &[&str], value: &str, depends: bool) {
        for name in names {
            // In the branches of an `if` a name may have been given before.
            if depends {
                self.reached.insert((*name).to_owned());
            }
        }
        let [name] = names else { return };
        if let Some(kind) = value.strip_prefix("self.").and_then(|field| self.class.field(field.trim())) {
            self.modules.insert((*name).to_owned(), kind.to_owned());
        }
        if switches_off(value) {
            self.switches.insert((*name).to_owned());
        }
    }
}

fn switches_off(value: &str) -> bool {
    value.contains("grad_mode.no_grad") || value.contains("grad_mode.inference_mode")
}

/// The names and the value of an assignment.
fn assignment(statement: &str) -> Option<(Vec<&str>, &str)> {
    let (place, _) = outside(statement).find(|(place, c)| {
        let before = statement[..*place].chars().next_back();
        *c == '=' && !statement[place + 1..].starts_with('=') && !matches!(before, Some('=' | '!' | '<' | '>' | ':'))
    })?;
    let (left, value) = (&statement[..place], statement[place + 1..].trim());
    // A keyword argument of a call is no assignment.
    if left.contains('(') {
        return None;
    }
    let names = split(left, ',').into_iter().map(|name| name.split(':').next().unwrap_or_default().trim());
    Some((names.filter(|name| !name.is_empty()).collect(), value))
}

/// The first dotted name in a text, outside its strings; one that begins with a dot is a method of what stands before.
fn name(text: &str) -> Option<(usize, usize)> {
    let within = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let mut start: Option<usize> = None;
    let mut last = 0;
    for (place, c) in outside(text) {
        match start {
            None if c.is_alphabetic() || c == '_' || c == '.' => start = Some(place),
            // A string or a bracket ends a name.
            Some(from) if !within(c) || place != last => return Some((from, last)),
            _ => {}
        }
        last = place + c.len_utf8();
    }
    start.map(|from| (from, last))
}

/// What stands before the bracket that closes the one before the text.
fn enclosed(text: &str) -> Option<&str> {
    let mut depth = 1;
    for (place, c) in outside(text) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[..place]);
        }
    }
    None
}
