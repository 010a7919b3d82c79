//! Files that came instead of the one that was meant: pointers, error pages, and formats of others.

/// What `bytes`, the beginning of a file of `length` bytes, are instead of weights or an image, and what to do about it; none if
/// they are nothing that is known.
pub fn foreign(bytes: &[u8], length: u64) -> Option<String> {
    if length == 0 {
        return Some("it is empty; copy or download it again".to_owned());
    }
    let text = std::str::from_utf8(&bytes[..bytes.len().min(2048)])
        .or_else(|error| std::str::from_utf8(&bytes[..error.valid_up_to()]))
        .unwrap_or("");
    pointer(text)
        .or_else(|| page(text, length))
        .or_else(|| format(bytes).map(|description| format!("it is {description}")))
}

/// Files of version control that stand for others.
fn pointer(text: &str) -> Option<String> {
    if text.starts_with("version https://git-lfs.github.com/") || text.starts_with("version https://hawser.github.com/")
    {
        let size = text.lines().find_map(|line| line.strip_prefix("size ")?.trim().parse::<u64>().ok());
        let size = size.map(|size| format!(" of {size} bytes")).unwrap_or_default();
        return Some(format!("it is a Git LFS pointer to the file{size}, not the file; fetch it with `git lfs pull`"));
    }
    if text.starts_with("/annex/objects/") || text.starts_with("../.git/annex/") {
        return Some("it is a git-annex pointer, not the file; fetch it with `git annex get`".to_owned());
    }
    if text.starts_with("outs:") && text.contains("md5:") {
        return Some("it is a DVC pointer, not the file; fetch it with `dvc pull`".to_owned());
    }
    None
}

/// Pages and short answers of servers that were saved under the file's name.
fn page(text: &str, length: u64) -> Option<String> {
    const SHORT: u64 = 1024;
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let begins = |words: &[&str]| {
        words.iter().any(|word| start.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)))
    };
    let again = "an error or a login page was saved in the file's place; download it again";
    if begins(&["<!doctype html", "<html", "<head", "<body"]) {
        return Some(format!("it is an HTML page: {again}"));
    }
    if begins(&["<?xml", "<error"]) {
        return Some(format!("it is an XML document: {again}"));
    }
    let complete = length <= SHORT && text.len() as u64 == length;
    let printable = |text: &str| text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    if complete && start.len() >= 8 && printable(start) {
        let line: String = start.lines().next().unwrap_or_default().chars().take(60).collect();
        return Some(format!("it is a short text that begins with \"{line}\"; download the file again"));
    }
    None
}

/// Formats that are known by their first bytes.
fn format(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: &[(usize, &[u8], &str)] = &[
        (
            0,
            b"\x89HDF\r\n\x1a\n",
            "an HDF5 file, as Keras writes them; load it there and save the tensors as safetensors",
        ),
        (0, b"GGUF", "a GGUF file of quantized weights"),
        (0, b"\x93NUMPY", "a NumPy array"),
        (4, b"TFL3", "a TensorFlow Lite model; convert it to ONNX"),
        (0, b"\x1f\x8b", "gzipped; unpack it"),
        (0, b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it"),
        (0, b"\xfd7zXZ\0", "compressed with xz; unpack it"),
        (0, b"BZh", "compressed with bzip2; unpack it"),
        (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
        (257, b"ustar", "a tar archive; unpack it"),
        (0, b"GIF8", "a GIF image; convert it to PNG"),
        (4, b"ftypavif", "an AVIF image; convert it to PNG"),
        (4, b"ftypheic", "a HEIC image; convert it to JPEG or PNG"),
        (4, b"ftypmif1", "a HEIF image; convert it to JPEG or PNG"),
        (0, b"\xff\x0a", "a JPEG XL image; convert it to PNG"),
        (0, b"\0\0\0\x0cJXL ", "a JPEG XL image; convert it to PNG"),
        (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 image; convert it to PNG"),
        (0, b"8BPS", "a Photoshop file; convert it to PNG"),
        (0, b"%PDF-", "a PDF document"),
        (0, b"\x7fELF", "a program"),
    ];
    let at = |(place, mark, _): &&(usize, &[u8], &str)| bytes.get(*place..place + mark.len()) == Some(*mark);
    KNOWN.iter().find(at).map(|(.., description)| *description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_instead_is_named() {
        let mut tar = vec![0; 400];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [&[u8]; 10] = [
            b"",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 46830571\n",
            b"\xef\xbb\xbf \n<!DOCTYPE HTML><html>",
            b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
            b"Entry not found",
            b"/annex/objects/SHA256E-s46830571--00.safetensors\n",
            b"outs:\n- md5: 00\n  path: net.pth\n",
            b"\x89HDF\r\n\x1a\n........................",
            b"\x1f\x8b\x08\x00\x00",
            &tar,
        ];
        let descriptions =
            cases.map(|bytes| foreign(bytes, bytes.len() as u64).unwrap_or_else(|| "nothing".to_owned()));
        insta::assert_snapshot!(descriptions.join("\n"));
        assert_eq!(foreign(b"\x00\x01\x02\x03 bytes of a kind of their own \xff", 1 << 20), None);
    }
}
