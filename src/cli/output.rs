//! What commands write on standard output and standard error: the only place that writes there.
//!
//! Strings from outside are made harmless on the way. A closed or full standard error never ends a command, and neither does standard
//! output where the command has more to do than to print.

use std::io::{self, Write};

use super::failure::Failure;
use crate::wording::escape;

/// Writes `text` to standard output and flushes it: what the command was asked for.
///
/// # Errors
/// If it cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    print_exactly(&escape::terminal(text))
}

/// The same without a change: for programs to read, whose format has its own escapes.
///
/// # Errors
/// If it cannot be written.
pub fn print_exactly(text: &str) -> Result<(), Failure> {
    write(&mut io::stdout().lock(), text).map_err(Failure::output)
}

/// Writes `text` to standard output where the command's result does not depend on it. That it could not be written is said on standard
/// error, unless the reader has gone.
pub fn tell(text: &str) {
    tell_exactly(&escape::terminal(text));
}

/// The same without a change.
pub fn tell_exactly(text: &str) {
    if let Err(error) = write(&mut io::stdout().lock(), text)
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        warn(&format!("failed to write to standard output: {error}"));
    }
}

/// Writes a line to standard error, if that is possible.
pub fn say(line: &str) {
    let _ = write(&mut io::stderr().lock(), &format!("{}\n", escape::terminal(line)));
}

/// Says what the user should know, on one line.
pub fn warn(text: &str) {
    say(&format!("warning: {}", escape::line(text)));
}

fn write(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Lines of the library's code, without tests, that write to the standard streams by macros, which panic when these are closed.
    fn macros(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                macros(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                let tests = path.ends_with("data/parity.rs") || path.to_string_lossy().contains("tests");
                let writes = |line: &&str| ["println!(", "print!(", "dbg!("].iter().any(|name| line.contains(name));
                found.extend(
                    code.lines().filter(writes).filter(|_| !tests).map(|line| format!("{}: {line}", path.display())),
                );
            }
        }
    }

    #[test]
    fn nothing_else_writes_to_the_standard_streams() {
        let mut found = Vec::new();
        macros(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
