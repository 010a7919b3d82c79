//! JSON files that carry a hash of their own bytes as their last field, so that any change shows.

use serde::Serialize;

use crate::wording::escape;

/// What stands before and after the hash.
const BEFORE: &str = ",\n  \"seal\": \"";
const AFTER: &str = "\"\n}\n";

/// Digits of a blake3 hash.
const DIGITS: usize = 64;

/// What a file's seal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// The bytes are those that were sealed.
    Whole,
    /// They are not, or a seal is not where it must be.
    Broken,
    /// The file has none.
    None,
}

/// The object as JSON text with its seal.
///
/// # Errors
/// If the value cannot be written as JSON.
pub fn sealed(object: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let text = escape::json_text(object)?;
    let body = text.trim_end_matches('}').trim_end();
    Ok(format!("{body}{BEFORE}{}{AFTER}", hash(body.as_bytes())).into_bytes())
}

/// Whether the bytes of a file are those that [`sealed`] made.
pub fn check(bytes: &[u8]) -> Seal {
    let length = BEFORE.len() + DIGITS + AFTER.len();
    let parts = bytes.len().checked_sub(length).map(|end| bytes.split_at(end));
    match parts {
        Some((body, seal)) if seal == format!("{BEFORE}{}{AFTER}", hash(body)).as_bytes() => Seal::Whole,
        _ if bytes.windows(6).any(|word| word == b"\"seal\"") => Seal::Broken,
        _ => Seal::None,
    }
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_breaks_the_seal() {
        let file = sealed(&serde_json::json!({ "a": { "b": [1, 2.5] }, "c": "}\n}" })).unwrap();
        assert_eq!(check(&file), Seal::Whole);
        let read: serde_json::Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(read["c"], "}\n}");
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            assert_ne!(check(&changed), Seal::Whole, "byte {at}");
        }
        assert_eq!(check(&file[..file.len() - 1]), Seal::Broken);
        assert_eq!(check(b"{}\n"), Seal::None);
    }
}
