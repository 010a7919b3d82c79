//! The page as a whole, and the files that a run gets.

use super::fixture::{example, manifest, realistic, suite, with_transfers};
use super::*;
use crate::record::RunStatus;

const MODELS: [&str; 3] = ["resnet20", "resnet20-adv", "vit-tiny"];

fn page(manifest: &Manifest, summary: &RunSummary, examples: &[Example]) -> String {
    page::page(manifest, summary, examples, &chart::Figures::draw(summary).unwrap(), &page::UnitPictures::default())
        .unwrap()
}

/// The page without what is long and looked at elsewhere: fonts, style, script and pictures.
fn outline(page: &str) -> String {
    let mut text = page.to_owned();
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>"), ("src=\"data:", "\""), ("<svg", "</svg>")]
    {
        let mut rest = text.as_str();
        let mut cut = String::new();
        while let Some((before, after)) = rest.split_once(open) {
            cut += before;
            cut += &format!("{open}…{close}");
            rest = after.split_once(close).map_or("", |(_, after)| after);
        }
        text = cut + rest;
    }
    text
}

#[test]
fn the_page_of_a_small_run() {
    let mut summary = realistic(&["resnet20", "vit-tiny"]);
    summary.cells.retain(|cell| cell.cell.layer.is_none() || cell.cell.unit_text() == "6");
    let page = page(&manifest("quick", &["resnet20", "vit-tiny"]), &summary, &[example("resnet20", "fgsm", 5, 8)]);
    insta::assert_snapshot!(outline(&page));
}

#[test]
fn charts_as_text() {
    let mut summary = realistic(&["resnet20", "vit-tiny"]);
    for distances in &mut summary.distances {
        distances.curve.truncate(5);
    }
    summary.cells.retain(|cell| cell.cell.layer.is_none() || cell.cell.unit_text() == "6");
    for chart in chart::Figures::draw(&summary).unwrap().charts {
        insta::assert_snapshot!(chart.slug.clone(), chart.svg);
    }
}

#[test]
fn transfer_stands_in_a_section_of_its_own() {
    let models = ["resnet20", "vit-tiny"];
    let mut manifest = manifest("quick", &models);
    let plain = page(&manifest, &realistic(&models), &[]);
    assert!(!plain.contains("id=\"transfer\"") && !plain.contains("transfer rate"));
    let with = |manifest: &Manifest| page(manifest, &with_transfers(realistic(&models)), &[]);
    let text = outline(&with(&manifest));
    let (_, section) = text.split_once("<section id=\"transfer\"").unwrap();
    insta::assert_snapshot!(section.split_once("</section>").unwrap().0);
    // A search that uses its whole budget in one radius gives no such images.
    manifest.suite = suite("quick", "budget");
    assert!(!with(&manifest).contains("Lower bounds"));
}

#[test]
fn the_terminal_table() {
    insta::assert_snapshot!(table(&realistic(&MODELS)));
}

#[test]
fn hostile_names_stay_text() {
    let hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}</svg></style>";
    let mut manifest = manifest(hostile, &[hostile]);
    for field in [&mut manifest.run, &mut manifest.dataset, &mut manifest.device, &mut manifest.data_hash] {
        *field = hostile.to_owned();
    }
    manifest.suite_source = hostile.to_owned();
    manifest.classes = vec![hostile.to_owned(); 10];
    manifest.skipped = vec![hostile.to_owned()];
    manifest.command = vec![hostile.to_owned()];
    let mut summary = realistic(&[hostile]);
    for cell in &mut summary.cells {
        cell.cell.attack = hostile.to_owned();
        cell.cell.layer = cell.cell.layer.as_ref().map(|_| hostile.into());
    }
    let mut example = example(hostile, hostile, 1, 8);
    example.sample_id = hostile.into();
    let page = page(&manifest, &summary, &[example]);
    assert_eq!(page.matches("<script>").count(), 1, "only the page's own script");
    assert_eq!(page.matches("</script>").count(), 1);
    assert_eq!(page.matches("</style>").count(), 1);
    assert!(!page.contains("<img src=x") && page.contains("&lt;img src=x") && !page.contains("onerror=alert(2)>{{ 49"));
    assert!(page.contains("{{ 7 * 7 }}"), "names are never templates");
}

#[test]
fn the_page_loads_nothing_and_its_policy_names_its_script() {
    let page = page(&manifest("quick", &MODELS), &realistic(&MODELS), &[example("resnet20", "pgd", 5, 8)]);
    for forbidden in ["http://", "https://", "//cdn", "@import", "<link", "<iframe", "srcset"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let script = page.split_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
    let hash = page::encode::base64(&page::encode::sha256(script.as_bytes()));
    assert!(page.contains(&format!("script-src 'sha256-{hash}'")));
}

#[test]
fn an_incomplete_run_says_so_first() {
    let mut manifest = manifest("quick", &MODELS);
    manifest.status = RunStatus::Incomplete;
    manifest.blocks_done = 7;
    let page = page(&manifest, &realistic(&MODELS), &[]);
    let alarm = page.find("This run is incomplete: 7 of 12 blocks").unwrap();
    assert!(alarm < page.find("<section").unwrap());
}

#[test]
fn pictures_beyond_the_budget_are_dropped_and_counted() {
    let mut large = example("resnet20", "pgd", 1, 8);
    large.clean = vec![7; 1_000_000];
    let examples: Vec<Example> = (0..20).map(|_| large.clone()).collect();
    let page = page(&manifest("quick", &MODELS), &realistic(&MODELS), &examples);
    assert!(page.len() + page::slots::ROOM <= page::shell::MOST_BYTES, "{}", page.len());
    assert!(page.contains("Showing 5 of 20") && page.contains("15 more examples are left out"));
}

#[test]
fn a_run_of_nothing_has_a_page() {
    let empty = RunSummary::default();
    let page = page(&manifest("quick", &[]), &empty, &[]);
    assert!(page.contains("The run holds no model") && page.contains("The run holds no attack"));
}

#[test]
fn a_run_of_pictures_alone_tells_nothing_of_robustness() {
    let empty = RunSummary::default();
    let mut manifest = manifest("quick", &MODELS);
    (manifest.blocks_done, manifest.blocks_total) = (0, 0);
    let page = page(&manifest, &empty, &[]);
    assert!(page.contains("tells nothing of their robustness"));
    for absent in ["Clean and worst-case", "Can this be believed", "href=\"#cells\"", "The run holds no"] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert_eq!(table(&empty), "no attack and no distance: nothing is told of robustness");
}

#[test]
fn files_are_whole_and_the_same_when_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let models = ["Res Net", "res-net"];
    let (manifest, summary) = (manifest("quick", &models), realistic(&models));
    let examples = [example("Res Net", "pgd", 5, 8), example("res-net", "pgd", 6, 300)];
    let make = || {
        let paths = write_reports(folder.path(), &manifest, &summary, &examples).unwrap();
        paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect::<Vec<_>>()
    };
    let first = make();
    assert_eq!(first, make());
    let names: Vec<_> = first.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "robust-accuracy-linf.png",
            "robust-accuracy-by-attack-linf.png",
            "flip-rate-res-net.png",
            "flip-rate-res-net-2.png",
            "distance-cdf-l2-path.png",
            "gallery.png",
            "report.html",
        ]
    );
    let left: usize = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 2, "no temporary file stays behind");
}

#[test]
fn an_unwritable_folder_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let summary = realistic(&["resnet20"]);
    let error = write_reports(file.path(), &manifest("quick", &["resnet20"]), &summary, &[]).unwrap_err();
    assert!(error.to_string().contains(&*file.path().to_string_lossy()), "{error}");
}

#[test]
fn a_broken_picture_is_an_error_that_names_its_sample() {
    let mut broken = example("resnet20", "pgd", 5, 8);
    broken.adversarial.truncate(20);
    let error = chart::gallery::contact_sheet(&[broken], &[]).unwrap_err();
    assert!(error.to_string().contains("val/cat/0005.png"), "{error}");
}

/// Writes a realistic run's files to the folder named by `REPORT_TRY`, to be looked at.
#[test]
#[ignore = "writes files to look at"]
fn a_realistic_run_to_look_at() {
    let Some(folder) = std::env::var_os("REPORT_TRY") else { return };
    let attacks = ["logit-least-likely", "margin-untargeted"];
    let examples: Vec<Example> =
        (0..18).map(|n| example(MODELS[n as usize % 3], attacks[n as usize % 2], n * 7 + 1, 32)).collect();
    write_reports(Path::new(&folder), &manifest("cifar10", &MODELS), &realistic(&MODELS), &examples).unwrap();
}

/// A reader finds every section from the top of the page.
#[test]
fn every_section_of_the_page_is_in_its_navigation() {
    let template = include_str!("page/templates/report.html.jinja");
    let navigation = template.lines().find(|line| line.starts_with("<nav")).unwrap();
    let sections: Vec<&str> =
        template.split("<section id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(sections.len() > 8, "{sections:?}");
    for section in sections {
        assert!(navigation.contains(&format!("href=\"#{section}\"")), "no link to the section {section}");
    }
}
