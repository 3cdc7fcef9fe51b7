//! Changing who is in a group: stage a commit, post it, see it win; if another was first, look again and try again.

use super::parts::{MAX_UPLOAD, Parts};
use crate::client::Client;
use crate::error::ClientError;
use crate::label;
use crate::local::now;
use crate::store::OutboxItem;
use crate::summary::GroupSummary;
use conclave_engine::{CommitUpload, Group, PrekeyBook, StageError};
use conclave_wire::commit::Operation;
use conclave_wire::ids::{AccountId, DeviceId, GroupId, Opaque};
use conclave_wire::limits::MAX_OPERATIONS;
use conclave_wire::manifest::Manifest;
use conclave_wire::name::Name;
use conclave_wire::public_group::CommitError;
use conclave_wire::roster::Role;

/// How often what lost a race is tried again.
pub(super) const MAX_RACES: usize = 8;

/// Accounts added in one commit, at first: their manifests fit a frame if few have several devices.
const ADD_BATCH: usize = 500;

/// An account to add, resolved.
pub(super) struct Candidate {
    pub(super) name: Name,
    pub(super) manifest: Manifest,
}

impl Client {
    /// Adds accounts, as members.
    pub async fn add(&mut self, label: &str, names: &[Name]) -> Result<GroupSummary, ClientError> {
        let id = self.resolve_or_refresh(label).await?;
        self.local.check_active(id)?;
        let candidates = self.candidates(names).await?;
        self.look(id).await?;
        let label = self.local.label(&id);
        let roster = self.local.group(id)?.roster();
        for candidate in &candidates {
            if roster.role(&candidate.manifest.account()).is_some() {
                return Err(ClientError::AlreadyInGroup { name: candidate.name.clone(), label });
            }
        }
        self.add_all(id, &candidates).await?;
        self.summary(id)
    }

    /// Removes accounts. When this returns, nothing sent from now on can be read by them.
    pub async fn remove(&mut self, label: &str, names: &[Name]) -> Result<GroupSummary, ClientError> {
        let id = self.resolve_or_refresh(label).await?;
        let mut accounts: Vec<(Name, AccountId)> = Vec::new();
        for name in names {
            let account = self.account_of(name).await?;
            if accounts.iter().all(|(_, known)| *known != account) {
                accounts.push((name.clone(), account));
            }
        }
        self.look(id).await?;
        self.check_members(id, &accounts)?;
        self.change(id, &[], |group| {
            let still = accounts.iter().filter(|(_, account)| group.roster().role(account).is_some());
            still.map(|(_, account)| Operation::Remove { account: *account }).collect()
        })
        .await?;
        self.summary(id)
    }

    /// Changes an account's role.
    pub async fn set_role(
        &mut self,
        label: &str,
        name: &Name,
        role: Role,
    ) -> Result<GroupSummary, ClientError> {
        let id = self.resolve_or_refresh(label).await?;
        let account = self.account_of(name).await?;
        self.look(id).await?;
        self.check_members(id, &[(name.clone(), account)])?;
        self.change(id, &[], |group| match group.roster().role(&account) {
            Some(present) if present != role => vec![Operation::SetRole { account, role }],
            _ => Vec::new(),
        })
        .await?;
        self.summary(id)
    }

    /// Sends what waits and reads the log: a change is decided on what the group is now.
    async fn look(&mut self, id: GroupId) -> Result<(), ClientError> {
        self.flush(id).await?;
        self.catch_up(id).await
    }

    /// Finds whom to add, and refuses names that cannot be added before anything is made.
    pub(super) async fn candidates(&mut self, names: &[Name]) -> Result<Vec<Candidate>, ClientError> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for name in names {
            let manifest = self.lookup(name).await?;
            if candidates.iter().all(|known| known.manifest.account() != manifest.account()) {
                candidates.push(Candidate { name: name.clone(), manifest });
            }
        }
        Ok(candidates)
    }

    /// Adds candidates in as few commits as their welcomes allow.
    pub(super) async fn add_all(&mut self, id: GroupId, all: &[Candidate]) -> Result<(), ClientError> {
        let (mut rest, mut batch) = (all, ADD_BATCH);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            let added = self
                .change(id, now, |group| {
                    let absent = now.iter().filter(|c| group.roster().role(&c.manifest.account()).is_none());
                    let manifest = |c: &Candidate| Opaque(c.manifest.encoded().to_vec());
                    absent.map(|c| Operation::Add { role: Role::Member, manifest: manifest(c) }).collect()
                })
                .await;
            match added {
                Ok(()) => rest = later,
                Err(ClientError::TooLarge { .. }) if now.len() > 1 => batch = now.len() / 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes one commit of what `plan` finds still to be done, and sees it in the log.
    async fn change(
        &mut self,
        id: GroupId,
        newcomers: &[Candidate],
        plan: impl Fn(&Group) -> Vec<Operation>,
    ) -> Result<(), ClientError> {
        for _ in 0..MAX_RACES {
            self.flush(id).await?;
            self.local.check_active(id)?;
            let operations = plan(self.local.group(id)?);
            if operations.is_empty() {
                return Ok(());
            }
            let book = self.book(id, newcomers, &operations).await?;
            self.stage(id, operations, &book)?;
            self.local.awaited.commits = 0;
            self.flush(id).await?;
            if self.local.awaited.commits > 0 {
                return Ok(());
            }
        }
        Err(ClientError::Busy { label: self.local.label(&id) })
    }

    /// The prekeys that a commit needs: of newcomers, and of members who are to get its secret and were never sent
    /// anything.
    async fn book(
        &mut self,
        id: GroupId,
        newcomers: &[Candidate],
        operations: &[Operation],
    ) -> Result<PrekeyBook, ClientError> {
        let mut devices: Vec<DeviceId> = newcomers.iter().flat_map(|c| c.manifest.device_ids()).collect();
        if operations.iter().any(Operation::needs_secret) {
            devices.extend(self.unknown_peers(id)?);
        }
        let (book, missing) = self.prekeys(&devices).await?;
        let unreachable = |c: &&Candidate| c.manifest.device_ids().all(|device| missing.contains(&device));
        match newcomers.iter().find(unreachable) {
            Some(candidate) => Err(ClientError::NoPrekeys { name: candidate.name.clone() }),
            None => Ok(book),
        }
    }

    fn stage(
        &mut self,
        id: GroupId,
        operations: Vec<Operation>,
        book: &PrekeyBook,
    ) -> Result<(), ClientError> {
        let label = self.local.label(&id);
        let note = label::encode_note(&label);
        let (group, device) = self.local.group_and_device(id)?;
        group.allow_uploads_of(MAX_UPLOAD);
        let staged = group
            .commit(device, operations, &note, book, now(), &mut rand::rng())
            .map_err(|error| stage_error(error, label))?;
        if !staged.unreachable.is_empty() {
            tracing::warn!(devices = staged.unreachable.len(), "some devices have no usable prekeys");
        }
        self.local.write(|step| {
            step.apply(&staged.changes)?;
            let CommitUpload { commit, deliveries, recipients, welcomes } = staged.upload;
            let parts = Parts::of(commit.len(), &deliveries, recipients, &welcomes);
            let commit = Opaque(commit);
            step.push_outbox(id, &OutboxItem::Commit { commit, deliveries, welcomes, parts })
        })?;
        Ok(())
    }

    fn check_members(&mut self, id: GroupId, accounts: &[(Name, AccountId)]) -> Result<(), ClientError> {
        self.local.check_active(id)?;
        let label = self.local.label(&id);
        let roster = self.local.group(id)?.roster();
        match accounts.iter().find(|(_, account)| roster.role(account).is_none()) {
            Some((name, _)) => Err(ClientError::NotInGroup { name: name.clone(), label }),
            None => Ok(()),
        }
    }
}

fn stage_error(error: StageError, label: String) -> ClientError {
    match error {
        StageError::NotActive(conclave_engine::GroupState::Removed) => ClientError::NotMember { label },
        StageError::NotActive(_) => ClientError::NeedWelcome { label },
        StageError::AlreadyStaged => ClientError::Busy { label },
        StageError::TooLarge | StageError::Commit(CommitError::Operations | CommitError::TooLarge) => {
            ClientError::TooLarge {
                what: "the change of the group",
                max: conclave_wire::limits::MAX_FRAME,
                advice: too_large_advice(),
            }
        }
        StageError::Commit(error) => ClientError::NotAllowed { why: error.to_string() },
        error => ClientError::Internal { what: error.to_string() },
    }
}

const fn too_large_advice() -> &'static str {
    const { assert!(MAX_OPERATIONS >= ADD_BATCH) };
    "change fewer accounts at a time, or use a smaller group"
}
