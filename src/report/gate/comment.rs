//! The comment of a pull request: one that is updated with each run, told by its first line.

use super::markdown::{details, findings};
use crate::gate::GateOutcome;
use crate::wording::escape;

/// GitHub refuses comments of more characters than 65,536.
const MOST_CHARACTERS: usize = 60_000;

/// Where the files of a run can be looked at.
#[derive(Debug, Clone, Default)]
pub struct Links {
    /// Address of the run's folder; none if it is nowhere to be seen.
    pub base: Option<String>,
    /// Pictures of the run, by path in its folder.
    pub pictures: Vec<String>,
}

/// The first line of the comment about a suite, which is not seen, and by which the next run finds the comment again.
pub fn marker(suite: &str) -> String {
    let name: String = suite
        .chars()
        .map(|letter| if letter.is_alphanumeric() || "._".contains(letter) { letter } else { '-' })
        .collect();
    // Two hyphens would end the comment in which the marker hides.
    let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    format!("<!-- am-eval gate of {name} -->")
}

/// The outcome as a comment: marker, verdict, differences with their intervals, and links to the run's page and pictures. Never longer
/// than a comment may be.
pub fn comment(outcome: &GateOutcome, suite: &str, links: &Links) -> String {
    let mut text = format!("{}\n{}{}", marker(suite), findings(outcome), linked(links));
    let more = details(outcome);
    match text.chars().count() + more.chars().count() {
        all if all <= MOST_CHARACTERS => text += &more,
        _ => text += "The list of all rules is too long for a comment; it is in `gate.json`.\n",
    }
    if text.chars().count() > MOST_CHARACTERS {
        let end = text.char_indices().nth(MOST_CHARACTERS).map_or(text.len(), |(byte, _)| byte);
        text.truncate(text[..end].rfind('\n').unwrap_or(end));
        text += "\n\nThe rest is too long for a comment; it is in `gate.json`.\n";
    }
    text
}

fn linked(links: &Links) -> String {
    let Some(base) = &links.base else { return String::new() };
    let base = base.trim_end_matches('/');
    let link = |name: &str, file: &str| format!("[{}]({base}/{})", escape::markdown(name), escape::uri(file));
    let mut text = link("Report", "report.html");
    if !links.pictures.is_empty() {
        let pictures = links.pictures.iter().map(|file| {
            let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".png").replace('-', " ");
            link(&name, file)
        });
        text += &format!(" · pictures: {}", pictures.collect::<Vec<_>>().join(", "));
    }
    text + "\n\n"
}

#[cfg(test)]
mod tests {
    use super::super::tests::outcome;
    use super::*;

    #[test]
    fn a_comment_has_a_marker_of_its_suite_and_links() {
        let links = Links {
            base: Some("https://pages.example/run/".to_owned()),
            pictures: vec!["charts/robust-accuracy-linf.png".to_owned(), "charts/a b.png".to_owned()],
        };
        let text = comment(&outcome("m"), "guarded", &links);
        assert!(text.starts_with("<!-- am-eval gate of guarded -->\n## gate: failed"), "{text}");
        assert!(text.contains("[robust accuracy linf](https://pages.example/run/charts/robust-accuracy-linf.png)"));
        assert!(text.contains("/charts/a%20b.png)"));
        assert!(text.contains("points ("), "the interval of the difference: {text}");
        assert!(!comment(&outcome("m"), "guarded", &Links::default()).contains("]("));
    }

    #[test]
    fn markers_stay_comments_and_differ_by_suite() {
        assert_eq!(marker("a--> <b>"), "<!-- am-eval gate of a-b -->");
        assert_ne!(marker("cifar10"), marker("imagenet"));
    }

    #[test]
    fn a_long_outcome_fits_into_a_comment() {
        let mut long = outcome("m");
        for rule in &mut long.rules {
            rule.rule = "r".repeat(9_000);
        }
        long.notes = vec!["n".repeat(3_000); 60];
        let text = comment(&long, "s", &Links::default());
        assert!(text.chars().count() < 65_536 && text.contains("too long for a comment"), "{}", text.len());
    }
}
