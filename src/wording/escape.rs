//! Strings from outside (names of files, classes, layers and models, reasons, labels), made harmless for what shows them: one
//! function for each medium.

use std::borrow::Cow;

/// Whether a character is not seen and changes what is: controls, and the marks that turn the direction of text.
fn unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

fn replaced(text: &str, bad: impl Fn(char) -> bool, with: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.chars().any(&bad) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().fold(String::with_capacity(text.len() + 8), |mut escaped, letter| {
        if bad(letter) {
            escaped.push_str(&with(letter))
        } else {
            escaped.push(letter)
        }
        escaped
    });
    Cow::Owned(escaped)
}

/// A text of several lines for a terminal or a log: what is not seen is shown by its number (`\u{1b}`), and no line begins as a
/// workflow command of GitHub (`::error`, `##[error]`).
pub fn terminal(text: &str) -> Cow<'_, str> {
    let escaped = replaced(
        text,
        |letter| unseen(letter) && !matches!(letter, '\n' | '\t'),
        |letter| letter.escape_unicode().to_string(),
    );
    if !escaped.contains("::") && !escaped.contains("##[") {
        return escaped;
    }
    let lines = escaped.split('\n').map(|line| {
        let start = line.trim_start();
        let line = match start.strip_prefix("::") {
            Some(rest) => format!("{}: :{rest}", &line[..line.len() - start.len()]),
            None => line.to_owned(),
        };
        line.replace("##[", "## [")
    });
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

/// The same for a text that has colours of its own (`ESC [ … m`).
pub fn coloured(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let (before, colour) = rest.split_at(at);
        escaped.push_str(&terminal(before));
        let end = colour[2..].find(|letter: char| !letter.is_ascii_digit() && letter != ';').map(|end| end + 2);
        match end.filter(|end| colour[*end..].starts_with('m')) {
            Some(end) => {
                escaped.push_str(&colour[..=end]);
                rest = &colour[end + 1..];
            }
            None => {
                escaped.push_str("\\u{1b}[");
                rest = &colour[2..];
            }
        }
    }
    escaped.push_str(&terminal(rest));
    escaped
}

/// A name or a sentence on one line: line breaks are shown too.
pub fn line(text: &str) -> Cow<'_, str> {
    replaced(text, unseen, |letter| letter.escape_unicode().to_string())
}

/// Text that Markdown and HTML leave as it is, on one line.
pub fn markdown(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '@' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            letter if unseen(letter) => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Text inside backticks of Markdown.
pub fn code(text: &str) -> String {
    text.chars().filter(|letter| *letter != '`' && !unseen(*letter)).collect()
}

/// The message of a workflow command of GitHub: what would end the command is escaped.
pub fn github(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value of a workflow command.
pub fn github_property(text: &str) -> String {
    github(text).replace(':', "%3A").replace(',', "%2C")
}

/// A document of XML 1.0 without the characters that no document may have, escaped or not.
pub fn xml(document: &str) -> Cow<'_, str> {
    let bad = |letter: char| {
        letter.is_control() && !matches!(letter, '\n' | '\t' | '\r' | '\u{7F}'..='\u{9F}')
            || matches!(letter, '\u{FFFE}' | '\u{FFFF}')
    };
    replaced(document, bad, |_| '\u{FFFD}'.to_string())
}

/// A page whose values are escaped already, without what is not seen: a mark that turns the direction of text would turn what stands
/// beside a name, too.
pub fn page(document: &str) -> Cow<'_, str> {
    let bad = |letter: char| {
        unseen(letter) && !matches!(letter, '\n' | '\t' | '\r') || matches!(letter, '\u{FFFE}' | '\u{FFFF}')
    };
    replaced(document, bad, |_| '\u{FFFD}'.to_string())
}

/// A message of SARIF, on one line: without links, which it would write in brackets.
pub fn sarif(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in line(text).chars() {
        if matches!(letter, '\\' | '[' | ']') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// A path as a relative reference of RFC 3986, its parts with `/` between them: what is no unreserved character is a percent code.
pub fn uri(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => escaped.push(byte.into()),
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// The characters by which spreadsheets know a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// What begins a character's number in a cell, and how a text that says this itself is written.
const NUMBER: &str = "\\u{";
const BACKSLASH: &str = "\\u{5c}";

/// A cell of CSV that breaks no line, sends nothing to a terminal, and that spreadsheets take for text: what is not seen is written by
/// its number (`\u{1b}`), and a formula gets an apostrophe before it. [`uncell`] takes both back.
pub fn cell(text: &str) -> Cow<'_, str> {
    let plain = if text.contains(NUMBER) {
        Cow::Owned(text.replace(NUMBER, &format!("{BACKSLASH}{}", &NUMBER[1..])))
    } else {
        Cow::Borrowed(text)
    };
    let visible = match plain.chars().any(unseen) {
        true => Cow::Owned(line(&plain).into_owned()),
        false => plain,
    };
    let formula = visible.trim_start_matches('\'').starts_with(FORMULA) && visible.parse::<f64>().is_err();
    if formula { Cow::Owned(format!("'{visible}")) } else { visible }
}

/// The text of a cell that [`cell`] wrote.
pub fn uncell(cell: &str) -> Cow<'_, str> {
    let text = match cell.strip_prefix('\'') {
        Some(text) if text.trim_start_matches('\'').starts_with(FORMULA) => text,
        _ => cell,
    };
    if !text.contains(NUMBER) {
        return Cow::Borrowed(text);
    }
    let mut parts = text.split(NUMBER);
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let number =
            part.split_once('}').and_then(|(digits, rest)| Some((u32::from_str_radix(digits, 16).ok()?, rest)));
        match number.and_then(|(number, rest)| Some((char::from_u32(number)?, rest))) {
            Some((letter, rest)) => {
                plain.push(letter);
                plain.push_str(rest);
            }
            None => {
                plain.push_str(NUMBER);
                plain.push_str(part);
            }
        }
    }
    Cow::Owned(plain)
}

/// A document of JSON in which what is not seen is written by its number (`\u001b`), which every reader takes back: only strings can
/// hold it.
pub fn json(document: &str) -> Cow<'_, str> {
    let bad = |letter: char| unseen(letter) && !matches!(letter, '\n' | '\t' | '\r');
    replaced(document, bad, |letter| format!("\\u{:04x}", u32::from(letter)))
}

/// A value as indented JSON that a terminal shows as it is: see [`json`].
///
/// # Errors
/// If the value cannot be written as JSON.
pub fn json_text(value: &(impl serde::Serialize + ?Sized)) -> serde_json::Result<String> {
    Ok(json(&serde_json::to_string_pretty(value)?).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOSTILE: &str = "a\u{1b}[31m\u{202e}b\r\n::stop-commands::x\n  ::error::y\n##[error]z\t\u{fffe}";

    #[test]
    fn terminals_see_numbers_and_no_commands() {
        insta::assert_snapshot!(terminal(HOSTILE), @r"
        a\u{1b}[31m\u{202e}b\u{d}
        : :stop-commands::x
          : :error::y
        ## [error]z	￾
        ");
        assert_eq!(terminal("größe 3 → 4 ✓\n"), "größe 3 → 4 ✓\n");
        assert_eq!(
            coloured("\u{1b}[1;31mred\u{1b}[0m \u{1b}[2J\u{1b}]0;x"),
            "\u{1b}[1;31mred\u{1b}[0m \\u{1b}[2J\\u{1b}]0;x"
        );
        assert!(!line(HOSTILE).contains('\n'));
    }

    #[test]
    fn other_media_keep_one_line_and_their_own_signs() {
        assert!(!markdown(HOSTILE).contains(['\n', '\u{1b}', '\u{202e}']));
        assert_eq!(code("a`b\u{202e}\n"), "ab");
        assert_eq!(github_property("a:b,c\nd%"), "a%3Ab%2Cc%0Ad%25");
        assert_eq!(xml("a\u{fffe}b\u{1}\n"), "a\u{fffd}b\u{fffd}\n");
        assert_eq!(page("a\u{202e}b\u{1b}\u{fffe}\n"), "a\u{fffd}b\u{fffd}\u{fffd}\n");
        assert_eq!(sarif("see [x](y)\\\n"), "see \\[x\\](y)\\\\\\\\u{a}");
        assert_eq!(uri("a b/ü%:c"), "a%20b/%C3%BC%25%3Ac");
    }

    #[test]
    fn formulas_become_text_and_numbers_stay() {
        assert_eq!(
            (cell("=1+1"), cell("@x"), cell("-1.png"), cell("'=x")),
            ("'=1+1".into(), "'@x".into(), "'-1.png".into(), "''=x".into())
        );
        assert_eq!(
            (cell("-1.5"), cell("-inf"), cell("+3e2"), cell("it's"), cell("'a'")),
            ("-1.5".into(), "-inf".into(), "+3e2".into(), "it's".into(), "'a'".into())
        );
    }

    #[test]
    fn cells_and_json_show_what_is_not_seen_and_give_it_back() {
        let name = "a\u{9b}31m\u{202e}b\r\n,\u{7f}\\u{41}";
        assert_eq!(cell(name), "a\\u{9b}31m\\u{202e}b\\u{d}\\u{a},\\u{7f}\\u{5c}u{41}");
        assert_eq!((uncell(&cell(name)), cell("C:\\users\\x")), (name.into(), "C:\\users\\x".into()));
        assert_eq!(
            (uncell("\\u{zz}"), uncell("\\u{d800}x"), uncell("\\u{")),
            ("\\u{zz}".into(), "\\u{d800}x".into(), "\\u{".into())
        );
        let written = json_text(&[name]).unwrap();
        assert!(!written.chars().any(|letter| unseen(letter) && letter != '\n'), "{written:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&written).unwrap(), [name]);
    }

    proptest! {
        #[test]
        fn cells_are_read_back(text in "['=+@a-]{0,6}|[\\\\u{}5c41\n]{0,12}|\\PC{0,8}|.{0,8}") {
            let written = cell(&text).into_owned();
            prop_assert!(!written.chars().any(unseen));
            prop_assert_eq!(uncell(&written), text.as_str());
        }

        #[test]
        fn nothing_unseen_is_left(text in ".{0,40}") {
            prop_assert!(!line(&text).chars().any(unseen));
            prop_assert!(!terminal(&text).lines().any(|line| line.trim_start().starts_with("::")));
        }
    }
}
