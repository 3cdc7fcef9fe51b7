//! What nodes tell each other: where something new is, never what it is.
//!
//! ```text
//!     conclave1 NODE ITEM…          one notification, at most 7,900 bytes of text
//!
//!     NODE   16 hexadecimal digits, who says it
//!     ITEM   g GROUP:FIRST:COUNT    COUNT entries of a group from FIRST on; GROUP is 64 hexadecimal digits
//!            c GROUP:FIRST:COUNT    the same, with a commit among them
//!            l DEVICE               letters for a device, 64 hexadecimal digits
//!            a ACCOUNT              an account has a newer manifest, 64 hexadecimal digits
//!            !                      more than is said here: look for yourself
//! ```
//!
//! An item of another kind is passed over, so that older nodes understand newer ones.

use conclave_wire::ids::{AccountId, DeviceId, GroupId, Seq};

/// PostgreSQL takes 8,000 bytes less one.
const MAX_BYTES: usize = 7_900;

const VERSION: &str = "conclave1";

/// A node, as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(pub(super) u64);

/// New entries of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewEntries {
    /// The group.
    pub(crate) group: GroupId,
    /// The first of them.
    pub(crate) first: Seq,
    /// How many.
    pub(crate) count: u64,
    /// Whether a commit is among them.
    pub(crate) commit: bool,
}

/// What one notification says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) entries: Vec<NewEntries>,
    /// For whom letters have come.
    pub(crate) letters: Vec<DeviceId>,
    /// Which accounts have a newer manifest.
    pub(crate) accounts: Vec<AccountId>,
    /// Whether there is more than it says.
    pub(super) more: bool,
}

impl NewEntries {
    /// The last of them.
    pub(super) fn last(&self) -> Seq {
        Seq(self.first.0.saturating_add(self.count.saturating_sub(1)))
    }

    fn write(&self) -> String {
        let kind = if self.commit { 'c' } else { 'g' };
        format!(" {kind}{}:{}:{}", self.group, self.first, self.count)
    }

    fn read(kind: &str, item: &str) -> Option<Self> {
        let mut fields = item.split(':');
        let group = fields.next()?.parse().ok()?;
        let (first, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self { group, first: Seq(first), count, commit: kind == "c" })
    }
}

impl Announcement {
    /// Whether it says anything.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As texts that fit a notification each.
    pub(super) fn write(&self, node: NodeId) -> Vec<String> {
        let begin = || format!("{VERSION} {:016x}", node.0);
        let mut texts = vec![begin()];
        let more = self.more.then(|| " !".to_owned());
        let letters = self.letters.iter().map(|device| format!(" l{device}"));
        let accounts = self.accounts.iter().map(|account| format!(" a{account}"));
        let items = self.entries.iter().map(NewEntries::write).chain(letters).chain(accounts).chain(more);
        for item in items {
            if texts.last().is_none_or(|text| text.len() + item.len() > MAX_BYTES) {
                texts.push(begin());
            }
            if let Some(text) = texts.last_mut() {
                text.push_str(&item);
            }
        }
        texts
    }

    /// Reads what another node says; `None` if it is this one, or no node.
    pub(super) fn read(text: &str, me: NodeId) -> Option<Self> {
        let mut words = text.split(' ');
        let known = words.next() == Some(VERSION);
        let node = words.next().and_then(|node| u64::from_str_radix(node, 16).ok());
        if !known || node.is_none_or(|node| node == me.0) {
            return None;
        }
        let mut announcement = Self::default();
        for item in words {
            match item.split_at_checked(1) {
                Some(("!", "")) => announcement.more = true,
                Some((kind @ ("g" | "c"), item)) => match NewEntries::read(kind, item) {
                    Some(entries) => announcement.entries.push(entries),
                    // Not what a node writes: to look for oneself is always right.
                    None => announcement.more = true,
                },
                Some(("a", account)) => match account.parse() {
                    Ok(account) => announcement.accounts.push(account),
                    Err(_) => announcement.more = true,
                },
                Some(("l", device)) => match device.parse() {
                    Ok(device) => announcement.letters.push(device),
                    Err(_) => announcement.more = true,
                },
                _ => {}
            }
        }
        Some(announcement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(7);
    const OTHER: NodeId = NodeId(0xfedc_ba98_7654_3210);

    fn entries(group: u8, first: u64, commit: bool) -> NewEntries {
        NewEntries { group: GroupId::from_bytes([group; 32]), first: Seq(first), count: 3, commit }
    }

    #[test]
    fn what_one_writes_another_reads() {
        let said = Announcement {
            entries: vec![entries(1, 5, false), entries(2, u64::MAX, true)],
            letters: vec![DeviceId::from_bytes([9; 32])],
            accounts: vec![AccountId::from_bytes([8; 32])],
            more: true,
        };
        let texts = said.write(OTHER);
        assert_eq!(texts.len(), 1);
        assert_eq!(Announcement::read(&texts[0], ME), Some(said.clone()));
        assert_eq!(Announcement::read(&texts[0], OTHER), None);
        assert_eq!(said.entries[0].last(), Seq(7));
        // What comes later is passed over by what was there before.
        let newer = format!("{} d{}", texts[0], "aa".repeat(32));
        assert_eq!(Announcement::read(&newer, ME), Some(said));
    }

    #[test]
    fn as_many_texts_as_it_takes() {
        let many = vec![entries(1, u64::MAX, true); 300];
        let said = Announcement { entries: many, ..Announcement::default() };
        let texts = said.write(OTHER);
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() <= MAX_BYTES));
        let read = texts.iter().flat_map(|text| Announcement::read(text, ME).unwrap().entries);
        assert_eq!(read.collect::<Vec<_>>(), said.entries);
    }

    #[test]
    fn nonsense_is_not_believed() {
        for nonsense in ["", "conclave1", "conclave2 1 !", "conclave1 xyz !", "hello"] {
            assert_eq!(Announcement::read(nonsense, ME), None, "{nonsense}");
        }
        for odd in
            ["conclave1 1 gzz:1:1", "conclave1 1 g", "conclave1 1 c:1", "conclave1 1 l", "conclave1 1 a"]
        {
            let look = Announcement { more: true, ..Announcement::default() };
            assert_eq!(Announcement::read(odd, ME), Some(look), "{odd}");
        }
    }
}
