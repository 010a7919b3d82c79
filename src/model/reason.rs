//! What libtorch says went wrong, out of the pages that it says it on.

/// The line of libtorch's text that says why: no stack frames, no lines of scripts, no folders of the machine that libtorch was
/// built on.
pub fn reason(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // The line behind the call stack of a script.
    let raised = lines.iter().rev().find_map(|line| {
        let (kind, sentence) = line.split_once(": ")?;
        let error = kind.ends_with("Error") || kind.ends_with("Exception");
        (error && kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_')).then_some(sentence)
    });
    let first = lines.iter().find(|line| !noise(line)).copied().unwrap_or("libtorch gave no reason");
    let sentence = raised.filter(|text| !text.is_empty()).unwrap_or(first);
    let trimmed = [" (function ", " This could be because"]
        .iter()
        .fold(sentence, |text, tail| text.split(tail).next().unwrap_or(text));
    let message = trimmed.split("Exception raised from ").next().unwrap_or(trimmed).trim();
    shorter(message)
}

/// Lines that say where, not why.
fn noise(line: &str) -> bool {
    let starts = [
        "frame #",
        "Exception raised from",
        "The following operation failed",
        "Traceback of TorchScript",
        "File \"",
        "~",
    ];
    starts.iter().any(|start| line.starts_with(start))
        || line.contains("(most recent call last)")
        || line.starts_with("at /")
}

fn shorter(text: &str) -> String {
    const LONGEST: usize = 400;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_among_frames() {
        let script = "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript, serialized code (most \
                      recent call last):\n  File \"code/__torch__.py\", line 11, in forward\n    _2 = torch.zeros([2])\n         \
                      ~~~~~~~~~~~ <--- HERE\nRuntimeError: Found no NVIDIA driver on your system. Please check.\n\nException raised \
                      from init at /pytorch/c10/cuda/CUDAFunctions.cpp:25 (most recent call first):\nframe #0: c10::Error \
                      (0x7f)\nframe #1: <unknown function> + 0x28f1a1 (0x7f)";
        assert_eq!(reason(script), "Found no NVIDIA driver on your system. Please check.");
        let plain = "mat1 and mat2 shapes cannot be multiplied (1x4 and 3x2)\nException raised from meta at \
                     /pytorch/aten/src/ATen/native/LinearAlgebra.cpp:1 (most recent call first):\nframe #0: x";
        assert_eq!(reason(plain), "mat1 and mat2 shapes cannot be multiplied (1x4 and 3x2)");
        assert_eq!(reason("frame #0: x\nframe #1: y"), "libtorch gave no reason");
        assert_eq!(reason("Internal torch error: boom"), "Internal torch error: boom");
        assert!(reason(&"x".repeat(10_000)).len() < 500);
    }
}
