//! What determines a run's results, for the hash in the run directory's name.

use serde_json::{Value, json};

use super::config::Suite;

impl Suite {
    /// Everything in the suite that determines a run's results, with every default filled in. Paths, the device and the
    /// gate's rules are left out: hash this together with the weights' content, the data's ids, and the device. The size of batches
    /// is left out too: results differ by rounding only, and a run that did not fit the device goes on with smaller ones.
    pub fn run_key_material(&self) -> Value {
        let mut material = json!({
            "seed": self.seed,
            "precision": self.run.precision,
            "batch": null,
            "block": self.run.samples_per_block(),
            "data": self.data,
            "models": self.models,
            "attacks": self.attacks,
            "boundary": self.boundary,
        });
        // A suite that asks for none keeps the name that its runs have had before there was transfer.
        if let (Some(transfer), Some(fields)) = (&self.transfer, material.as_object_mut()) {
            fields.insert("transfer".to_owned(), json!(transfer));
        }
        if let (Some(selftest), Some(fields)) = (&self.selftest, material.as_object_mut()) {
            fields.insert("selftest".to_owned(), json!(selftest));
        }
        if let (true, Some(fields)) = (self.run.eot > 1, material.as_object_mut()) {
            fields.insert("eot".to_owned(), json!(self.run.eot));
        }
        if let (false, Some(fields)) = (self.visualizations.is_empty(), material.as_object_mut()) {
            fields.insert("visualize".to_owned(), json!(self.visualizations));
        }
        if let (Some(damage), Some(fields)) = (&self.damage, material.as_object_mut()) {
            fields.insert("damage".to_owned(), json!(damage));
        }
        if let (Some(trajectories), Some(fields)) = (&self.trajectories, material.as_object_mut()) {
            fields.insert("trajectories".to_owned(), json!(trajectories));
        }
        if let (false, Some(fields)) = (self.universal.is_empty(), material.as_object_mut()) {
            fields.insert("universal".to_owned(), json!(self.universal));
        }
        material
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = include_str!("tests/full.toml");

    fn material(source: &str) -> Value {
        Suite::parse("suites/full.toml", source).unwrap().run_key_material()
    }

    #[test]
    fn spelling_paths_and_gates_do_not_count() {
        let same = SOURCE
            .replace("../data/val", "/elsewhere/val")
            .replace("../models/cnn.safetensors", "cnn.safetensors")
            .replace("max_drop = 0.02", "max_drop = 0.5")
            .replace("device = \"cuda:1\"", "device = \"cpu\"")
            .replace("batch = 64", "batch = 32")
            .replace("\"8/255\", \"1/255\", 0.0", "0, 0.00392156862745098, \"8/255\"")
            .replace("name = \"full\"", "name = \"renamed\"");
        assert_ne!(same, SOURCE);
        assert_eq!(material(&same), material(SOURCE));
    }

    #[test]
    fn everything_else_counts() {
        let changes = [
            ("seed = 3", "seed = 4"),
            ("precision = \"bf16\"", "precision = \"f32\""),
            ("block = 25", "block = 50"),
            ("samples = 1000", "samples = 999"),
            ("crop = 224", "crop = 223"),
            ("on_error = \"skip\"", "on_error = \"fail\""),
            ("arch = \"cifar/vit\"", "arch = \"cifar/vit-tiny\""),
            ("std = [0.5]", "std = [0.25]"),
            ("classes = 10", "classes = 11"),
            ("target = 7", "target = 8"),
            ("step_size = 0.1", "step_size = 0.2"),
            ("models = [\"cnn\"]", "models = [\"vit\"]"),
            ("\"4@3,5\"", "\"4@3,6\""),
            ("\"noise\", \"random-unit\"", "\"noise\""),
            ("bisections = 10", "bisections = 11"),
            ("attacks = [\"untarget*\"]", "attacks = [\"untarget*\", \"class-*\"]"),
        ];
        for (old, new) in changes {
            assert_eq!(SOURCE.matches(old).count(), 1, "{old}");
            assert_ne!(material(&SOURCE.replace(old, new)), material(SOURCE), "{new}");
        }
    }
}
