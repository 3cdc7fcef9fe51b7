//! The file of an export.
//!
//! ```text
//!     file    "conclave export 2\n" ‖ chunk* ‖ end
//!     chunk   length: 32 bit, big endian ‖ CBOR [ table: tstr, rows: [* [key: bstr, value: bstr]] ]
//!     end     32 zero bits ‖ BLAKE3 of everything before, 32 bytes
//! ```
//!
//! Tables and rows are those of [`crate::store::rows`]. Without its end a file is not whole.

use super::ArchiveError;
use crate::store::rows::{KeyValue, Table};
use conclave_wire::ids::Opaque;
use minicbor::{Decode, Encode};
use std::io::{Read, Write};

const MAGIC: &[u8] = b"conclave export 2\n";

/// Longest chunk: a page of the largest rows, with room to spare.
const MAX_CHUNK: u32 = 128 << 20;

#[derive(Encode, Decode)]
struct Chunk {
    #[n(0)]
    table: String,
    #[n(1)]
    rows: Vec<Row>,
}

#[derive(Encode, Decode)]
struct Row {
    #[n(0)]
    key: Opaque,
    #[n(1)]
    value: Opaque,
}

/// Rows of one table.
type TableRows = (Table, Vec<KeyValue<Vec<u8>>>);

/// A file that is being written.
pub(super) struct Writer<W> {
    file: W,
    hash: blake3::Hasher,
}

impl<W: Write> Writer<W> {
    pub(super) fn begin(file: W) -> Result<Self, ArchiveError> {
        let mut writer = Self { file, hash: blake3::Hasher::new() };
        writer.put(MAGIC)?;
        Ok(writer)
    }

    pub(super) fn chunk(&mut self, table: Table, rows: Vec<KeyValue<Vec<u8>>>) -> Result<(), ArchiveError> {
        let rows = rows.into_iter().map(|(key, value)| Row { key: Opaque(key), value: Opaque(value) });
        let chunk = Chunk { table: table.name().to_owned(), rows: rows.collect() };
        let bytes = minicbor::to_vec(chunk).map_err(|_| ArchiveError::Damaged("a chunk"))?;
        let length = u32::try_from(bytes.len()).map_err(|_| ArchiveError::Damaged("a chunk"))?;
        self.put(&length.to_be_bytes())?;
        self.put(&bytes)
    }

    /// Says that it is whole. Returns the file, which is not synced.
    pub(super) fn end(mut self) -> Result<W, ArchiveError> {
        self.put(&[0; 4])?;
        let hash = self.hash.finalize();
        self.file.write_all(hash.as_bytes())?;
        self.file.flush()?;
        Ok(self.file)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.hash.update(bytes);
        Ok(self.file.write_all(bytes)?)
    }
}

/// A file that is being read.
pub(super) struct Reader<R> {
    file: R,
    hash: blake3::Hasher,
}

impl<R: Read> Reader<R> {
    pub(super) fn begin(file: R) -> Result<Self, ArchiveError> {
        let mut reader = Self { file, hash: blake3::Hasher::new() };
        if reader.take(MAGIC.len())? != MAGIC {
            return Err(ArchiveError::Damaged("it begins with something else"));
        }
        Ok(reader)
    }

    /// The next chunk; `None` at the end of a whole file.
    pub(super) fn chunk(&mut self) -> Result<Option<TableRows>, ArchiveError> {
        let length = self.take(4)?;
        let length = u32::from_be_bytes(length.try_into().map_err(|_| ArchiveError::Damaged("a length"))?);
        if length == 0 {
            return self.check_end().map(|()| None);
        }
        if length > MAX_CHUNK {
            return Err(ArchiveError::Damaged("a chunk is too long"));
        }
        let bytes = self.take(length as usize)?;
        let chunk: Chunk = minicbor::decode(&bytes).map_err(|_| ArchiveError::Damaged("a chunk"))?;
        let table = Table::ALL.into_iter().find(|table| table.name() == chunk.table);
        let table = table.ok_or(ArchiveError::Damaged("a table that this version does not know"))?;
        Ok(Some((table, chunk.rows.into_iter().map(|row| (row.key.0, row.value.0)).collect())))
    }

    fn check_end(&mut self) -> Result<(), ArchiveError> {
        let expected = self.hash.finalize();
        let mut found = Vec::new();
        self.file.by_ref().take(33).read_to_end(&mut found)?;
        if found == expected.as_bytes() { Ok(()) } else { Err(ArchiveError::Damaged("its checksum")) }
    }

    fn take(&mut self, bytes: usize) -> Result<Vec<u8>, ArchiveError> {
        let mut taken = Vec::new();
        self.file.by_ref().take(bytes as u64).read_to_end(&mut taken)?;
        if taken.len() < bytes {
            return Err(ArchiveError::Damaged("it ends too early"));
        }
        self.hash.update(&taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Vec<u8> {
        let mut writer = Writer::begin(Vec::new()).unwrap();
        writer.chunk(Table::Log, vec![(vec![1], vec![2, 3]), (vec![4], Vec::new())]).unwrap();
        writer.end().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<usize, ArchiveError> {
        let mut reader = Reader::begin(bytes)?;
        let mut rows = 0;
        while let Some((table, chunk)) = reader.chunk()? {
            assert_eq!(table, Table::Log);
            rows += chunk.len();
        }
        Ok(rows)
    }

    #[test]
    fn whole_or_not_at_all() {
        let file = file();
        assert_eq!(read(&file).unwrap(), 2);
        for end in 0..file.len() {
            assert!(matches!(read(&file[..end]), Err(ArchiveError::Damaged(_))), "{end}");
        }
        for place in 0..file.len() {
            let mut altered = file.clone();
            altered[place] ^= 1;
            assert!(matches!(read(&altered), Err(ArchiveError::Damaged(_))), "{place}");
        }
        assert!(matches!(read(&[&file[..], &[0]].concat()), Err(ArchiveError::Damaged(_))));
    }
}
