//! The order in which people count: `layer2` before `layer10`.

use std::cmp::Ordering;

/// Compares texts, runs of digits by their value.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        match (chunk(&mut left), chunk(&mut right)) {
            (None, None) => return a.cmp(b),
            (one, other) => {
                let order = one.cmp(&other);
                if order != Ordering::Equal {
                    return order;
                }
            }
        }
    }
}

/// The next run of digits, as its length without leading zeros and its digits, or the next run of other characters.
fn chunk<'a>(text: &mut &'a str) -> Option<(usize, &'a str)> {
    let first = text.chars().next()?;
    let is_number = first.is_ascii_digit();
    let end = text.find(|c: char| c.is_ascii_digit() != is_number).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    let digits = run.trim_start_matches('0');
    // A run that is no number sorts after numbers.
    Some(if is_number { (digits.len(), digits) } else { (usize::MAX, run) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count() {
        let mut names = vec!["draw:10", "layer10.conv1", "17@3,5", "draw:2", "", "2", "layer2.conv1", "17"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["", "2", "17", "17@3,5", "draw:2", "draw:10", "layer2.conv1", "layer10.conv1"]);
        assert_eq!(natural("01", "1"), Ordering::Less);
    }
}
