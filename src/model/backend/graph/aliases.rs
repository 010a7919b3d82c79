//! Which values of a file share memory, so that operators that write into one of them can be lowered to operators that do not.

use std::collections::BTreeMap;

/// How a value came from another whose memory it shares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The other.
    pub parent: String,
    /// The node that made it, and which of its outputs it is; none if it is the very same tensor.
    pub node: Option<(usize, usize)>,
    /// Whether it may be a copy after all: `reshape` and `contiguous` of tensors that are not contiguous.
    pub uncertain: bool,
}

/// The values of a file that are views of others, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Aliases {
    views: BTreeMap<String, View>,
    order: Vec<String>,
}

impl Aliases {
    /// `child` shares the memory of `view.parent`.
    pub fn record(&mut self, child: &str, view: View) {
        if self.views.insert(child.to_owned(), view).is_none() {
            self.order.push(child.to_owned());
        }
    }

    /// How `name` came from another value.
    pub fn view(&self, name: &str) -> Option<&View> {
        self.views.get(name)
    }

    /// The value that owns the memory of `name`, and the views that lead from it to `name`.
    pub fn path<'a>(&'a self, name: &'a str) -> (&'a str, Vec<&'a str>) {
        let (mut root, mut path) = (name, Vec::new());
        while let Some(view) = self.views.get(root) {
            path.push(root);
            root = &view.parent;
        }
        path.reverse();
        (root, path)
    }

    /// All views of the memory that `root` owns, parents first.
    pub fn family(&self, root: &str) -> Vec<String> {
        self.order.iter().filter(|name| self.path(name).0 == root).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_found_through_chains_of_views() {
        let mut aliases = Aliases::default();
        let view = |parent: &str, node| View { parent: parent.to_owned(), node: Some((node, 0)), uncertain: false };
        aliases.record("slice", view("x", 1));
        aliases.record("select", view("slice", 2));
        aliases.record("other", view("y", 3));
        assert_eq!(aliases.path("select"), ("x", vec!["slice", "select"]));
        assert_eq!(aliases.path("x"), ("x", Vec::new()));
        assert_eq!(aliases.family("x"), ["slice", "select"]);
    }
}
