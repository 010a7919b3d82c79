//! Nodes that write into a tensor, computed without writing: the new value takes the place of the old, and all views of the same memory
//! are made again.

use std::collections::BTreeMap;

use super::lower::Lowerer;
use super::schema::{Node, TensorMeta, name, union};
use crate::model::backend::graph::{Lower, Slot, View, one, ops};

/// Whether two values share memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    None,
    Certain,
    /// Only if the memory allows it.
    Uncertain,
}

impl<'a> Lowerer<'a> {
    /// Whether the node's output shares the memory of `source`, its first argument.
    pub(super) fn sharing(&self, node: &Node, source: &str) -> Sharing {
        let operator = node.operator();
        if !ops::is_view(operator) {
            return Sharing::None;
        }
        let meta = |name: &str| self.metas.get(name);
        let contiguous = meta(source).map(TensorMeta::contiguous);
        let kinds = (meta(source), node.writes().0.first().and_then(|name| meta(name)));
        match operator.split('.').nth(1) {
            Some("to" | "type_as") => match kinds {
                (Some(before), Some(after)) if before.dtype == after.dtype => Sharing::Certain,
                (Some(_), Some(_)) => Sharing::None,
                _ => Sharing::Uncertain,
            },
            Some("contiguous") if contiguous == Some(false) => Sharing::None,
            Some("contiguous" | "reshape" | "flatten") if contiguous != Some(true) => Sharing::Uncertain,
            _ => Sharing::Certain,
        }
    }

    /// Names the outputs of a node, and notes whose memory they share.
    pub(super) fn define(&mut self, node: &'a Node, prefix: &str, slots: Vec<Slot>) -> Result<(), String> {
        let source = node.inputs.first().and_then(|input| union(&input.arg)).filter(|(kind, _)| *kind == "as_tensor");
        let source = source.and_then(|(_, tensor)| name(tensor));
        let shares = source.map_or(Sharing::None, |source| self.sharing(node, source));
        let source = source.filter(|_| shares != Sharing::None);
        let made = self.nodes.len();
        if source.is_some() {
            self.nodes.push((node, prefix.to_owned()));
        }
        for (place, (name, slot)) in node.writes().0.into_iter().zip(slots).enumerate() {
            let full = format!("{prefix}{name}");
            self.values.insert(full.clone(), slot);
            self.names.insert(full.clone(), slot);
            if let Some(source) = source {
                let uncertain = shares == Sharing::Uncertain;
                let view = View { parent: format!("{prefix}{source}"), node: Some((made, place)), uncertain };
                self.aliases.record(&full, view);
            }
        }
        Ok(())
    }

    /// A node that writes into its first argument: the value after the writing takes its place, and all views of the same memory are made
    /// again.
    pub(super) fn write(&mut self, node: &'a Node, lower: Lower, prefix: &str, label: &str) -> Result<(), String> {
        let target = node.inputs.first().and_then(|input| union(&input.arg)).and_then(|(_, tensor)| name(tensor));
        let target = target.map(|name| format!("{prefix}{name}")).ok_or("writes into something that is no tensor")?;
        let slots = self.lower(node, lower, prefix, label)?;
        let [written] = slots[..] else { return Err("writes into a tensor and has several outputs".to_owned()) };
        let (root, path) = self.aliases.path(&target);
        let (root, path) = (root.to_owned(), path.into_iter().map(str::to_owned).collect::<Vec<_>>());
        let uncertain = path.iter().find(|name| self.aliases.view(name).is_some_and(|view| view.uncertain));
        if let Some(name) = uncertain {
            return Err(format!(
                "operator `{}` writes into `{name}`, which may share its memory with `{root}` or not; \
                 `exported = exported.run_decompositions({{}})` before saving does without such operators",
                node.operator()
            ));
        }
        let resolved = if path.is_empty() { written } else { self.patched(&root, &path, written)? };
        self.values.insert(root.clone(), resolved);
        for name in self.aliases.family(&root) {
            self.make_again(&name)?;
        }
        // The output is the very tensor that was written into.
        for name in node.writes().0 {
            let full = format!("{prefix}{name}");
            self.names.insert(full.clone(), written);
            self.values.insert(full.clone(), written);
            self.aliases.record(&full, View { parent: target.clone(), node: None, uncertain: false });
        }
        Ok(())
    }

    /// A copy of `root` in which the view at the end of `path` has the values in `written`.
    fn patched(&mut self, root: &str, path: &[String], written: Slot) -> Result<Slot, String> {
        let before = self.values[root];
        let copy = one(move |frame| Ok(frame.tensor(before)?.copy()))?;
        // It also waits for what will be written, so that no copy is a constant that each pass writes into.
        let copied = self.builder.push("copy", copy, vec![before, written]);
        let mut values = BTreeMap::from([(root.to_owned(), copied)]);
        let mut last = copied;
        for name in path {
            last = self.view_of(name, &values)?;
            values.insert(name.clone(), last);
        }
        let patch = one(move |frame| {
            let mut view = frame.tensor(last)?.shallow_clone();
            let new = frame.tensor(written)?.f_to_kind(view.kind())?.f_expand(view.size(), false)?;
            view.copy_(&new);
            Ok(frame.tensor(copied)?.shallow_clone())
        })?;
        Ok(self.builder.push("patch", patch, vec![copied, last, written]))
    }

    /// The view `name` of a parent whose slot `values` has, or else of its parent as it is now.
    fn view_of(&mut self, name: &str, values: &BTreeMap<String, Slot>) -> Result<Slot, String> {
        let Some(view) = self.aliases.view(name).cloned() else { return Err(format!("`{name}` is no view")) };
        let parent = values.get(&view.parent).or_else(|| self.values.get(&view.parent)).copied();
        let parent = parent.ok_or_else(|| format!("`{}` is not computed", view.parent))?;
        let Some((node, place)) = view.node else { return Ok(parent) };
        let (node, prefix) = (self.nodes[node].0, self.nodes[node].1.clone());
        let Some(lower) = ops::find(node.operator()) else { return Err(format!("`{name}` cannot be made again")) };
        let known = self.values.insert(view.parent.clone(), parent);
        let made = self.lower(node, lower, &prefix, name);
        if let Some(known) = known {
            self.values.insert(view.parent, known);
        }
        Ok(made?[place])
    }

    fn make_again(&mut self, name: &str) -> Result<(), String> {
        let slot = self.view_of(name, &BTreeMap::new())?;
        self.values.insert(name.to_owned(), slot);
        Ok(())
    }
}
