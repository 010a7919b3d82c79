//! The value of `run --devices`.

use std::fmt;
use std::str::FromStr;

use crate::suite::DeviceChoice;

/// `--devices`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DevicesChoice {
    /// Every GPU; without one, every core of the CPU.
    All,
    /// These, in order.
    Listed(Vec<Place>),
}

/// An entry of `--devices`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// `cuda:N`: one process on that GPU.
    Gpu(usize),
    /// `cpu` or `cpu:N`: N processes, which divide the threads of the CPU among them.
    Cpu(usize),
}

impl FromStr for DevicesChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(DevicesChoice::All);
        }
        let places: Vec<Place> = text.split(',').map(|entry| place(entry.trim())).collect::<Result<_, _>>()?;
        let gpus: Vec<&Place> = places.iter().filter(|place| matches!(place, Place::Gpu(_))).collect();
        if !gpus.is_empty() && gpus.len() < places.len() {
            return Err("GPUs and the CPU give different results, so one run has one kind of them".to_owned());
        }
        if let Some(twice) = gpus.iter().enumerate().find(|(at, gpu)| gpus[..*at].contains(gpu)) {
            return Err(format!("{} is named twice; one process fills a GPU", twice.1));
        }
        if gpus.is_empty() && places.len() > 1 {
            return Err(format!("write `cpu:{}` for as many processes on the CPU", places.len()));
        }
        Ok(DevicesChoice::Listed(places))
    }
}

fn place(entry: &str) -> Result<Place, String> {
    let unknown =
        || format!("unknown device `{entry}`; known are all, cuda:N, cpu:N (N processes), and lists of cuda:N");
    if entry == "cpu" {
        return Ok(Place::Cpu(1));
    }
    if let Some(count) = entry.strip_prefix("cpu:") {
        let count = count.parse().ok().filter(|count| (1..=1024).contains(count));
        return count.map(Place::Cpu).ok_or_else(|| format!("`{entry}`: 1 to 1024 processes"));
    }
    match entry.parse() {
        Ok(DeviceChoice::Cuda(index)) => Ok(Place::Gpu(index)),
        _ => Err(unknown()),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Gpu(index) => write!(f, "cuda:{index}"),
            Place::Cpu(count) => write!(f, "cpu:{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_name_gpus_or_processes_on_the_cpu() {
        let parsed = |text: &str| text.parse::<DevicesChoice>();
        assert_eq!(parsed("all"), Ok(DevicesChoice::All));
        assert_eq!(parsed("cuda:2, cuda:0"), Ok(DevicesChoice::Listed(vec![Place::Gpu(2), Place::Gpu(0)])));
        assert_eq!(parsed("cpu:3"), Ok(DevicesChoice::Listed(vec![Place::Cpu(3)])));
        for (text, named) in [
            ("cuda:0,cpu", "one kind"),
            ("cuda:1,cuda:1", "cuda:1 is named twice"),
            ("cpu,cpu", "`cpu:2`"),
            ("cpu:0", "1 to 1024"),
            ("", "unknown device ``"),
            ("tpu", "unknown device `tpu`"),
        ] {
            let message = parsed(text).unwrap_err();
            assert!(message.contains(named), "{text}: {message}");
        }
    }
}
