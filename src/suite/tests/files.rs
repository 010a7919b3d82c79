//! Files that are missing or are not what they should be.

use super::{FULL, parse};
use crate::suite::{Place, Suite};

#[test]
fn a_suite_that_cannot_be_read_is_a_clean_error() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &std::path::Path| Suite::load(path).unwrap_err().problems()[0].message().to_string();
    assert_eq!(message(folder.path()), "this is a folder, not a file");
    assert!(message(&folder.path().join("none.toml")).starts_with("failed to read the file: "));
    let path = folder.path().join("latin1.toml");
    std::fs::write(&path, b"schema = 1\nname = \"caf\xe9\"\n").unwrap();
    assert_eq!(message(&path), "byte 22 (line 2) is not UTF-8");
    let plain = format!("{:#}", Suite::load(&path).unwrap_err());
    assert!(plain.contains("latin1.toml: byte 22"), "{plain}");
}

#[test]
fn a_file_that_is_much_too_long_is_refused_and_many_problems_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.toml");
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(Suite::load(&path).unwrap_err().problems()[0].message(), "the file has more than 1048576 bytes");

    let errors = parse(&format!("{FULL}{}", "[[gate]]\nmetric = \"loudness\"\nmin = 0\n".repeat(150))).unwrap_err();
    assert_eq!(errors.problems().len(), 100);
    assert!(errors.to_string().ends_with("150 problems, shown are 100"), "{errors}");
    assert_eq!(parse(&"=\n".repeat(5000)).unwrap_err().problems().len(), 20);
}

#[test]
fn missing_weights_and_data_are_shown_at_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let (suites, models) = (folder.path().join("suites"), folder.path().join("models"));
    for path in [&suites, &models] {
        std::fs::create_dir(path).unwrap();
    }
    let path = suites.join("full.toml");
    std::fs::write(&path, FULL).unwrap();
    std::fs::write(models.join("vit-b.safetensors"), b"").unwrap();
    let suite = Suite::load(&path).unwrap();
    let errors = suite.check_files().unwrap_err();
    let found: Vec<(usize, String, String)> = errors
        .problems()
        .iter()
        .map(|problem| {
            let (line, _) = errors.position(problem).unwrap();
            (line, problem.message().to_string(), problem.suggestion().unwrap().to_string())
        })
        .collect();
    let at = |word: &str| FULL.lines().position(|line| line.contains(word)).unwrap() + 1;
    assert_eq!(
        found.iter().map(|(line, ..)| *line).collect::<Vec<_>>(),
        [at("data/val"), at("cnn.safe"), at("vit.safe")]
    );
    assert!(found[0].1.starts_with("no data at ") && found[0].1.ends_with("val"), "{found:?}");
    assert!(found[1].1.starts_with("no weights of model `cnn` at "), "{found:?}");
    assert_eq!(found[2].2, "did you mean `vit-b.safetensors`, which is in the same folder?");

    std::fs::create_dir_all(folder.path().join("data/val")).unwrap();
    std::fs::write(models.join("cnn.safetensors"), b"").unwrap();
    std::fs::write(models.join("vit.safetensors"), b"").unwrap();
    suite.check_files().unwrap();
}

#[test]
fn unknown_architectures_and_layers_name_the_nearest() {
    let suite = parse(FULL).unwrap();
    suite.check_architectures(&["cifar/resnet20", "cifar/vit"]).unwrap();
    let errors = suite.check_architectures(&["cifar/resnet8", "cifar/vit"]).unwrap_err();
    assert_eq!(errors.problems()[0].suggestion(), Some("did you mean `cifar/resnet8`?"));

    suite.check_layers("cnn", &["layer3.0.conv2", "fc"]).unwrap();
    let errors = suite.check_layers("cnn", &["layer3.0.conv1", "head"]).unwrap_err();
    assert_eq!(errors.problems().len(), 2);
    assert_eq!(errors.problems()[0].suggestion(), Some("did you mean `layer3.0.conv1`?"));
    assert!(errors.problems()[1].suggestion().unwrap().contains("an attack runs on some models only"));

    let tested = parse(&format!("{FULL}\n[selftest]\nlayer = \"avgpol\"\n")).unwrap();
    let errors = tested.check_layers("vit", &["layer3.0.conv2", "fc", "avgpool"]).unwrap_err();
    assert_eq!(errors.problems()[0].suggestion(), Some("did you mean `avgpool`?"));
    let line = FULL.lines().count() + 3;
    assert_eq!(errors.position(&errors.problems()[0]).unwrap().0, line);
}

#[test]
fn layers_that_one_of_several_models_lacks_are_found_in_every_table() {
    let studies = "\n[damage]\nlayers = [\"layer2\"]\npatch = [\"layer3\"]\n\n[selftest]\nlayer = \"layer4\"\n";
    let suite = parse(&format!("{FULL}{studies}")).unwrap();
    suite.check_layers("cnn", &["layer2", "layer3", "layer4", "layer3.0.conv2", "fc"]).unwrap();
    let errors = suite.check_layers("vit", &["layer2", "blocks.3", "layer4"]).unwrap_err();
    let found: Vec<_> = errors.problems().iter().map(|problem| errors.position(problem).unwrap().0).collect();
    let patch = FULL.lines().count() + 4;
    assert!(found.contains(&patch) && !found.contains(&(patch - 1)), "{found:?}");
    let errors = suite.check_layers("vit", &["layer2", "blocks.3", "layer3"]).unwrap_err();
    let found: Vec<_> = errors.problems().iter().map(|problem| errors.position(problem).unwrap().0).collect();
    assert!(found.contains(&(patch + 3)), "{found:?}");
}

#[test]
fn later_errors_point_at_the_value_or_its_table() {
    let suite = parse(FULL).unwrap();
    let line = |place| {
        let errors = suite.error_at(place, "wrong", "mend it");
        errors.position(&errors.problems()[0]).unwrap().0
    };
    let at = |text: &str| FULL.lines().position(|line| line == text).unwrap() + 1;
    assert_eq!(line(Place::Attack(2, "units")), at("units = [3, 17, \"4@3,5\"]"));
    assert_eq!(line(Place::Boundary("norm")), at("[boundary]") + 1);
    assert_eq!(line(Place::Data("split")), at("[data]"), "the key is not written");
    assert_eq!(line(Place::Run("batch")), at("batch = 64"));
}
