//! What a TorchScript file would do, told from the text of its code without running it: which operators it calls, which layers it
//! returns, and whether a gradient can reach its input.

mod flow;
mod source;

use std::path::Path;

use super::pickle::Pickle;
use super::zip::{Archive, ArchiveError};
use source::Class;

/// Longest file of code that is read, unpacked.
const LONGEST: u64 = 1 << 24;
/// Most bytes of code of an archive.
const MOST: usize = 1 << 26;

/// Operators that read or write files, or reach other processes, as they are written in code.
const REACHING_OUT: [&str; 12] = [
    "save",
    "from_file",
    "load",
    "_load_for_lite",
    "rpc_sync",
    "rpc_async",
    "rpc_remote",
    "system",
    "open",
    "exec",
    "eval",
    "__import__",
];
/// Namespaces of operators whose purpose is to reach other processes.
const REMOTE: [&str; 6] = ["rpc", "c10d", "_c10d_functional", "c10d_functional", "dist_rpc", "symm_mem"];

/// The code of a TorchScript file.
#[derive(Debug)]
pub struct ScriptCode {
    /// Names of files in the archive, and their text.
    files: Vec<(String, String)>,
    classes: Vec<Class>,
    /// The class of the model.
    root: Option<String>,
}

impl ScriptCode {
    /// Reads the code.
    ///
    /// # Errors
    /// If the file is no zip archive, or damaged.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let archive = Archive::open(path)?;
        let (mut files, mut total) = (Vec::new(), 0);
        for member in archive.members().iter().filter(|member| member.name.ends_with(".py")) {
            let text = String::from_utf8_lossy(&archive.read(member, LONGEST)?).into_owned();
            total += text.len();
            if total > MOST {
                return Err(ArchiveError::Damaged("it has more code than any model"));
            }
            files.push((member.name.clone(), text));
        }
        let classes = files.iter().flat_map(|(name, text)| source::classes(name, text)).collect();
        let root = archive.find("data.pkl").and_then(|member| archive.read(member, 16 * LONGEST).ok());
        let root = root.and_then(|bytes| Pickle::parse(&bytes)?.0.class().map(str::to_owned));
        Ok(ScriptCode { files, classes, root })
    }

    /// Whether the archive holds the code of a model.
    pub fn is_script(&self) -> bool {
        self.files.iter().any(|(name, _)| name.contains("code/"))
    }

    /// An operator by which the script could read or write files or reach other processes, with its file and line.
    pub fn reaches_out(&self) -> Option<String> {
        self.files.iter().find_map(|(name, text)| {
            let place = |line: usize| format!("(line {line} of {name})");
            source::names(text)
                .find_map(|(line, path)| {
                    let mut parts = path.split('.');
                    let (first, last) = (parts.next()?, path.rsplit('.').next()?);
                    let second = parts.next().unwrap_or_default();
                    let remote = first == "ops" && REMOTE.contains(&second);
                    let operator = matches!(first, "torch" | "ops") && REACHING_OUT.contains(&last);
                    let bare = first == last
                        && matches!(
                            first,
                            "open" | "exec" | "eval" | "__import__" | "rpc_sync" | "rpc_async" | "rpc_remote"
                        );
                    (remote || operator || bare).then(|| format!("`{path}` {}", place(line)))
                })
                .or_else(|| {
                    // An operator that is asked for by a string.
                    let (line, text) =
                        source::asked_for(text).find(|(_, attribute)| REACHING_OUT.contains(attribute))?;
                    Some(format!("`getattr(…, \"{text}\")` {}", place(line)))
                })
        })
    }

    /// The layers that the model returns beside its logits: none if it returns one tensor, and not known if it returns a dictionary
    /// whose keys are not written in its code.
    pub fn layers(&self) -> Option<Vec<String>> {
        let forward = self.root_class()?.method("forward")?;
        if forward.returns == "Tensor" {
            return Some(Vec::new());
        }
        let keys = source::dictionary(&forward.body)?;
        Some(keys.into_iter().filter(|key| key != "logits").collect())
    }

    /// Why no gradient can reach the input of the model, as far as the code shows for certain.
    pub fn no_gradient(&self) -> Option<String> {
        let root = self.root_class()?;
        flow::cut(&self.classes, root)
    }

    fn root_class(&self) -> Option<&Class> {
        let root = self.root.as_ref()?;
        self.classes.iter().find(|class| &class.name == root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::zip::tests::archive;

    const HEAD: &str = "class Net(Module):\n  __parameters__ = []\n  fc : __torch__.Linear\n  def forward(self: __torch__.Net,\n    x: Tensor) -> Dict[str, Tensor]:\n";

    /// The code of a model whose forward pass has these lines, beside a class `Linear` that has a forward pass of its own.
    fn code(lines: &[&str], linear: &str) -> ScriptCode {
        let body: String = lines.iter().map(|line| format!("    {line}\n")).collect();
        let linear = format!(
            "class Linear(Module):\n  def forward(self: __torch__.Linear,\n    x: Tensor) -> Tensor:\n    return {linear}\n"
        );
        let text = format!("{HEAD}{body}{linear}");
        // An object of class __torch__.Net.
        let pickle = b"\x80\x02c__torch__\nNet\n)\x81}b.";
        let bytes = archive(&[
            ("net/data.pkl", pickle),
            ("net/code/__torch__.py", text.as_bytes()),
            ("net/constants.pkl", b""),
        ]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        ScriptCode::open(file.path()).unwrap()
    }

    #[test]
    fn operators_that_reach_out_are_found() {
        let found = |line: &str| code(&[line, "return x"], "x").reaches_out();
        assert_eq!(found("_0 = torch.add(x, 1)"), None);
        assert_eq!(found("_0 = \"torch.save(x)\""), None);
        assert_eq!(found("torch.save(x, \"/tmp/x\")").unwrap(), "`torch.save` (line 6 of net/code/__torch__.py)");
        for line in [
            "_0 = torch . from_file (\"f\")",
            "f = torch.save",
            "ops.aten.save(x, \"f\")",
            "ops.c10d.send(x)",
            "rpc_async(x)",
            "_0 = getattr(torch, \"save\")",
        ] {
            assert!(found(line).is_some(), "{line}");
        }
    }

    #[test]
    fn layers_are_the_keys_of_what_is_returned() {
        let found = |lines: &[&str]| code(lines, "x").layers();
        let expected = Some(vec!["layer1".to_owned(), "fc.1".to_owned()]);
        assert_eq!(found(&["return {\"layer1\": x, \"logits\": x, \"fc.1\": x}"]), expected);
        assert_eq!(
            found(&["_0 = {\"layer1\": x, \"logits\": torch.add(x, \"{\"), \"fc.1\": x}", "return _0"]),
            expected
        );
        assert_eq!(found(&["return x"]), None);
    }

    #[test]
    fn a_cut_gradient_is_seen_where_it_is_certain() {
        let cut = |lines: &[&str], linear: &str| code(lines, linear).no_gradient().is_some();
        assert!(cut(
            &["x0 = torch.detach(x)", "_0 = torch.mean(x0, [1, 2, 3])", "return torch.stack([torch.neg(_0), _0], 1)"],
            "x"
        ));
        assert!(cut(&["return torch.zeros_like(x)"], "x"));
        assert!(cut(&["return CONSTANTS.c0"], "x"));
        assert!(cut(&["fc = self.fc", "return (fc).forward(x, )"], "ops.quantized.linear_dynamic(x, self.p)"));
        assert!(cut(
            &[
                "no_grad = __torch__.torch.autograd.grad_mode.no_grad.__new__(__torch__.torch.autograd.grad_mode.no_grad)",
                "with no_grad:",
                "  y = torch.mul(x, 2)",
                "return y"
            ],
            "x"
        ));
        assert!(!cut(&["return torch.add(torch.detach(x), x)"], "x"));
        assert!(!cut(&["fc = self.fc", "return (fc).forward(x, )"], "torch.mul(x, 2)"));
        assert!(!cut(
            &["if bool(torch.gt(x, 0)):", "  y = torch.detach(x)", "else:", "  y = torch.mul(x, 2)", "return y"],
            "x"
        ));
        assert!(!cut(&["other = self.other", "return (other).forward(x, )"], "x"));
        assert!(!cut(&["a, b, = torch.chunk(x,", "    2, 1)", "return torch.add(a, b)"], "x"));
    }
}
