//! What the protocol allows and what it does, written once more: who is in the group, by device.

use super::{BOB, History};
use conclave_engine::wire::commit::Operation;
use conclave_engine::wire::ids::{AccountId, Opaque, Seq};
use conclave_engine::wire::leave::UnverifiedLeaveRequest;
use conclave_engine::wire::manifest::Manifest;
use conclave_engine::wire::roster::Role;

impl History {
    pub(super) fn account(&self, who: usize) -> AccountId {
        self.people[who].device.account()
    }

    /// The devices of an account that the group has.
    fn present(&self, account: AccountId) -> Vec<usize> {
        self.members.keys().copied().filter(|who| self.account(*who) == account).collect()
    }

    fn role_of(&self, account: AccountId) -> Option<Role> {
        self.present(account).first().map(|who| self.members[who])
    }

    /// The devices that a manifest lists.
    fn listed(&self, manifest: &Opaque) -> (AccountId, Vec<usize>) {
        let manifest = Manifest::decode_and_verify(&manifest.0).unwrap();
        let person = |device| self.people.iter().position(|person| person.device.id() == device).unwrap();
        (manifest.account(), manifest.device_ids().map(person).collect())
    }

    /// Adds the account of this person, with its newest manifest.
    pub(super) fn addition(&self, who: usize, role: Role) -> Operation {
        if self.account(who) == self.account(BOB) {
            return Operation::Add { role, manifest: Opaque(self.household.manifest.encoded().to_vec()) };
        }
        self.people[who].add_operation(role)
    }

    /// May `by` do this? The table of the protocol, written once more.
    pub(super) fn allows(&self, by: usize, operation: &Operation) -> bool {
        let Some(role) = self.members.get(&by) else { return false };
        let another_owner = |account| {
            self.members.iter().any(|(other, role)| self.account(*other) != account && *role == Role::Owner)
        };
        match operation {
            Operation::Add { role: granted, manifest } => {
                let may = *role == Role::Owner || (*role == Role::Admin && *granted == Role::Member);
                may && self.role_of(self.listed(manifest).0).is_none()
            }
            Operation::Remove { account } => {
                let target = self.role_of(*account);
                let may = *role == Role::Owner || (*role == Role::Admin && target != Some(Role::Owner));
                may && target.is_some() && *account != self.account(by)
            }
            Operation::SetRole { account, role: new } => {
                let present = self.role_of(*account).is_some();
                *role == Role::Owner && present && (*new == Role::Owner || another_owner(*account))
            }
            Operation::UpdateDevices { manifests } => {
                let (account, listed) = self.listed(manifests.last().unwrap());
                let current = manifests.len() == self.unrecorded.len() && self.role_of(account).is_some();
                current && (account != self.account(by) || listed.contains(&by))
            }
            Operation::Heal { .. } => true,
            Operation::Reset => *role >= Role::Admin,
            Operation::Leave { request } => {
                let account = UnverifiedLeaveRequest::decode(&request.0).unwrap().claimed().account;
                let owner = self.role_of(account) == Some(Role::Owner);
                account != self.account(by) && (!owner || another_owner(account))
            }
        }
    }

    /// The log has taken a commit of this operation.
    pub(super) fn note(&mut self, operation: &Operation, seq: Seq) {
        match operation {
            Operation::Add { role, manifest } => {
                let (account, devices) = self.listed(manifest);
                devices.into_iter().for_each(|who| self.admit(who, *role, seq));
                if account == self.account(BOB) {
                    self.unrecorded.clear();
                }
            }
            // Who is removed unread still joins, reads up to there, and then sees it.
            Operation::Remove { account } => self.dismiss(*account),
            Operation::Leave { request } => {
                self.dismiss(UnverifiedLeaveRequest::decode(&request.0).unwrap().claimed().account);
            }
            Operation::SetRole { account, role } => {
                for who in self.present(*account) {
                    self.members.insert(who, *role);
                }
            }
            Operation::UpdateDevices { manifests } => {
                let (account, listed) = self.listed(manifests.last().unwrap());
                let (role, present) = (self.role_of(account).unwrap(), self.present(account));
                self.members.retain(|who, _| !present.contains(who) || listed.contains(who));
                for who in listed.into_iter().filter(|who| !present.contains(who)) {
                    self.admit(who, role, seq);
                }
                self.unrecorded.clear();
            }
            Operation::Heal { .. } | Operation::Reset => {}
        }
    }

    fn admit(&mut self, who: usize, role: Role, seq: Seq) {
        self.members.insert(who, role);
        if let Some(missed) = self.invited.insert(who, seq) {
            // They never came while they were in before, and will not read what they could have read then.
            for posted in self.posted.iter_mut().filter(|posted| posted.seq > missed) {
                posted.readers.remove(&who);
            }
        }
    }

    fn dismiss(&mut self, account: AccountId) {
        for who in self.present(account) {
            self.members.remove(&who);
        }
    }
}
