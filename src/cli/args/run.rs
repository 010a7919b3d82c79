//! Arguments of the commands that compute: runs, their shards, and what is left of them.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::at_least_one;
use crate::cli::devices::DevicesChoice;
use crate::suite::{DeviceChoice, ShardChoice};

/// `am-eval run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Suite files, run one after the other
    #[arg(required = true, value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub suites: Vec<PathBuf>,
    /// Folder that receives the run's directory
    #[arg(long, value_name = "DIR", default_value = "reports", value_hint = ValueHint::DirPath)]
    pub out: PathBuf,
    /// Forget the finished blocks of an earlier run of the same suite and start over
    #[arg(long)]
    pub fresh: bool,
    /// Device, instead of the suite's [auto, cpu, cuda, cuda:N]
    #[arg(long)]
    pub device: Option<DeviceChoice>,
    /// Use at most N samples, still class-balanced: for trying a suite out
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub limit: Option<usize>,
    /// Seed, instead of the suite's
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folder of the images, instead of the suite's `data.root`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_root: Option<PathBuf>,
    /// Folder of the weights, instead of those that the suite names; files are looked for by their names
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub weights_root: Option<PathBuf>,
    /// Write every adversarial image as f32 safetensors to `adversarial/`
    #[arg(long)]
    pub save_adversarial: bool,
    /// Show cells, blocks, rows, estimated passes and the files to be written; run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Run one of N shares of the blocks: I/N, or auto for what Slurm, Kubernetes (auto/N), Grid Engine or a CI service says; the last
    /// to finish writes the outputs, or `am-eval merge`
    #[arg(long, value_name = "I/N", conflicts_with = "dry_run")]
    pub shard: Option<ShardChoice>,
    /// Run one process on each of these devices, side by side: all (every GPU; without one, every core of the CPU), a list of
    /// cuda:N, or cpu:N (N processes that divide the threads)
    #[arg(long, value_name = "LIST", conflicts_with_all = ["device", "shard"])]
    pub devices: Option<DevicesChoice>,
    /// What `--devices` starts: ends quietly after its share, and stops when standard input is closed
    #[arg(long, hide = true, requires = "shard")]
    pub worker: bool,
    /// Print plain lines instead of a progress bar
    #[arg(long)]
    pub no_progress: bool,
    /// Baseline that the suite's gate compares with
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub baseline: Option<PathBuf>,
    /// Also write the findings of the suite's gate as SARIF 2.1.0, for code scanning
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sarif: Option<PathBuf>,
}

/// `am-eval validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// Suite files
    #[arg(required = true, value_name = "SUITE", value_hint = ValueHint::FilePath)]
    pub suites: Vec<PathBuf>,
    /// Folder of the images, instead of the suite's `data.root`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_root: Option<PathBuf>,
    /// Folder of the weights, instead of those that the suite names; files are looked for by their names
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub weights_root: Option<PathBuf>,
}

/// `am-eval merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Directories of one run's shards; the first receives the blocks of the others
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub runs: Vec<PathBuf>,
    /// Folder that receives the run's directory, instead of the first RUN
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub out: Option<PathBuf>,
    /// Merge shards of different devices, whose results differ by rounding, and by precision if the suite leaves it open
    #[arg(long)]
    pub allow_mixed_devices: bool,
}

/// `am-eval status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Directories of runs
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub runs: Vec<PathBuf>,
}
