//! A store for tests: the embedded one, where something happens meanwhile.

use super::embedded::Embedded;
use super::{
    AccountKey, Letters, LettersWanted, Page, PageBounds, Range, Rejected, Store, StoreError, StoredAccount,
    StoredDevice, StoredGroup, StoredUpload, Write, Written,
};
use conclave_wire::ids::{CommitHash, DeviceId, GroupId, UploadId};
use conclave_wire::reply::Membership;

/// When the hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Before a batch is written. An error is the batch's.
    Write,
    /// A group has been read, and whoever reads it does not have it yet.
    GroupRead,
    /// The same of an account.
    AccountRead,
}

type Hook = Box<dyn Fn(When, &Embedded) -> Result<(), StoreError> + Send + Sync>;

/// A store with a hook.
pub(crate) struct Hooked {
    store: Embedded,
    hook: Hook,
}

impl Hooked {
    pub(crate) fn new(
        store: Embedded,
        hook: impl Fn(When, &Embedded) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self { store, hook: Box::new(hook) }
    }

    fn call(&self, when: When) -> Result<(), StoreError> {
        (self.hook)(when, &self.store)
    }
}

impl Store for Hooked {
    fn write(&self, batch: &[Write]) -> Result<Vec<Result<Written, Rejected>>, StoreError> {
        self.call(When::Write)?;
        self.store.write(batch)
    }

    fn group(&self, group: &GroupId) -> Result<Option<StoredGroup>, StoreError> {
        let read = self.store.group(group)?;
        self.call(When::GroupRead)?;
        Ok(read)
    }

    fn account(&self, key: &AccountKey) -> Result<Option<StoredAccount>, StoreError> {
        let read = self.store.account(key)?;
        self.call(When::AccountRead)?;
        Ok(read)
    }

    fn membership(&self, device: &DeviceId, group: &GroupId) -> Result<Option<Membership>, StoreError> {
        self.store.membership(device, group)
    }

    fn memberships(&self, device: &DeviceId, limit: usize) -> Result<Vec<Membership>, StoreError> {
        self.store.memberships(device, limit)
    }

    fn read(
        &self,
        device: &DeviceId,
        group: &GroupId,
        range: Range,
        bounds: PageBounds,
    ) -> Result<Option<Page>, StoreError> {
        self.store.read(device, group, range, bounds)
    }

    fn device(&self, device: &DeviceId) -> Result<Option<StoredDevice>, StoreError> {
        self.store.device(device)
    }

    fn head(&self, group: &GroupId) -> Result<Option<CommitHash>, StoreError> {
        self.store.head(group)
    }

    fn upload(&self, upload: &UploadId) -> Result<Option<StoredUpload>, StoreError> {
        self.store.upload(upload)
    }

    fn letters(&self, device: &DeviceId, wanted: LettersWanted) -> Result<Letters, StoreError> {
        self.store.letters(device, wanted)
    }
}
