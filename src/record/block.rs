//! A block: the finished work on a fixed group of samples, as one file that proves itself whole.
//!
//! The first line is a JSON header with the lengths of the sections that follow and a blake3 hash over header (with an
//! empty hash) and sections. The sections: cells (JSON), records (CSV), distances (CSV), examples (JSON), the examples'
//! PNG files as they are, and, where the block has them, ids (JSON) and PNG files of thumbnails, and transfers (CSV).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord, WriterBuilder};
use serde::{Deserialize, Serialize};

use super::Column;
use super::fields::{Fields, Row};
use super::intern::Interner;
use super::rows::{self, DISTANCE_COLUMNS, RECORD_COLUMNS, TRANSFER_COLUMNS};
use super::version::file_versions;
use super::{
    Cell, DamageTally, DistanceRecord, Evidence, Example, PatchTally, Record, RunDir, StoreError, Thumbnail,
    TransferRecord, write_atomically,
};
use crate::files::read_regular;
use crate::terms::SampleId;

/// Most bytes of a file that is read whole.
const LARGEST: u64 = 1 << 34;

file_versions! {
    /// Version of a block file's form: 2 has transfers, 3 evidence, 4 the part of a composition that flipped a sample, 5 damage and patches.
    /// Older ones are read.
    BlockFormat = 5;
}

/// The form in which blocks are written.
pub const BLOCK_FORMAT: BlockFormat = BlockFormat::CURRENT;

/// The finished work on one block.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Block {
    /// The block's key in the plan, which names its file: letters, digits, `-`, `_` and `.`.
    pub key: String,
    /// One record per sample and cell.
    pub records: Vec<Record>,
    /// One distance per sample, model and method.
    pub distances: Vec<DistanceRecord>,
    /// Pictures for the gallery.
    pub examples: Vec<Example>,
    /// Small clean images of the block's samples. Of the blocks of the same samples, the plan's first has them.
    pub thumbnails: Vec<Thumbnail>,
    /// What other models say of the block's adversarial images.
    pub transfers: Vec<TransferRecord>,
    /// Wall-clock seconds spent.
    pub seconds: f64,
    /// Search hits that the separate f32 pass did not confirm.
    pub unconfirmed_hits: u64,
    /// What checks of the attacks themselves found.
    pub evidence: Vec<Evidence>,
    /// What adversarial images changed, layer by layer.
    pub damage: Vec<DamageTally>,
    /// Whether flips go away where clean activations are put back.
    pub patches: Vec<PatchTally>,
}

#[derive(Serialize, Deserialize, Clone)]
#[serde(deny_unknown_fields)]
struct Header {
    format: BlockFormat,
    key: String,
    run: String,
    records: u64,
    distances: u64,
    examples: u64,
    forwards: u64,
    backwards: u64,
    seconds: f64,
    unconfirmed_hits: u64,
    bytes: [usize; 5],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thumbnails: Option<[usize; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transfers: Option<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<Evidence>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    damage: Vec<DamageTally>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    patches: Vec<PatchTally>,
    blake3: String,
}

#[derive(Deserialize)]
struct Version {
    format: u64,
}

#[derive(Serialize, Deserialize)]
struct ExampleEntry {
    /// The example without its pictures.
    example: Example,
    /// Lengths of its clean, perturbation and adversarial picture.
    pictures: [usize; 3],
}

/// A sample and the length of its PNG file.
type ThumbnailEntry = (SampleId, usize);

impl Block {
    /// Forward passes spent on records, distances and transfers.
    pub fn forwards(&self) -> u64 {
        let records = self.records.iter().map(|record| u64::from(record.forwards));
        let distances = self.distances.iter().map(|distance| u64::from(distance.forwards));
        records.chain(distances).chain(self.transfers.iter().map(|transfer| u64::from(transfer.forwards))).sum()
    }

    /// Backward passes spent on records and distances.
    pub fn backwards(&self) -> u64 {
        let records = self.records.iter().map(|record| u64::from(record.backwards));
        records.chain(self.distances.iter().map(|distance| u64::from(distance.backwards))).sum()
    }

    /// Counts every pass `repeats` times: as often as the model is asked for one answer.
    pub fn repeat_passes(&mut self, repeats: usize) {
        let repeats = u32::try_from(repeats.max(1)).unwrap_or(u32::MAX);
        let repeat = |count: &mut u32| *count = count.saturating_mul(repeats);
        for record in &mut self.records {
            repeat(&mut record.forwards);
            repeat(&mut record.backwards);
        }
        for distance in &mut self.distances {
            repeat(&mut distance.forwards);
            repeat(&mut distance.backwards);
        }
        self.transfers.iter_mut().for_each(|transfer| repeat(&mut transfer.forwards));
    }

    /// Write the block into the run's directory: whole and synced, or not at all.
    pub fn write(&self, dir: &RunDir) -> Result<(), StoreError> {
        let path = dir.block_path(&self.key)?;
        let bytes = self.encode(dir.run()).map_err(|problem| StoreError::Content { path: path.clone(), problem })?;
        write_atomically(&path, &bytes)?;
        Ok(())
    }

    /// Whether the other block holds the same results, whatever time they took.
    pub fn agrees(&self, other: &Block) -> bool {
        let timeless = |block: &Block| Block { seconds: 0.0, ..block.clone() }.encode("");
        matches!((timeless(self), timeless(other)), (Ok(first), Ok(second)) if first == second)
    }

    /// Read the block in the file `path`, whatever run it belongs to; [`RunDir::block`] checks that too.
    pub fn read(path: &Path) -> Result<Block, StoreError> {
        Ok(read(path)?.0)
    }

    fn encode(&self, run: &str) -> Result<Vec<u8>, String> {
        let mut cells = Cells::default();
        let records = csv_of(&self.records, |row, record| rows::write_record(row, cells.place(&record.cell), record))?;
        let distances = csv_of(&self.distances, rows::write_distance)?;
        let transfers = csv_of(&self.transfers, |row, transfer| {
            rows::write_transfer(row, cells.place(&transfer.cell), transfer);
        })?;
        let entries: Vec<ExampleEntry> = self.examples.iter().map(ExampleEntry::from_example).collect();
        let pictures: Vec<&[u8]> = self
            .examples
            .iter()
            .flat_map(|example| [&example.clean[..], &example.perturbation, &example.adversarial])
            .collect();
        let sections = [json(&cells.listed)?, records, distances, json(&entries)?, pictures.concat()];
        let thumbnails = match self.thumbnails.as_slice() {
            [] => None,
            thumbnails => {
                let entries: Vec<ThumbnailEntry> =
                    thumbnails.iter().map(|thumbnail| (thumbnail.sample_id.clone(), thumbnail.png.len())).collect();
                Some([json(&entries)?, thumbnails.iter().flat_map(|thumbnail| thumbnail.png.iter().copied()).collect()])
            }
        };
        let small = thumbnails.as_ref().map_or_else(Vec::new, |parts| parts.concat());
        let body = [sections.concat(), small, transfers.clone()].concat();
        let mut header = Header {
            format: BLOCK_FORMAT,
            key: self.key.clone(),
            run: run.to_owned(),
            records: self.records.len() as u64,
            distances: self.distances.len() as u64,
            examples: self.examples.len() as u64,
            forwards: self.forwards(),
            backwards: self.backwards(),
            seconds: if self.seconds.is_finite() { self.seconds } else { 0.0 },
            unconfirmed_hits: self.unconfirmed_hits,
            bytes: sections.each_ref().map(Vec::len),
            thumbnails: thumbnails.as_ref().map(|parts| parts.each_ref().map(Vec::len)),
            transfers: (!transfers.is_empty()).then_some(transfers.len()),
            evidence: self.evidence.clone(),
            damage: self.damage.clone(),
            patches: self.patches.clone(),
            blake3: String::new(),
        };
        header.blake3 = hash(&header, &body)?;
        let mut bytes = json(&header)?;
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }
}

/// The block in the file `path`, and the run that it belongs to.
pub(super) fn read(path: &Path) -> Result<(Block, String), StoreError> {
    let bytes = read_regular(path, LARGEST).map_err(StoreError::io("read", path))?;
    if let Some(found) = newer_format(&bytes) {
        return Err(StoreError::NewerFormat { path: path.to_owned(), found, known: BLOCK_FORMAT.number() });
    }
    decode(&bytes).map_err(|problem| StoreError::DamagedBlock { path: path.to_owned(), problem })
}

/// Reads a block whose hash is made right first, so that what lies behind it is reached: for tests with any bytes.
#[doc(hidden)]
pub fn decode_rehashed(bytes: &[u8]) -> Result<Block, String> {
    let line = first_line(bytes).ok_or("no header")?;
    let mut header: Header = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let body = &bytes[line.len() + 1..];
    header.blake3 = hash(&header, body)?;
    let mut file = json(&header)?;
    file.extend_from_slice(body);
    decode(&file).map(|(block, _)| block)
}

fn newer_format(bytes: &[u8]) -> Option<u64> {
    let version: Version = serde_json::from_slice(first_line(bytes)?).ok()?;
    BLOCK_FORMAT.is_older_than(version.format).then_some(version.format)
}

fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    Some(&bytes[..bytes.iter().position(|&byte| byte == b'\n')?])
}

fn decode(bytes: &[u8]) -> Result<(Block, String), String> {
    let line = first_line(bytes).ok_or("its header is cut off")?;
    let header: Header = serde_json::from_slice(line).map_err(|error| format!("its header cannot be read: {error}"))?;
    let body = &bytes[line.len() + 1..];
    if hash(&header, body)? != header.blake3 {
        return Err("its hash does not match its content".to_owned());
    }
    let [a, b, c, d, e] = header.bytes;
    let [f, g] = header.thumbnails.unwrap_or_default();
    let h = header.transfers.unwrap_or_default();
    let [cells, records, distances, entries, pictures, ids, images, transfers] =
        sections(body, [a, b, c, d, e, f, g, h]).ok_or("its sections have other lengths than the header says")?;

    let cells: Vec<Arc<Cell>> = from_json::<Vec<Cell>>(cells)?.into_iter().map(Arc::new).collect();
    let mut interner = Interner::default();
    let records = table(records, RECORD_COLUMNS, &mut interner, |fields| rows::read_record(fields, &cells))?;
    let distances = table(distances, DISTANCE_COLUMNS, &mut interner, rows::read_distance)?;
    let read_transfer = |fields: &mut Fields<'_>| rows::read_transfer(fields, &cells);
    let transfers = table(transfers, TRANSFER_COLUMNS, &mut interner, read_transfer)?;
    let entries: Vec<ExampleEntry> = from_json(entries)?;
    let mut rest = pictures;
    let examples = entries.into_iter().map(|entry| entry.example(&mut rest)).collect::<Result<Vec<_>, _>>()?;
    let entries: Vec<ThumbnailEntry> = if ids.is_empty() { Vec::new() } else { from_json(ids)? };
    let mut rest = images;
    let thumbnail =
        |(sample_id, length): ThumbnailEntry| Ok(Thumbnail { sample_id, png: take(&mut rest, length)?.to_vec() });
    let thumbnails = entries.into_iter().map(thumbnail).collect::<Result<Vec<_>, String>>()?;
    let block = Block {
        key: header.key,
        records,
        distances,
        examples,
        thumbnails,
        transfers,
        seconds: header.seconds,
        unconfirmed_hits: header.unconfirmed_hits,
        evidence: header.evidence,
        damage: header.damage,
        patches: header.patches,
    };
    Ok((block, header.run))
}

fn hash(header: &Header, body: &[u8]) -> Result<String, String> {
    let unsigned = Header { blake3: String::new(), ..header.clone() };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&json(&unsigned)?).update(body);
    Ok(hasher.finalize().to_hex().to_string())
}

fn sections<const N: usize>(mut body: &[u8], lengths: [usize; N]) -> Option<[&[u8]; N]> {
    let mut parts = [&body[..0]; N];
    for (part, length) in parts.iter_mut().zip(lengths) {
        (*part, body) = body.split_at_checked(length)?;
    }
    body.is_empty().then_some(parts)
}

/// The distinct cells of a block, in the order in which they are met.
#[derive(Default)]
struct Cells<'a> {
    listed: Vec<&'a Cell>,
    places: HashMap<&'a Cell, usize>,
}

impl<'a> Cells<'a> {
    /// Where `cell` stands in the list, which it joins if it is new.
    fn place(&mut self, cell: &'a Cell) -> usize {
        let next = self.listed.len();
        *self.places.entry(cell).or_insert_with(|| {
            self.listed.push(cell);
            next
        })
    }
}

/// A row of CSV for each of `values`.
fn csv_of<'a, T>(values: &'a [T], mut write: impl FnMut(&mut Row, &'a T)) -> Result<Vec<u8>, String> {
    let mut writer = WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    let mut row = Row::default();
    for value in values {
        row.clear();
        write(&mut row, value);
        writer.write_record(&row.fields).map_err(|error| error.to_string())?;
    }
    writer.into_inner().map_err(|error| error.to_string())
}

fn table<T>(
    bytes: &[u8],
    columns: &'static [Column],
    interner: &mut Interner,
    mut read: impl FnMut(&mut Fields<'_>) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let mut row = StringRecord::new();
    let mut values = Vec::new();
    while reader.read_record(&mut row).map_err(|error| error.to_string())? {
        values.push(read(&mut Fields::new(&row, columns, interner)?)?);
    }
    Ok(values)
}

/// One line of JSON.
fn json(value: &impl Serialize) -> Result<Vec<u8>, String> {
    let mut bytes = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

impl ExampleEntry {
    fn from_example(example: &Example) -> Self {
        let pictures = [example.clean.len(), example.perturbation.len(), example.adversarial.len()];
        // JSON has no infinities and no NaN; one of them in a caption must not cost the block.
        let finite = |value: f32| if value.is_finite() { value } else { 0.0 };
        let example = Example {
            cell: example.cell.clone(),
            sample_id: example.sample_id.clone(),
            confidence_clean: finite(example.confidence_clean),
            confidence_adv: finite(example.confidence_adv),
            linf: finite(example.linf),
            l2: finite(example.l2),
            length: example.length.map(finite),
            gain: finite(example.gain),
            clean: Vec::new(),
            perturbation: Vec::new(),
            adversarial: Vec::new(),
            ..*example
        };
        ExampleEntry { example, pictures }
    }

    fn example(self, rest: &mut &[u8]) -> Result<Example, String> {
        let mut take = |length: usize| take(rest, length).map(<[u8]>::to_vec);
        let [clean, perturbation, adversarial] = self.pictures;
        Ok(Example {
            clean: take(clean)?,
            perturbation: take(perturbation)?,
            adversarial: take(adversarial)?,
            ..self.example
        })
    }
}

/// Cuts the next `length` bytes off `rest`.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (picture, tail) = rest.split_at_checked(length).ok_or("its pictures are cut off")?;
    *rest = tail;
    Ok(picture)
}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
