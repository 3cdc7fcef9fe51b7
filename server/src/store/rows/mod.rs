//! What every backend keeps: rows in tables, and everything that is decided about them.
//!
//! A backend gives rows by their key and ranges of them in the order of their keys, and makes the rows of a batch durable
//! at once. What the rows mean, and whether a write may be made, is here, once for all backends.
//!
//! Keys are concatenations of fixed-size parts with integers big endian, so that ranges are in log order. The part before
//! the bar says where a row belongs: everything about one group, account or device lies together, and a store that is
//! spread over machines spreads by it.
//!
//! ```text
//!     log        group │ seq                 kind ‖ body
//!     kept       group │ seq                 kind, of an entry that is no message
//!     dated      group │ seq                 DatedRecord: when the entry before it came
//!     trim       group │                     TrimRecord; no row where everything is there
//!     delivery   group │ device ‖ seq        what hangs on the entry for that device
//!     commit     group │ epoch               seq
//!     group      group │                     HeadRecord
//!     leaf       group │ leaf index          Leaf; no row where a leaf is blank
//!     member     device │ group              MemberRecord
//!     cursor     device │ group              seq
//!     name       name │                      account
//!     account    account │                   AccountRecord
//!     device     device │                    DeviceRecord
//!     upload     upload │                    UploadRecord
//!     part       upload │ device             what the upload has for that device
//!     uploader   device │                    UploaderRecord
//!     named      group │ seq                 the upload whose parts hang on the entry
//!     invite     invite │                    how often it was used
//!     one_time   device │ id                 a one-time prekey that nobody was given
//!     mailbox    device │                    MailboxRecord
//!     letter     device │ number             LetterRecord
//!     secret     what │                      a key of the server that clients know it by
//!     state      what │                      about the store as a whole
//! ```

mod mailbox;
mod one_time;
mod read;
mod records;
mod stage;
mod trim;
mod uploads;

pub(super) use read::View;
pub(super) use records::HeadRecord;
pub(super) use stage::{Stage, Staged};

use super::StoreError;

/// A table; see the module's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Table {
    Log,
    Delivery,
    Commit,
    Group,
    Leaf,
    Member,
    Cursor,
    Name,
    Account,
    Device,
    Upload,
    Part,
    Uploader,
    Named,
    State,
    Invite,
    OneTime,
    Mailbox,
    Letter,
    Kept,
    Dated,
    Trim,
    Secret,
}

impl Table {
    pub(super) const ALL: [Self; 23] = [
        Self::Log,
        Self::Delivery,
        Self::Commit,
        Self::Group,
        Self::Leaf,
        Self::Member,
        Self::Cursor,
        Self::Name,
        Self::Account,
        Self::Device,
        Self::Upload,
        Self::Part,
        Self::Uploader,
        Self::Named,
        Self::State,
        Self::Invite,
        Self::OneTime,
        Self::Mailbox,
        Self::Letter,
        Self::Kept,
        Self::Dated,
        Self::Trim,
        Self::Secret,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Delivery => "delivery",
            Self::Commit => "commit",
            Self::Group => "group",
            Self::Leaf => "leaf",
            Self::Member => "member",
            Self::Cursor => "cursor",
            Self::Name => "name",
            Self::Account => "account",
            Self::Device => "device",
            Self::Upload => "upload",
            Self::Part => "part",
            Self::Uploader => "uploader",
            Self::Named => "named",
            Self::State => "state",
            Self::Invite => "invite",
            Self::OneTime => "one_time",
            Self::Mailbox => "mailbox",
            Self::Letter => "letter",
            Self::Kept => "kept",
            Self::Dated => "dated",
            Self::Trim => "trim",
            Self::Secret => "secret",
        }
    }

    /// Bytes of the part of the key that says where a row belongs; `None` for the whole key.
    pub(super) const fn home_bytes(self) -> Option<usize> {
        match self {
            Self::Name | Self::State | Self::Secret => None,
            Self::Upload | Self::Part | Self::Invite => Some(16),
            _ => Some(32),
        }
    }

    /// Whether its values are ciphertext or nearly so, which no compression makes smaller.
    pub(super) const fn is_sealed(self) -> bool {
        matches!(self, Self::Log | Self::Delivery | Self::Part | Self::Letter)
    }
}

/// A key and its value.
pub(super) type KeyValue<V> = (V, V);

/// Rows, as they are at one moment or, for who alone writes, as they are now.
pub(super) trait Rows {
    /// Bytes as the backend holds them.
    type Bytes: AsRef<[u8]>;

    /// The value of a row.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Self::Bytes>, StoreError>;

    /// The first rows whose keys lie from `first` to `last`, both included, in order; at most `limit`.
    fn range(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        limit: usize,
    ) -> Result<Vec<KeyValue<Self::Bytes>>, StoreError>;

    /// The keys of the first rows that [`range`](Self::range) gives: for who has no use for large values.
    fn keys(
        &self,
        table: Table,
        first: &[u8],
        last: &[u8],
        limit: usize,
    ) -> Result<Vec<Self::Bytes>, StoreError> {
        Ok(self.range(table, first, last, limit)?.into_iter().map(|(key, _)| key).collect())
    }

    /// At most `limit` keys that begin like this, in order, read in pages of so many.
    fn keys_of(
        &self,
        table: Table,
        prefix: &[u8],
        page: usize,
        limit: usize,
    ) -> Result<Vec<Self::Bytes>, StoreError> {
        let (mut first, last) = (prefix.to_vec(), [prefix, &[0xff; LONGEST_REST]].concat());
        let mut keys = Vec::new();
        loop {
            let wanted = page.min(limit - keys.len());
            let read = self.keys(table, &first, &last, wanted)?;
            let full = read.len() >= wanted;
            keys.extend(read);
            match keys.last() {
                Some(key) if full && keys.len() < limit => first = [key.as_ref(), &[0]].concat(),
                _ => return Ok(keys),
            }
        }
    }

    /// The values of several rows of a table, in the order of their keys here.
    fn get_all(&self, table: Table, keys: &[Vec<u8>]) -> Result<Vec<Option<Self::Bytes>>, StoreError> {
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    /// All rows whose keys lie from `first` to `last`, read in pages of so many.
    fn scan(&self, table: Table, first: Vec<u8>, last: Vec<u8>, page: usize) -> Scan<'_, Self>
    where
        Self: Sized,
    {
        Scan { rows: self, table, next: Some(first), last, page, read: Vec::new().into_iter() }
    }

    /// All rows whose keys begin like this.
    fn prefix(&self, table: Table, prefix: &[u8], page: usize) -> Scan<'_, Self>
    where
        Self: Sized,
    {
        self.scan(table, prefix.to_vec(), [prefix, &[0xff; LONGEST_REST]].concat(), page)
    }
}

/// In the table [`Table::State`], as long as an import has not come to its end.
pub(super) const UNFINISHED: &[u8] = b"unfinished import";

/// A whole store, for moving it. Nobody else uses it meanwhile, or what is read is of one moment.
pub(super) trait AllRows {
    /// The first rows of a table after a key, in order; at most `limit`.
    fn page(
        &self,
        table: Table,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<KeyValue<Vec<u8>>>, StoreError>;

    /// Stores rows durably, none of which is there.
    fn put(&self, table: Table, rows: Vec<KeyValue<Vec<u8>>>) -> Result<(), StoreError>;

    /// Deletes a row durably.
    fn remove(&self, table: Table, key: &[u8]) -> Result<(), StoreError>;
}

/// A page of a table, from any rows.
pub(super) fn page_of<R: Rows>(
    rows: &R,
    table: Table,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Vec<KeyValue<Vec<u8>>>, StoreError> {
    let first = after.map(|after| [after, &[0]].concat()).unwrap_or_default();
    let page = rows.range(table, &first, &[0xff; LONGEST_REST + 64], limit)?;
    Ok(page.into_iter().map(|(key, value)| (key.as_ref().to_vec(), value.as_ref().to_vec())).collect())
}

/// More than any key has after any prefix of it that is asked for: a group's key after a device's.
const LONGEST_REST: usize = 64;

/// Rows of a range, a page of them at a time.
pub(super) struct Scan<'a, R: Rows> {
    rows: &'a R,
    table: Table,
    /// Where the next page begins, if there may be one.
    next: Option<Vec<u8>>,
    last: Vec<u8>,
    page: usize,
    read: std::vec::IntoIter<KeyValue<R::Bytes>>,
}

impl<R: Rows> Scan<'_, R> {
    fn turn(&mut self, first: &[u8]) -> Result<(), StoreError> {
        let rows = self.rows.range(self.table, first, &self.last, self.page)?;
        // No key lies between one and the same with a zero behind it.
        let full = rows.len() >= self.page;
        self.next = rows.last().filter(|_| full).map(|(key, _)| [key.as_ref(), &[0]].concat());
        self.read = rows.into_iter();
        Ok(())
    }
}

impl<R: Rows> Iterator for Scan<'_, R> {
    type Item = Result<KeyValue<R::Bytes>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.read.next() {
                return Some(Ok(row));
            }
            let first = self.next.take()?;
            if let Err(error) = self.turn(&first) {
                return Some(Err(error));
            }
        }
    }
}
