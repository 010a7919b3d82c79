//! Where a node comes from: PyTorch's exporters note the lines of code that made it.

/// The innermost line of the user's own code in a Python stack trace, in words; none if there is none.
pub fn line_of_code(trace: &str) -> Option<String> {
    let mut frames = trace.lines().filter_map(|line| line.trim().strip_prefix("File \"")?.split_once("\", line "));
    let is_users = |path: &str| !path.starts_with('<') && !path.replace('\\', "/").contains("/torch/");
    let (path, rest) = frames.rfind(|(path, _)| is_users(path))?;
    let number: u64 = rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    let file = path.rsplit(['/', '\\']).next().filter(|file| !file.is_empty() && file.len() <= LONGEST)?;
    Some(format!("line {number} of {file}"))
}

/// Bytes of a file's name that are shown.
const LONGEST: usize = 80;

#[cfg(test)]
mod tests {
    use super::line_of_code;

    #[test]
    fn the_innermost_line_of_the_users_own_code_is_told() {
        let trace = "File \"/home/me/train.py\", line 7, in forward\n    return self.net(x)\n  File \"C:\\code\\net.py\", line 70, in forward\n    \
                     h = cond(p, f, g, x)\n  File \"/usr/lib/python3/site-packages/torch/nn/modules/module.py\", line 1, in _call\n  \
                     File \"<eval_with_key>.101\", line 9, in forward";
        assert_eq!(line_of_code(trace).as_deref(), Some("line 70 of net.py"));
        assert_eq!(line_of_code("File \"<eval_with_key>.1\", line 9, in forward"), None);
        assert_eq!(line_of_code("File \"a.py\", line x"), None);
        assert_eq!(line_of_code(""), None);
    }
}
