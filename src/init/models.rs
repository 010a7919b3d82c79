//! Which files are models, and what each needs in the suite: tried with the checks of `am-eval validate`.

use std::path::Path;

use super::data::Data;
use super::table::Model;
use super::{Draft, Found, Knowledge, quoted, relative, text};
use crate::files::{ScriptCode, instead};
use crate::suite::ModelFolder;
use crate::wording::format::slug;

/// Models of a first suite.
const MOST: usize = 4;

/// ImageNet's statistics, as torchvision's models take them.
const IMAGENET: &str = "{ mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }";
/// CIFAR-10's.
const CIFAR: &str = "{ mean = [0.4914, 0.4822, 0.4465], std = [0.2470, 0.2435, 0.2616] }";
/// MNIST's.
const MNIST: &str = "{ mean = [0.1307], std = [0.3081] }";

/// Sides of images that programs are usually made for.
const SIDES: [u32; 6] = [224, 32, 64, 96, 299, 384];

pub(super) fn choose(
    suite: &Path,
    base: &Path,
    found: &Found,
    data: Option<&Data>,
    knowledge: &dyn Knowledge,
    draft: &mut Draft,
) -> Vec<Model> {
    let mut models: Vec<Model> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let files = found.model_folders.iter().chain(&found.weights);
    for file in files {
        let place = relative(file, base);
        if models.len() == MOST {
            draft.left.push(format!("{place}: a first suite has {MOST} models at most"));
            continue;
        }
        let mut name = slug(&file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default());
        if names.contains(&name) {
            name = format!("{name}-{}", names.len() + 1);
        }
        match candidates(file, data, knowledge) {
            Err(why) => draft.left.push(format!("{place}: {why}")),
            Ok(candidates) => {
                let tried = candidates.into_iter().map(|candidate| {
                    let (arch, normalize, side) = (candidate.arch.clone(), candidate.normalize, candidate.side);
                    let model = Model { lines: candidate.lines(&name, &place), side, exact: candidate.exact };
                    let tried = data.map(|data| text::trial(data, &model));
                    let problems = tried.map(|text| knowledge.problems(suite, &text)).unwrap_or_default();
                    (model, arch, normalize, problems)
                });
                let tried: Vec<_> = tried.collect();
                let good = tried.iter().position(|(_, _, _, problems)| problems.is_empty());
                let Some((model, arch, normalize, problems)) = tried.into_iter().nth(good.unwrap_or(0)) else {
                    continue;
                };
                if good.is_none() {
                    draft.left.push(format!("{place}: {}", problems.join("; ")));
                    continue;
                }
                draft
                    .taken
                    .push(format!("model: {place}{}", arch.map(|arch| format!(" as {arch}")).unwrap_or_default()));
                if normalize {
                    draft.guessed.push(format!("`normalize` of {name}: a wrong one lowers the clean accuracy"));
                }
                names.push(name);
                models.push(model);
            }
        }
    }
    if models.is_empty() {
        draft.open.push(
            "[[model]]: no file of weights can be used as it is; `arch`, `weights` and `normalize` (docs/models.md)"
                .to_owned(),
        );
    }
    models
}

/// What a file may be.
struct Candidate {
    arch: Option<String>,
    /// Whether the normalization is a guess.
    normalize: bool,
    told_normalize: Option<&'static str>,
    side: Option<u32>,
    /// Whether it takes images of that side alone.
    exact: bool,
    remark: Option<String>,
}

impl Candidate {
    fn lines(&self, name: &str, place: &str) -> Vec<String> {
        let mut lines = vec![format!("name = {}", quoted(name))];
        if let Some(arch) = &self.arch {
            let remark = self.remark.as_ref().map(|remark| format!(" # {remark}")).unwrap_or_default();
            lines.push(format!("arch = {}{remark}", quoted(arch)));
        }
        lines.push(format!("weights = {}", quoted(place)));
        if let Some(normalize) = self.told_normalize {
            lines.push(
                "# A guess: what the training took. A wrong one lowers the clean accuracy, so compare that with what you know.".to_owned(),
            );
            lines.push(format!("normalize = {normalize}"));
        }
        lines
    }
}

fn candidates(file: &Path, data: Option<&Data>, knowledge: &dyn Knowledge) -> Result<Vec<Candidate>, String> {
    if file.is_dir() {
        return folder(file, data, knowledge);
    }
    let ending = file.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    // Programs are often made for images of one size: as images are, or else the first of the usual ones that fits.
    let program = |arch: &str| -> Vec<Candidate> {
        let normalize = Some(normalization(None, data));
        let sided = |side: Option<u32>| Candidate {
            arch: Some(arch.to_owned()),
            normalize: true,
            told_normalize: normalize,
            side,
            exact: side.is_some(),
            remark: None,
        };
        let square = data.and_then(|data| data.size).is_some_and(|(width, height)| width == height);
        square.then_some(None).into_iter().chain(SIDES.map(Some)).map(sided).collect()
    };
    match ending.as_str() {
        "onnx" => return Ok(program("onnx")),
        "pt2" => return Ok(program("exported")),
        "safetensors" => {}
        _ => {
            if ScriptCode::open(file).is_ok_and(|code| code.is_script()) {
                return Ok(program("torchscript"));
            }
            return Err(
                instead(file).unwrap_or_else(|| "it is neither TorchScript nor a checkpoint of PyTorch".to_owned())
            );
        }
    }
    if let Some(description) = instead(file) {
        return Err(description);
    }
    native(file, None, true, data, knowledge)
}

/// The architectures whose tensors the file has.
fn native(
    file: &Path,
    named: Option<String>,
    normalize: bool,
    data: Option<&Data>,
    knowledge: &dyn Knowledge,
) -> Result<Vec<Candidate>, String> {
    let known = knowledge.architectures(file);
    if known.is_empty() && named.is_none() {
        return Err(match knowledge.knows_networks() {
            true => "its tensors are those of no architecture that `am-eval models` lists; save the model as a program with \
                     `torch.export` (docs/models.md), and run `am-eval init` again"
                .to_owned(),
            false => "this build has no networks and cannot tell its architecture; fill in `arch`".to_owned(),
        });
    }
    let also = known.iter().skip(1).map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    let make = |arch: Option<String>, side: Option<u32>, remark: Option<String>| Candidate {
        told_normalize: normalize.then(|| normalization(arch.as_deref(), data)),
        arch,
        normalize,
        side,
        exact: false,
        remark,
    };
    if named.is_some() {
        return Ok(vec![make(None, None, None)]);
    }
    let remark = (known.len() > 1).then(|| format!("the tensors are also those of {also}"));
    Ok(known.iter().map(|(name, side)| make(Some(name.clone()), Some(*side), remark.clone())).collect())
}

fn folder(folder: &Path, data: Option<&Data>, knowledge: &dyn Knowledge) -> Result<Vec<Candidate>, String> {
    let found = ModelFolder::read(folder).map_err(|error| format!("{}; {}", error.problem, error.help))?;
    let normalize = matches!(found.normalize, Ok(None));
    let mut candidates = native(&found.weights, found.arch.clone(), normalize, data, knowledge)?;
    if matches!(found.preprocess, Ok(Some(_))) {
        candidates.iter_mut().for_each(|candidate| candidate.side = None);
    }
    Ok(candidates)
}

/// What the weights were most likely trained with.
fn normalization(arch: Option<&str>, data: Option<&Data>) -> &'static str {
    let small = data.and_then(|data| data.size).is_some_and(|(width, height)| width <= 64 && height <= 64);
    match data.map(|data| data.channels) {
        Some(1) => MNIST,
        _ if arch.is_some_and(|arch| arch.starts_with("cifar/")) => CIFAR,
        _ if arch.is_none() && small => CIFAR,
        _ => IMAGENET,
    }
}
