//! Calendar days, for the expiry of waivers.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A day of the Gregorian calendar, written `2026-09-30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day, if there is such a one; years from 1 to 9999.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        let length = match month {
            4 | 6 | 9 | 11 => 30,
            2 => 28 + u8::from(leap),
            1..=12 => 31,
            _ => return None,
        };
        let known = (1..=9999).contains(&year) && (1..=length).contains(&day);
        known.then_some(Date { year, month, day })
    }

    /// Today, in universal time.
    pub fn today() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Date::after_epoch(since.as_secs() / 86_400)
    }

    /// The day that lies `days` after 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
    fn after_epoch(days: u64) -> Self {
        let shifted = days + 719_468; // days since 0000-03-01
        let era = shifted / 146_097;
        let of_era = shifted % 146_097;
        let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        Date { year: year.min(9999) as u16, month: month as u8, day: day as u8 }
    }
}

/// A moment in universal time, by the seconds since 1970: `2026-11-26T22:07:41Z`.
pub fn utc(seconds: u64) -> String {
    let of_day = seconds % 86_400;
    format!("{}T{:02}:{:02}:{:02}Z", Date::after_epoch(seconds / 86_400), of_day / 3600, of_day / 60 % 60, of_day % 60)
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a day like 2026-09-30");
        let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts: Vec<&str> = text.split('-').collect();
        let [year, month, day] = parts[..] else { return Err(wrong()) };
        if !(digits(year, 4) && digits(month, 2) && digits(day, 2)) {
            return Err(wrong());
        }
        let (year, month, day) = (year.parse(), month.parse(), day.parse());
        let (Ok(year), Ok(month), Ok(day)) = (year, month, day) else { return Err(wrong()) };
        Date::new(year, month, day).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Date {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Date> for String {
    fn from(date: Date) -> String {
        date.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_printed_and_ordered() {
        for text in ["2024-02-29", "0001-01-01", "9999-12-31", "2026-09-30"] {
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
        for text in ["2023-02-29", "2100-02-29", "2026-13-01", "2026-00-01", "2026-1-1", "26-01-01", "", "2026-09-31"] {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert!("2026-09-30".parse::<Date>() < "2026-10-01".parse());
    }

    #[test]
    fn days_after_the_epoch_are_those_of_the_calendar() {
        for (days, text) in [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_726, "2026-09-30")] {
            assert_eq!(Date::after_epoch(days).to_string(), text);
        }
    }
}
