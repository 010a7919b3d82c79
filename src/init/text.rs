//! The suite's text.

use std::path::Path;

use super::data::Data;
use super::table::Model;
use super::{Draft, quoted};
use crate::wording::format::slug;

/// The suite, with a comment for each table and for what has to be filled in.
pub(super) fn suite(root: &Path, data: Option<&Data>, models: &[Model], draft: &Draft) -> String {
    let name =
        root.canonicalize().ok().and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
    let name = slug(&name.unwrap_or_default());
    let mut text = String::from(
        "# A first suite, made by `am-eval init` from what lies here.\n#\n\
         #     am-eval validate SUITE   every error at once, with line and column\n\
         #     am-eval run SUITE --dry-run   what it costs; --limit 20 for a first try\n\
         #     am-eval run SUITE\n#\n\
         # docs/suite.md lists every key.\n",
    );
    if !draft.open.is_empty() {
        text += "#\n# Fill in before it runs:\n";
        text += &draft.open.iter().map(|line| comment("  - ", line)).collect::<String>();
    }
    if !draft.left.is_empty() {
        text += "#\n# Found and not taken:\n";
        text += &draft.left.iter().map(|line| comment("  - ", line)).collect::<String>();
    }
    text += &format!("schema = 2\nname = {}\nseed = 1\n\n", quoted(&name));
    text += &match data {
        Some(data) => format!("[data]\n{}\n{}\n", data.lines.join("\n"), sizes(data, models)),
        None => "# [data]\n# kind = \"image-folder\" # one folder for each class\n# root = \"images\"\n\n".to_owned(),
    };
    for model in models {
        text += &format!("[[model]]\n{}\n\n", model.lines.join("\n"));
    }
    if models.is_empty() {
        text += "# [[model]]\n# name = \"model\"\n# arch = \"exported\" # what `torch.export.save` wrote; `am-eval models` lists the others\n\
                 # weights = \"model.pt2\"\n# normalize = { mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225] }\n\n";
    }
    text + &attacks(data)
}

/// The data and one model, as a suite that can be checked.
pub(super) fn trial(data: &Data, model: &Model) -> String {
    format!(
        "schema = 1\nname = \"s\"\n[data]\n{}\n{}\n[[model]]\n{}\n[boundary]\n",
        data.lines.join("\n"),
        sizes(data, std::slice::from_ref(model)),
        model.lines.join("\n")
    )
}

/// How images are brought to the size that the models take.
fn sizes(data: &Data, models: &[Model]) -> String {
    let wanted = models.iter().find_map(|model| model.side);
    let exact = models.iter().any(|model| model.exact);
    match (data.size, wanted) {
        (Some((width, height)), _) if width == height && (Some(width) == wanted || width <= 64 && !exact) => {
            String::new()
        }
        (_, Some(side)) => format!(
            "# Images are brought to one size: the shorter side, then a centred square. Take what the model was evaluated with.\n\
             resize = {}\ncrop = {side}\n",
            (f64::from(side) * 256.0 / 224.0).round()
        ),
        _ => String::new(),
    }
}

fn attacks(data: Option<&Data>) -> String {
    let small = data.and_then(|data| data.size).is_some_and(|(width, height)| width <= 64 && height <= 64);
    let (radii, why) = match data.map(|data| data.channels) {
        Some(1) => ("[0.1, 0.2, 0.3]", "MNIST's usual radii"),
        _ if small => ("[\"1/255\", \"2/255\", \"4/255\", \"8/255\"]", "8/255 is CIFAR-10's usual radius"),
        _ => (
            "[\"0.1/255\", \"0.25/255\", \"1/255\", \"4/255\"]",
            "4/255 is ImageNet's usual radius; networks without adversarial training fall at once",
        ),
    };
    format!(
        "# Robust accuracy: a composition of attacks, each on the images that those before it did not flip (docs/attacks.md).\n\
         [[attack]]\nname = \"standard\"\nkind = \"am-standard\"\nnorm = \"linf\"\nepsilons = {radii} # {why}\n\n\
         # How far each image is from the decision boundary: shows which radii tell models apart.\n\
         [boundary]\nnorm = \"l2\"\nmethods = [\"fmn\"]\n\n\
         # Driving single units inside the network, beside controls of equal norm; `am-eval layers MODEL` lists the layers.\n\
         # [[attack]]\n# name = \"units\"\n# kind = \"unit\"\n# layer = \"layer2\"\n# units = {{ top = 4, by = \"activation\" }}\n# norm = \"linf\"\n\
         # epsilons = [\"4/255\"]\n# steps = 20\n# controls = [\"noise\", \"random-unit\"]\n\n\
         # A gate for CI (docs/gate.md), once `am-eval baseline save RUN baseline.json` has kept a run that you trust.\n\
         # [[gate]]\n# metric = \"worst_case_accuracy\"\n# max_drop = 0.02\n"
    )
}

/// A comment on lines of at most 120 characters.
fn comment(mark: &str, text: &str) -> String {
    let mut lines = String::new();
    let mut line = format!("#{mark}");
    for word in text.split_whitespace() {
        if line.chars().count() + word.chars().count() > 118 && !line.trim_start_matches(['#', ' ', '-']).is_empty() {
            lines += &format!("{}\n", line.trim_end());
            line = "#    ".to_owned();
        }
        line += word;
        line.push(' ');
    }
    lines + line.trim_end() + "\n"
}
