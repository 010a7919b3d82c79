//! Members of a zip archive by name, as PyTorch writes them (stored or deflated, with ZIP64), read one at a time.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::open_regular;

/// Most bytes of a list of members that is read.
const LONGEST_LIST: u64 = 1 << 26;
/// The end of an archive lies in so many last bytes: the record, and a comment behind it.
const LONGEST_END: u64 = 22 + 65_535;

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";

/// Why an archive or a member of one cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file could not be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is no zip archive.
    #[error("it is no zip archive")]
    Other,
    /// It begins as an archive, but its list of members is missing.
    #[error("it begins like a zip archive, but its end is missing: the file is truncated")]
    Truncated,
    /// It contradicts itself.
    #[error("its zip archive is damaged: {0}")]
    Damaged(&'static str),
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path in the archive.
    pub name: String,
    /// Its length, unpacked.
    pub length: u64,
    packed: u64,
    method: u16,
    local: u64,
}

/// An open archive whose list of members is in memory.
#[derive(Debug)]
pub struct Archive {
    file: File,
    length: u64,
    members: Vec<Member>,
}

impl Archive {
    /// Reads the list of members.
    ///
    /// # Errors
    /// If the file cannot be read, is no zip archive, is truncated, or damaged.
    pub fn open(path: &Path) -> Result<Self, ArchiveError> {
        let mut file = open_regular(path)?;
        let length = file.metadata()?.len();
        let mut begin = [0; 4];
        let read = file.by_ref().take(4).read(&mut begin)?;
        if &begin[..read] != LOCAL && &begin[..read] != END {
            return Err(ArchiveError::Other);
        }
        let members = members(&mut file, length)?;
        Ok(Archive { file, length, members })
    }

    /// The members in the order of the list.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The first member whose path ends with `end`, behind a `/` or whole.
    pub fn find(&self, end: &str) -> Option<&Member> {
        self.members.iter().find(|member| {
            member.name.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('/'))
        })
    }

    /// The content of a member, unpacked.
    ///
    /// # Errors
    /// If it is longer than `most`, packed in another way than by deflating, or damaged.
    pub fn read(&self, member: &Member, most: u64) -> Result<Vec<u8>, ArchiveError> {
        if member.length > most || member.packed > most {
            return Err(ArchiveError::Damaged("a member is longer than expected"));
        }
        let mut file = &self.file;
        let head: [u8; 30] = read_at(&mut file, member.local)?;
        if !head.starts_with(LOCAL) {
            return Err(ArchiveError::Damaged("a member is not where the list says"));
        }
        let skip = 30 + u64::from(number16(&head, 26)) + u64::from(number16(&head, 28));
        let start = member.local.saturating_add(skip);
        if start.saturating_add(member.packed) > self.length {
            return Err(ArchiveError::Truncated);
        }
        file.seek(SeekFrom::Start(start))?;
        let mut packed = file.take(member.packed);
        let mut bytes = Vec::new();
        match member.method {
            0 => packed.read_to_end(&mut bytes)?,
            8 => flate2::read::DeflateDecoder::new(packed).take(most + 1).read_to_end(&mut bytes)?,
            _ => return Err(ArchiveError::Damaged("a member is packed in an unknown way")),
        };
        if bytes.len() as u64 != member.length {
            return Err(ArchiveError::Damaged("a member has another length than the list says"));
        }
        Ok(bytes)
    }
}

fn members(file: &mut File, length: u64) -> Result<Vec<Member>, ArchiveError> {
    let tail = length.min(LONGEST_END);
    file.seek(SeekFrom::Start(length - tail))?;
    let mut last = Vec::new();
    file.by_ref().take(tail).read_to_end(&mut last)?;
    let end = last.windows(4).rposition(|window| window == END).ok_or(ArchiveError::Truncated)?;
    let record = last.get(end..end + 22).ok_or(ArchiveError::Truncated)?;
    let (mut size, mut start) = (u64::from(number32(record, 12)), u64::from(number32(record, 16)));
    let locator = (length - tail + end as u64).checked_sub(20);
    if let Some(place) = locator.filter(|_| size == u64::from(u32::MAX) || start == u64::from(u32::MAX)) {
        let locator: [u8; 20] = read_at(file, place)?;
        if !locator.starts_with(LOCATOR_64) {
            return Err(ArchiveError::Damaged("it has no ZIP64 record"));
        }
        let record: [u8; 56] = read_at(file, number64(&locator, 8))?;
        if !record.starts_with(END_64) {
            return Err(ArchiveError::Damaged("it has no ZIP64 record"));
        }
        (size, start) = (number64(&record, 40), number64(&record, 48));
    }
    if size > LONGEST_LIST || start.saturating_add(size) > length {
        return Err(ArchiveError::Damaged("its list of members is not where it should be"));
    }
    file.seek(SeekFrom::Start(start))?;
    let mut list = Vec::new();
    file.take(size).read_to_end(&mut list)?;
    let mut members = Vec::new();
    let mut rest = list.as_slice();
    while !rest.is_empty() {
        let (member, behind) = entry(rest).ok_or(ArchiveError::Damaged("its list of members is cut off"))?;
        members.push(member);
        rest = behind;
    }
    Ok(members)
}

/// The first entry of the list, and what follows it.
fn entry(list: &[u8]) -> Option<(Member, &[u8])> {
    let head = list.get(..46).filter(|head| head.starts_with(CENTRAL))?;
    let [name, extra, comment] = [28, 30, 32].map(|place| usize::from(number16(head, place)));
    let behind = list.get(46..)?;
    let (name, behind) = behind.split_at_checked(name)?;
    let (extra, behind) = behind.split_at_checked(extra)?;
    let (_, behind) = behind.split_at_checked(comment)?;
    let mut long = zip64(extra);
    let mut wide = |place: usize| match number32(head, place) {
        u32::MAX => long.next().unwrap_or(u64::from(u32::MAX)),
        short => u64::from(short),
    };
    // In the order of the extra field.
    let (length, packed, local) = (wide(24), wide(20), wide(42));
    let name = String::from_utf8_lossy(name).into_owned();
    Some((Member { name, length, packed, method: number16(head, 10), local }, behind))
}

/// The numbers of the ZIP64 field.
fn zip64(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    let mut found: &[u8] = &[];
    while let Some(head) = extra.get(..4) {
        let size = usize::from(number16(head, 2));
        let body = extra.get(4..4 + size).unwrap_or(&[]);
        if number16(head, 0) == 1 {
            found = body;
        }
        extra = extra.get(4 + size..).unwrap_or(&[]);
    }
    found.chunks_exact(8).map(|chunk| number64(chunk, 0))
}

fn read_at<const N: usize>(file: &mut (impl Read + Seek), place: u64) -> Result<[u8; N], ArchiveError> {
    let mut bytes = [0; N];
    file.seek(SeekFrom::Start(place))?;
    file.read_exact(&mut bytes).map_err(|_| ArchiveError::Truncated)?;
    Ok(bytes)
}

fn number16(bytes: &[u8], place: usize) -> u16 {
    bytes.get(place..place + 2).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]))
}

fn number32(bytes: &[u8], place: usize) -> u32 {
    u32::from(number16(bytes, place)) | u32::from(number16(bytes, place + 2)) << 16
}

fn number64(bytes: &[u8], place: usize) -> u64 {
    u64::from(number32(bytes, place)) | u64::from(number32(bytes, place + 4)) << 32
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An archive with these stored members.
    pub(in crate::files) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let (mut bytes, mut list) = (Vec::new(), Vec::new());
        for (name, content) in members {
            let sizes = [content.len() as u32, content.len() as u32].map(u32::to_le_bytes).concat();
            let name_length = (name.len() as u16).to_le_bytes();
            let place = (bytes.len() as u32).to_le_bytes();
            bytes.extend([LOCAL, &[0; 14], &sizes, &name_length, &[0; 2], name.as_bytes(), content].concat());
            list.extend([CENTRAL, &[0; 16], &sizes, &name_length, &[0; 12], &place, name.as_bytes()].concat());
        }
        let start = (bytes.len() as u32).to_le_bytes();
        let count = (members.len() as u16).to_le_bytes();
        let size = (list.len() as u32).to_le_bytes();
        bytes.extend(list);
        bytes.extend([END, &[0; 4], &count, &count, &size, &start, &[0; 2]].concat());
        bytes
    }

    fn opened(bytes: &[u8]) -> Result<Archive, ArchiveError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Archive::open(file.path())
    }

    #[test]
    fn members_are_found_by_the_end_of_their_path() {
        let bytes = archive(&[("net/data.pkl", b"pickle"), ("net/code/a.py", b"code")]);
        let open = opened(&bytes).unwrap();
        let member = open.find("data.pkl").unwrap();
        assert_eq!((member.name.as_str(), open.read(member, 99).unwrap()), ("net/data.pkl", b"pickle".to_vec()));
        assert!(open.find("ata.pkl").is_none() && open.read(member, 3).is_err());
        assert!(matches!(opened(&bytes[..bytes.len() - 30]), Err(ArchiveError::Truncated)));
        assert!(matches!(opened(b"no archive"), Err(ArchiveError::Other)));
    }

    proptest! {
        #[test]
        fn damaged_archives_are_read_or_refused(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = archive(&[("a/data.pkl", b"pickle"), ("a/version", b"3\n")]);
            for (place, value) in damage {
                let place = place.index(bytes.len());
                bytes[place] = value;
            }
            if let Ok(open) = opened(&bytes) {
                for member in open.members() {
                    let _ = open.read(member, 1 << 20);
                }
            }
        }
    }
}
