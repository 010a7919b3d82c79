//! Records, the manifest of a run, and the on-disk store: one file for each finished block.

mod adversarial;
mod atomic;
mod block;
mod cell;
mod column;
mod columnar;
mod columns;
mod damage;
mod distances_csv;
mod error;
mod evidence;
mod fields;
mod intern;
mod manifest;
mod picture;
mod predictions;
mod rows;
mod samples_csv;
pub(crate) mod seal;
mod shards;
mod store;
mod study;
mod table;
mod thumbnails;
mod transfer;
mod trial;
mod types;
mod universal;
mod version;
mod way;

pub use crate::terms::CellKind;
pub use adversarial::{AdversarialImages, assemble_adversarial};
pub use atomic::{AtomicFile, write_atomically};
pub use block::{BLOCK_FORMAT, Block, BlockFormat, decode_rehashed};
pub(crate) use cell::target_text;
pub use cell::{Cell, CellUnit};
pub use column::{Column, ColumnType};
pub use columnar::{column_type, write_parquet};

pub use damage::{DamageOrigin, DamageTally, Moments, PatchTally, Positions};
pub use distances_csv::{DISTANCES_COLUMNS, DISTANCES_TABLE, DistancesReader, DistancesWriter};
pub use error::StoreError;
pub use evidence::{CheckKind, Evidence};
pub(crate) use fields::float_text;
pub use manifest::{MANIFEST_FORMAT, Manifest, ManifestFormat, ModelEntry, Origin, RunStatus};
pub use picture::{
    PICTURES_FORMAT, PictureBlock, PictureDir, PictureRecord, PicturesFormat, Seen, TopSample, VISUALIZE_COLUMNS,
    file_word, write_visualize,
};
pub use predictions::{PredictionField, PredictionsFormat, PredictionsWriter};
pub use samples_csv::{SAMPLES_COLUMNS, SAMPLES_TABLE, SamplesReader, SamplesWriter};
pub use shards::{ShardFormat, ShardManifest};
pub(crate) use store::content_hash;
pub use store::{RunDir, RunLock};
pub use study::StudyDir;
pub use table::{Assembled, assemble_tables};
pub use thumbnails::{MOST_THUMBNAILS, THUMBNAIL_SIDE, Thumbnail, Thumbnails};
pub use transfer::TransferRecord;
pub use trial::Trial;
pub use types::{DistanceRecord, Example, Record, Status, TOWARDS};
pub use universal::{UNIVERSAL_COLUMNS, UniversalRecord, write_universal};
pub(crate) use version::file_versions;
pub use way::{SliceRecord, TRAJECTORY_COLUMNS, WayPoint, WayRecord, write_trajectories};

#[cfg(test)]
pub(crate) mod testing;
