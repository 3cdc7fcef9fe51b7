//! Creating a group: its genesis, then one commit that adds everybody.

use crate::client::Client;
use crate::error::ClientError;
use crate::label;
use crate::local::now;
use crate::store::{GroupRow, OutboxItem};
use crate::summary::GroupSummary;
use conclave_engine::{Group, NewGroup};
use conclave_wire::ids::{GroupId, Opaque};
use conclave_wire::name::Name;

impl Client {
    /// Begins a group and adds `members`. Nothing is made if one of the names is unknown. Should this fail after the
    /// group was made, the group is there with those members that were added; [`add`](Self::add) goes on.
    pub async fn create_group(&mut self, label: &str, members: &[Name]) -> Result<GroupSummary, ClientError> {
        if !label::is_clean(label) {
            return Err(ClientError::BadLabel);
        }
        if self.local.has_label(label) {
            return Err(ClientError::GroupExists { label: label.to_owned() });
        }
        let mut candidates = self.candidates(members).await?;
        candidates.retain(|candidate| candidate.manifest.account() != self.identity.account);
        self.ensure_connected().await?;
        let id = self.found(label)?;
        self.flush(id).await?;
        // Pushes of a group that this device did not know when it subscribed.
        self.resubscribe();
        self.add_all(id, &candidates).await?;
        self.summary(id)
    }

    /// Makes the genesis and puts it into the outbox.
    fn found(&mut self, label: &str) -> Result<GroupId, ClientError> {
        self.local.check()?;
        let NewGroup { group, commit, changes } = Group::create(&self.local.device, now(), &mut rand::rng())
            .map_err(|error| ClientError::NotAllowed { why: error.to_string() })?;
        let id = group.id();
        let row = GroupRow { id, label: label.to_owned(), open: true, refused_join: None };
        self.local.write(|step| {
            step.apply(&changes)?;
            step.set_group(&row)?;
            let (deliveries, welcomes) = (Vec::new(), Vec::new());
            let genesis = OutboxItem::Commit { commit: Opaque(commit), deliveries, welcomes, parts: None };
            step.push_outbox(id, &genesis)
        })?;
        self.local.insert_group(row, group);
        // Nobody else can have posted to it.
        self.local.settled.insert(id);
        Ok(id)
    }
}
