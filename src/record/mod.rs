//! Records, the manifest of a run, and the on-disk store: one file for each finished block.

mod adversarial;
mod atomic;
mod block;
mod columnar;
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
mod table;
mod thumbnails;
mod transfer;
mod trial;
mod types;

pub use crate::terms::CellKind;
pub use adversarial::{AdversarialImages, assemble_adversarial};
pub use atomic::{AtomicFile, write_atomically};
pub use block::{BLOCK_FORMAT, Block, decode_rehashed};
pub use columnar::{ColumnType, column_type, write_parquet};
pub use distances_csv::{DISTANCES_COLUMNS, DistancesReader, DistancesWriter};
pub use error::StoreError;
pub use evidence::{CheckKind, Evidence};
pub(crate) use fields::float_text;
pub use manifest::{MANIFEST_FORMAT, Manifest, ModelEntry, Origin, RunStatus};
pub use picture::{
    PICTURES_FORMAT, PictureBlock, PictureDir, PictureRecord, Seen, TopSample, VISUALIZE_COLUMNS, file_word,
    write_visualize,
};
pub use predictions::{PredictionField, PredictionsFormat, PredictionsWriter};
pub use samples_csv::{SAMPLES_COLUMNS, SamplesReader, SamplesWriter};
pub use shards::ShardManifest;
pub(crate) use store::content_hash;
pub use store::{RunDir, RunLock};
pub use table::{Assembled, assemble_tables};
pub use thumbnails::{MOST_THUMBNAILS, THUMBNAIL_SIDE, Thumbnail, Thumbnails};
pub use transfer::TransferRecord;
pub use trial::Trial;
pub use types::{Cell, DistanceRecord, Example, Record, Status};

#[cfg(test)]
pub(crate) mod testing;
