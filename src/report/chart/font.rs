//! The typeface of charts and pages: a subset of Inter (SIL Open Font License, `fonts/LICENSE-Inter.txt`) with Latin,
//! Latin-1, Greek and the mathematical signs that reports use. Embedded, so that a chart looks the same everywhere.

use std::sync::OnceLock;

use plotters::style::{FontStyle, register_font};

/// The family's name, in plotters and in CSS.
pub const FAMILY: &str = "Inter";

/// The regular weight, as TrueType.
pub const REGULAR: &[u8] = include_bytes!("fonts/Inter-Regular.ttf");

/// The semi-bold weight, as TrueType.
pub const SEMI_BOLD: &[u8] = include_bytes!("fonts/Inter-SemiBold.ttf");

/// Make the family known to plotters; repeated calls do nothing. Returns whether both files are valid fonts, which a
/// test asserts.
pub fn register() -> bool {
    static DONE: OnceLock<bool> = OnceLock::new();
    *DONE.get_or_init(|| {
        register_font(FAMILY, FontStyle::Normal, REGULAR).is_ok()
            && register_font(FAMILY, FontStyle::Bold, SEMI_BOLD).is_ok()
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_embedded_files_are_fonts() {
        assert!(crate::report::chart::font::register());
    }
}
