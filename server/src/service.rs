//! What requests do: the directory, the groups and the log, with the store behind them.

use crate::admission::{Admission, InviteKey};
use crate::clock;
use crate::groups::{self, CheckedCommit, CommitUpload, GroupCache, Leases, Unfit, Upload};
use crate::limits::{MAX_GROUPS_LISTED, PAGE_BYTES, PAGE_ENTRIES};
use crate::log::{Acknowledgements, Answer, Health, LogQueue};
use crate::metrics::Metrics;
use crate::name::ServerNames;
use crate::rates::{Rates, TrustedProxies, at_limit};
use crate::receipts::ReceiptKey;
use crate::session::Identity;
use crate::session::machine::Task;
use crate::store::{
    AccountKey, Append, LetterToKeep, LettersWanted, Page, PageBounds, Part, Range, Registration, Store,
    StoreError, StoredGroup, StoredUpload, Write,
};
use bytes::Bytes;
use conclave_wire::ids::{AccountId, DeviceId, Epoch, GroupId, LetterNumber, Opaque, Seq, UploadId};
use conclave_wire::letter::LetterKind;
use conclave_wire::limits::MAX_RECEIPTS;
use conclave_wire::manifest::Manifest;
use conclave_wire::name::Name;
use conclave_wire::reply::{Membership, Refusal, Reply};
use conclave_wire::request::{Cursor, DeliveryFor};
use conclave_wire::roster::Role;
use std::sync::Arc;
use std::time::Instant;

/// What a commit waits for that an admin's comes before.
const ADMIN_GOES_FIRST: &str = "changes of a group while one of its admins goes first";

/// What every connection of the server shares.
pub(crate) struct Service {
    /// For which names logins are accepted.
    pub(crate) names: Arc<ServerNames>,
    /// Where everything is.
    pub(crate) store: Arc<dyn Store>,
    /// Groups in memory.
    pub(crate) groups: Arc<GroupCache>,
    /// Which admins go first.
    pub(crate) leases: Leases,
    /// The way into the log.
    pub(crate) log: LogQueue,
    /// How far devices are.
    pub(crate) acknowledgements: Arc<Acknowledgements>,
    /// Whether anything can be stored.
    pub(crate) health: Arc<Health>,
    /// What is counted.
    pub(crate) metrics: Arc<Metrics>,
    /// How often anybody may ask.
    pub(crate) rates: Rates,
    /// Whose word counts for where a connection comes from.
    pub(crate) proxies: TrustedProxies,
    /// Who may register.
    pub(crate) admission: Admission,
    /// What vouches for invites.
    pub(crate) invite_key: InviteKey,
    /// What signs receipts.
    pub(crate) receipt_key: ReceiptKey,
}

impl Service {
    /// Whether a device is registered as this account's.
    pub(crate) async fn log_in(self: &Arc<Self>, identity: Identity) -> Reply {
        answer(self.look(move |service| service.may_log_in(&identity)).await.and_then(|may| may))
    }

    /// Whether the device is its account's, as the newest manifest says. Blocks.
    fn may_log_in(&self, identity: &Identity) -> Result<Result<Reply, Refusal>, StoreError> {
        match self.store.device(&identity.device)? {
            Some(device) if device.account == identity.account => {}
            _ => return Ok(Err(Refusal::NotRegistered)),
        }
        let Some(account) = self.store.account(&AccountKey::Id(identity.account))? else {
            return Ok(Err(Refusal::NotRegistered));
        };
        let manifest = Manifest::trust_own_storage(&account.manifest.0);
        let manifest = manifest.map_err(|_| StoreError::Damaged("manifest"))?;
        Ok(if manifest.lists(&identity.device) { Ok(Reply::Done) } else { Err(Refusal::DeviceRevoked) })
    }

    /// Enters an account in the directory, if it is there or may come in.
    pub(crate) async fn register(&self, registration: Registration, invite: Option<String>) -> Reply {
        let admitted = self.admission.admit(invite.as_deref(), &self.invite_key);
        self.log.write(Write::Register(Registration { admitted, ..registration })).await
    }

    /// Does what an identified device asks.
    pub(crate) async fn perform(self: &Arc<Self>, identity: Identity, task: Task) -> Reply {
        let device = identity.device;
        answer(match task {
            Task::Lookup(name) => self.lookup(name).await,
            Task::Names(accounts) => self.account_names(accounts).await,
            Task::Prekeys(devices) => self.prekeys(devices).await,
            Task::PublishPrekeys(prekeys) => {
                Ok(self.log.write(Write::PublishPrekeys { device, prekeys }).await)
            }
            Task::PublishOneTime { prekeys, replace } => {
                Ok(self.log.write(Write::PublishOneTime { device, prekeys, replace }).await)
            }
            Task::SendLetter { group, to, kind, body } => {
                self.send_letter(identity, group, to, kind, body).await
            }
            Task::FetchLetters { after } => self.letters(device, after).await,
            Task::ForgetLetters { through } => {
                Ok(self.log.write(Write::ForgetLetters { device, through }).await)
            }
            Task::Groups => self.memberships(device).await,
            Task::Commit(upload) => self.commit(identity, upload).await,
            Task::StagePart { upload, number, deliveries } => {
                Ok(self.stage_part(device, upload, number, deliveries).await)
            }
            Task::Fetch { group, after, limit } => self.page(device, group, Range::After(after), limit).await,
            Task::FetchCommits { group, from, limit } => {
                self.page(device, group, Range::Commits(from), limit).await
            }
            Task::Receipts { group, from } => self.receipts(device, group, from).await,
            Task::Acknowledge(cursor) => self.acknowledge(device, cursor).await,
        })
    }

    /// Whether a device may subscribe at these cursors.
    pub(crate) async fn may_subscribe(
        self: &Arc<Self>,
        device: DeviceId,
        cursors: Vec<Cursor>,
    ) -> Result<Vec<Cursor>, Refusal> {
        self.look(move |service| {
            for cursor in &cursors {
                match service.store.membership(&device, &cursor.group)? {
                    None => return Ok(Err(Refusal::NotMember)),
                    Some(membership) if cursor.seq > membership.head => return Ok(Err(beyond(&membership))),
                    Some(_) => {}
                }
            }
            Ok(Ok(cursors))
        })
        .await?
    }

    /// Checks an entry against its group as it is in memory. Gives it back if that takes the store as well.
    pub(crate) fn check_cached(
        &self,
        identity: &Identity,
        group: &GroupId,
        upload: Upload,
    ) -> Result<Result<Append, Unfit>, Upload> {
        match self.groups.cached(group) {
            Some(stored) if upload.staged().is_none() && !self.may_be_behind(&stored, identity, &upload) => {
                Ok(groups::check(&stored, identity, upload, None))
            }
            _ => Err(upload),
        }
    }

    /// Checks an entry against its group, wherever that is.
    pub(crate) async fn check(
        self: &Arc<Self>,
        identity: Identity,
        group: GroupId,
        upload: Upload,
    ) -> Result<Append, Refusal> {
        let staged = upload.staged();
        let (stored, parts) =
            self.look(move |service| Ok((service.present(&group)?, service.parts(staged)?))).await?;
        let stored = stored.ok_or(Refusal::NotMember)?;
        match groups::check(&stored, &identity, upload, parts) {
            Ok(append) => Ok(append),
            Err(unfit) => Err(self.refusal(identity.device, group, unfit).await),
        }
    }

    /// What an entry that is not fit is refused with.
    pub(crate) async fn refusal(self: &Arc<Self>, device: DeviceId, group: GroupId, unfit: Unfit) -> Refusal {
        let of_head = |to: fn(Epoch, Seq) -> Refusal, epoch: Epoch| async move {
            match self.look(move |service| service.store.membership(&device, &group)).await {
                Ok(Some(membership)) => to(epoch, membership.head),
                Ok(None) => Refusal::NotMember,
                Err(refusal) => refusal,
            }
        };
        match unfit {
            Unfit::Refused(refusal) => refusal,
            Unfit::Stale(epoch) => of_head(|epoch, head| Refusal::EpochStale { epoch, head }, epoch).await,
            Unfit::Behind => of_head(|_, head| Refusal::HeadMoved { head }, Epoch(0)).await,
        }
    }

    /// Queues a checked entry. What becomes of it goes to `to`; only the refusal to queue it is returned.
    pub(crate) async fn append(&self, append: Append, to: Answer) -> Result<(), Refusal> {
        self.log.submit(Write::Append(append), to).await
    }

    async fn lookup(self: &Arc<Self>, name: Name) -> Result<Reply, Refusal> {
        let account = self.look(move |service| service.store.account(&AccountKey::Name(name))).await?;
        let account = account.ok_or(Refusal::UnknownName)?;
        Ok(Reply::Account { manifest: account.manifest })
    }

    async fn account_names(self: &Arc<Self>, accounts: Vec<AccountId>) -> Result<Reply, Refusal> {
        let name = |service: &Self, id| {
            service.store.account(&AccountKey::Id(id)).map(|account| account.map(|account| account.name))
        };
        let names =
            self.look(move |service| accounts.into_iter().map(|id| name(service, id)).collect()).await?;
        Ok(Reply::Names { names })
    }

    async fn prekeys(self: &Arc<Self>, devices: Vec<DeviceId>) -> Result<Reply, Refusal> {
        let prekeys =
            |service: &Self, id| service.store.device(&id).map(|device| device.map(|device| device.prekeys));
        let asked = devices.clone();
        let prekeys: Vec<_> =
            self.look(move |service| devices.into_iter().map(|id| prekeys(service, id)).collect()).await?;
        if prekeys.iter().all(Option::is_none) {
            return Ok(Reply::Prekeys { prekeys, one_time: None });
        }
        // Gone from the store before anybody has it.
        match self.log.write(Write::TakeOneTime(asked)).await {
            Reply::Prekeys { one_time, .. } => {
                let one_time = one_time.filter(|taken| taken.iter().any(Option::is_some));
                Ok(Reply::Prekeys { prekeys, one_time })
            }
            Reply::Refused { refusal } => Err(refusal),
            _ => Err(Refusal::Unavailable),
        }
    }

    async fn memberships(self: &Arc<Self>, device: DeviceId) -> Result<Reply, Refusal> {
        let mut groups =
            self.look(move |service| service.store.memberships(&device, MAX_GROUPS_LISTED)).await?;
        for membership in &mut groups {
            if let Some(pending) = self.acknowledgements.pending(&device, &membership.group) {
                membership.acknowledged = pending.max(membership.acknowledged).min(membership.head);
            }
        }
        Ok(Reply::Groups { groups })
    }

    async fn page(
        self: &Arc<Self>,
        device: DeviceId,
        group: GroupId,
        range: Range,
        limit: u32,
    ) -> Result<Reply, Refusal> {
        let entries = (limit as usize).clamp(1, PAGE_ENTRIES);
        let bounds = PageBounds { entries, bytes: PAGE_BYTES };
        let page = self.look(move |service| service.store.read(&device, &group, range, bounds)).await?;
        let page = page.ok_or(Refusal::NotMember)?;
        Ok(Reply::Page { entries: page.entries, head: page.membership.head })
    }

    async fn receipts(
        self: &Arc<Self>,
        device: DeviceId,
        group: GroupId,
        from: Epoch,
    ) -> Result<Reply, Refusal> {
        let bounds = PageBounds { entries: MAX_RECEIPTS, bytes: PAGE_BYTES };
        let receipts = self.look(move |service| {
            let page = service.store.read(&device, &group, Range::Commits(from), bounds)?;
            let sign =
                |page: Page| page.entries.iter().map(|entry| service.receipt_key.sign(entry)).collect();
            page.map(sign).transpose()
        });
        let receipts = receipts.await?.ok_or(Refusal::NotMember)?;
        Ok(Reply::Receipts { key: self.receipt_key.public(), receipts })
    }

    async fn acknowledge(self: &Arc<Self>, device: DeviceId, cursor: Cursor) -> Result<Reply, Refusal> {
        let cached = self.groups.cached(&cursor.group);
        let is_member = cached.is_some_and(|group| group.public.roster().index_of(&device).is_some());
        if !is_member {
            // Perhaps it was one, or the group is not in memory.
            let membership = self.look(move |service| service.store.membership(&device, &cursor.group));
            membership.await?.ok_or(Refusal::NotMember)?;
        }
        self.acknowledgements.note(device, cursor);
        Ok(Reply::Done)
    }

    async fn commit(self: &Arc<Self>, identity: Identity, upload: CommitUpload) -> Result<Reply, Refusal> {
        let (group, account, removes) = (upload.group(), identity.account, upload.removes());
        let (checked, role) = self
            .look(move |service| {
                let stored = service.present(&group)?;
                let role = stored.as_ref().and_then(|stored| stored.public.roster().role(&account));
                // Told to members alone: nobody else learns that there is such a group.
                if let (Some(_), Some(left)) = (role, service.leases.bars(&group, &account, Instant::now())) {
                    return Ok((Err(Unfit::Refused(at_limit(ADMIN_GOES_FIRST, left))), role));
                }
                let parts = service.parts(upload.staged())?;
                Ok((groups::check_commit(stored.as_deref(), &identity, upload, parts), role))
            })
            .await?;
        let reply = match checked {
            Ok(CheckedCommit::New(append)) => self.log.write(Write::Append(append)).await,
            Ok(CheckedCommit::Head(seq)) => Reply::Accepted { group, seq },
            Err(unfit) => Reply::Refused { refusal: self.refusal(identity.device, group, unfit).await },
        };
        match &reply {
            Reply::Accepted { .. } => self.leases.used(&group, &account, Instant::now()),
            Reply::Refused { refusal: Refusal::HeadMoved { .. } }
                if removes && matches!(role, Some(Role::Admin | Role::Owner)) =>
            {
                self.leases.lost(group, account, Instant::now());
            }
            _ => {}
        }
        Ok(reply)
    }

    /// Keeps a letter for another device of a group that both are in.
    async fn send_letter(
        self: &Arc<Self>,
        identity: Identity,
        group: GroupId,
        to: DeviceId,
        kind: LetterKind,
        body: Opaque,
    ) -> Result<Reply, Refusal> {
        let stored = self.look(move |service| service.present(&group)).await?.ok_or(Refusal::NotMember)?;
        groups::check_letter(&stored, &identity, &to, kind, &body)?;
        let (from, body, now) = (identity.device, body.0.into(), clock::now());
        Ok(self.log.write(Write::KeepLetter(LetterToKeep { to, kind, group, from, body, now })).await)
    }

    async fn letters(self: &Arc<Self>, device: DeviceId, after: LetterNumber) -> Result<Reply, Refusal> {
        let bounds = PageBounds { entries: PAGE_ENTRIES, bytes: PAGE_BYTES };
        let wanted = LettersWanted { after, now: clock::now(), bounds };
        let read = self.look(move |service| service.store.letters(&device, wanted)).await?;
        Ok(Reply::Letters { letters: read.letters, more: read.more })
    }

    async fn stage_part(
        &self,
        by: DeviceId,
        upload: UploadId,
        number: u32,
        deliveries: Vec<DeliveryFor>,
    ) -> Reply {
        let deliveries = deliveries.into_iter().map(|each| (each.device, Bytes::from(each.delivery.0)));
        let (deliveries, now) = (deliveries.collect(), clock::now());
        self.log.write(Write::StagePart(Part { upload, by, number, deliveries, now })).await
    }

    /// A group as it is now. Blocks.
    fn present(&self, group: &GroupId) -> Result<Option<Arc<StoredGroup>>, StoreError> {
        if self.store.is_shared() { self.groups.load_present(group) } else { self.groups.load(group) }
    }

    fn may_be_behind(&self, stored: &StoredGroup, identity: &Identity, upload: &Upload) -> bool {
        self.store.is_shared() && groups::may_be_behind(stored, identity, upload)
    }

    /// The upload that an entry names, if it names one that is there. Blocks.
    fn parts(&self, staged: Option<UploadId>) -> Result<Option<StoredUpload>, StoreError> {
        staged.map_or(Ok(None), |upload| self.store.upload(&upload))
    }

    /// Looks something up on a thread that may wait for the disk.
    async fn look<T: Send + 'static>(
        self: &Arc<Self>,
        look: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let service = self.clone();
        match actix_rt::task::spawn_blocking(move || look(&service)).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot read the store");
                Err(Refusal::Unavailable)
            }
            Err(_) => Err(Refusal::Unavailable),
        }
    }
}

fn answer(result: Result<Reply, Refusal>) -> Reply {
    result.unwrap_or_else(|refusal| Reply::Refused { refusal })
}

fn beyond(membership: &Membership) -> Refusal {
    let head = membership.head;
    Refusal::Malformed { reason: format!("a cursor is beyond the last entry, {head}") }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::fanout::Hubs;
    use crate::log::writer::Writer;

    /// Over a store, with everything else as it comes. Its writer tells these hubs, and nobody else.
    pub(crate) fn over(store: Arc<dyn Store>, hubs: Arc<Hubs>) -> Arc<Service> {
        let groups = Arc::new(GroupCache::new(store.clone()));
        let metrics = Arc::new(Metrics::new().unwrap());
        let (acknowledgements, health) = (Arc::<Acknowledgements>::default(), Arc::<Health>::default());
        let writer = Writer {
            store: store.clone(),
            groups: groups.clone(),
            hubs,
            acknowledgements: acknowledgements.clone(),
            health: health.clone(),
            announcer: None,
            metrics: metrics.clone(),
            retention: crate::retention::Retention::default(),
        };
        let (log, _) = writer.start().unwrap();
        Arc::new(Service {
            names: Arc::new(ServerNames::new(None, "127.0.0.1:7300".parse().unwrap()).unwrap()),
            store,
            groups,
            leases: Leases::default(),
            log,
            acknowledgements,
            health,
            metrics,
            rates: Rates::default(),
            proxies: TrustedProxies::default(),
            admission: Admission::Open,
            invite_key: InviteKey::from_bytes([1; 32]),
            receipt_key: ReceiptKey::from_bytes(&[2; 32]),
        })
    }
}
