//! Numbers as readers see them: one form for each kind, in every output.

use crate::stats::Estimate;
use crate::terms::{Epsilon, Norm};

/// `43.2 %`; `–` if not finite.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", positive_zero(share * 100.0, 0.05)) } else { "–".to_owned() }
}

/// `43.2 % (38.9–47.6)`.
pub fn rate(estimate: &Estimate) -> String {
    format!("{} {}", percent(estimate.point), interval(estimate))
}

/// The interval alone, in percent: `(38.9–47.6)`.
pub fn interval(estimate: &Estimate) -> String {
    let end = |share: f64| {
        if share.is_finite() { format!("{:.1}", positive_zero(share * 100.0, 0.05)) } else { "?".to_owned() }
    };
    format!("({}–{})", end(estimate.lo), end(estimate.hi))
}

/// A distance with three significant digits: `0.0314`, `∞`.
pub fn distance(value: f64) -> String {
    if value == f64::INFINITY {
        return "∞".to_owned();
    }
    if !value.is_finite() {
        return "–".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    let decimals = (2 - value.abs().log10().floor() as i32).clamp(0, 8) as usize;
    format!("{value:.decimals$}")
}

/// `0.0314 (0.0291–0.0340)`.
pub fn distance_estimate(estimate: &Estimate) -> String {
    format!("{} ({}–{})", distance(estimate.point), distance(estimate.lo), distance(estimate.hi))
}

/// A radius: `8/255`, or a number of at most four digits after the point.
pub fn epsilon(epsilon: Epsilon) -> String {
    let text = epsilon.to_string();
    if text.len() <= 8 {
        return text;
    }
    let rounded = format!("{:.4}", epsilon.value());
    let short = rounded.trim_end_matches('0').trim_end_matches('.');
    if short == "0" { format!("{:.2e}", epsilon.value()) } else { short.to_owned() }
}

/// The norm's sign: `ℓ∞`, `ℓ2`, `ℓ1`.
pub fn norm(norm: Norm) -> &'static str {
    match norm {
        Norm::Linf => "ℓ∞",
        Norm::L2 => "ℓ2",
        Norm::L1 => "ℓ1",
        Norm::L0 => "ℓ0",
    }
}

/// What lengths in a norm are counted in.
pub fn unit(norm: Norm) -> &'static str {
    match norm {
        Norm::Linf | Norm::L2 | Norm::L1 => "pixels in [0, 1]",
        Norm::L0 => "changed values",
    }
}

/// How many of something: `1 thread`, `2 threads`.
pub fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(value), if value == 1 { "" } else { "s" })
}

/// A count with commas: `1,234,567`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration: `0.4 s`, `12 s`, `3 min 12 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let total = seconds.round() as u64;
    match total {
        0..60 => format!("{total} s"),
        60..3600 => format!("{} min {} s", total / 60, total % 60),
        _ => format!("{} h {} min", total / 3600, total % 3600 / 60),
    }
}

/// Numbers with a true minus sign.
pub fn typeset(numbers: String) -> String {
    numbers.replace('-', "\u{2212}")
}

/// `name` as a part of a file's name or an id: lower-case letters, digits and hyphens, at most 60.
pub fn slug(name: &str) -> String {
    let letters = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let slug: String = letters.take(60).collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "unnamed".to_owned() } else { slug.to_owned() }
}

/// Keeps a value that rounds to zero from printing as `-0.0`.
fn positive_zero(value: f64, half: f64) -> f64 {
    if value.abs() < half { value.abs() } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_carry_their_interval() {
        assert_eq!(rate(&Estimate { point: 0.4321, lo: 0.389, hi: 0.4761 }), "43.2 % (38.9–47.6)");
        assert_eq!(rate(&Estimate { point: 0.0, lo: -1e-18, hi: 1.0 }), "0.0 % (0.0–100.0)");
        assert_eq!(percent(f64::NAN), "–");
    }

    #[test]
    fn distances_have_three_significant_digits() {
        let cases = [(0.031_42, "0.0314"), (1.234_5, "1.23"), (123.4, "123"), (0.0, "0"), (f64::INFINITY, "∞")];
        for (value, text) in cases {
            assert_eq!(distance(value), text);
        }
    }

    #[test]
    fn counts_durations_and_radii() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!([0, 1, 2].map(|number| counted(number, "thread")), ["0 threads", "1 thread", "2 threads"]);
        assert_eq!(duration(0.44), "0.4 s");
        assert_eq!(duration(192.0), "3 min 12 s");
        assert_eq!(duration(7500.0), "2 h 5 min");
        let text = |value: f64| epsilon(Epsilon::new(value).unwrap());
        assert_eq!(text(8.0 / 255.0), "8/255");
        assert_eq!(text(0.1 + 0.2), "0.3");
        assert_eq!(text(0.5), "0.5");
        assert_eq!(text(0.000_001_234_5), "1.23e-6");
    }
}
