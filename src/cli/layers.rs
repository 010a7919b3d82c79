//! `am-eval layers`: every layer of an architecture or of a file's network, as probes see it.

use std::path::Path;

use tch::Device;

use super::args::LayersArgs;
use super::exit::Exit;
use super::failure::{Failure, OrExit};
use super::output::{print, print_exactly, say, warn};
use super::run::SCRIPTS;
use crate::model::{Architecture, Compute, Geometry, LayerInfo, ModelError, ModelSource, TORCHSCRIPT, backend};
use crate::suite::{ModelConfig, Normalize};
use crate::wording::columns::{Align, columns};
use crate::wording::neighbour;

/// Lists the layers in the order of the forward pass.
pub fn layers(args: &LayersArgs) -> Result<Exit, Failure> {
    let layers = listed(args).or_exit(Exit::Usage)?;
    if args.json {
        print_exactly(&json(&layers)?)?
    } else {
        print(&table(&layers))?
    }
    Ok(Exit::Success)
}

fn listed(args: &LayersArgs) -> Result<Vec<LayerInfo>, ModelError> {
    let (file, channels) = (Path::new(&args.model), args.channels);
    if file.is_file() {
        let backend = backend::recognise(file);
        let [fixed, ..] = backend.map_or([None; 3], |backend| backend.image(file));
        let values = fixed.filter(|count| (1..=1024).contains(count)).unwrap_or(channels) as usize;
        let normalize = Normalize { mean: vec![0.0; values], std: vec![1.0; values] };
        let arch = backend.map_or(TORCHSCRIPT, |backend| backend.arch());
        if arch == TORCHSCRIPT {
            warn(SCRIPTS);
        }
        let source = ModelSource::open_for(&ModelConfig::of_file(arch, file, normalize), args.size, false)?;
        source.notes().iter().for_each(|note| say(&format!("note: {}: {note}", file.display())));
        return Ok(source.build(Compute::f32(Device::Cpu))?.layers());
    }
    let ends = ["safetensors", "pt2", "onnx", "pt", "pth", "pte"];
    if file.extension().is_some_and(|end| ends.iter().any(|known| end == *known)) {
        let near = neighbour(file, |path| path.is_file());
        let near =
            near.map_or_else(String::new, |near| format!("; did you mean `{near}`, which is in the same folder?"));
        return Err(ModelError::Unusable {
            model: args.model.clone(),
            problem: format!("there is no such file{near}"),
        });
    }
    let architecture = Architecture::find(&args.model)?;
    let published = architecture.geometry;
    let [height, width] = args.size.unwrap_or([published.height, published.width]);
    Ok(architecture.outline(Geometry { channels, height, width, ..published })?.layers())
}

fn json(layers: &[LayerInfo]) -> Result<String, Failure> {
    crate::wording::escape::json_text(layers).map(|text| text + "\n").or_exit(Exit::RunFailed)
}

/// `share` is that of a pass up to and with the layer: what an attack on its units costs.
fn table(layers: &[LayerInfo]) -> String {
    let head = ["layer", "kind", "shape", "units", "own", "share", "also"].map(str::to_owned);
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let lines = layers.iter().map(|layer| {
        let shape: Vec<String> = layer.shape.iter().map(i64::to_string).collect();
        let (name, kind, units) = (layer.name.to_string(), layer.kind.to_string(), layer.units.to_string());
        let also: Vec<&str> = layer.also.iter().map(|name| name.as_str()).collect();
        [name, kind, shape.join("x"), units, percent(layer.own_share), percent(layer.share), also.join(", ")]
    });
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(lines).collect();
    let align = [Align::Left, Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left];
    if layers.iter().any(|layer| !layer.also.is_empty()) {
        return columns(&rows, align) + "\n";
    }
    // Networks of am-eval's own have one name for each layer.
    let rows: Vec<[String; 6]> = rows.into_iter().map(|[a, b, c, d, e, f, _]| [a, b, c, d, e, f]).collect();
    let [first, second, third, fourth, fifth, sixth, _] = align;
    columns(&rows, [first, second, third, fourth, fifth, sixth]) + "\n"
}
