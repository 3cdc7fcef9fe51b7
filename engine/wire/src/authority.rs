//! Who may do what, decided against the roster *before* the commit.
//!
//! | operation | member | admin | owner |
//! |---|---|---|---|
//! | add as member | – | yes | yes |
//! | add as admin or owner | – | – | yes |
//! | remove a member or an admin | – | yes | yes |
//! | remove an owner | – | – | yes |
//! | set a role | – | – | yes |
//! | reset | – | yes | yes |
//! | heal one's own device, bring an account's devices up to date, execute a leave request | yes | yes | yes |
//!
//! Beside the table: nobody removes their own account or the device that makes the commit (leaving is a request that
//! another executes), because the author of a commit knows its secret (R33); and an owner always remains (R34). Every client checks these rules for every
//! commit. The server checks them too, although nobody trusts it to: otherwise one member's invalid commit, accepted at
//! the head of the log, would stop the group for everybody else.

use crate::roster::Role;
use thiserror::Error;

/// The right that an operation would have needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// Members do not change the roster.
    #[error("only an admin or an owner may add and remove accounts")]
    NotAdmin,
    /// Admins do not make admins or owners.
    #[error("only an owner may add an account as {0}")]
    Grant(Role),
    /// Admins do not remove owners.
    #[error("only an owner may remove an owner")]
    RemoveOwner,
    /// Only owners set roles.
    #[error("only an owner may set roles")]
    SetRole,
    /// Members do not reset a group.
    #[error("only an admin or an owner may reset the group")]
    Reset,
}

/// May `author` add an account as `granted`?
pub fn may_add(author: Role, granted: Role) -> Result<(), AuthorityError> {
    match (author, granted) {
        (Role::Member, _) => Err(AuthorityError::NotAdmin),
        (Role::Admin, Role::Member) | (Role::Owner, _) => Ok(()),
        (Role::Admin, granted) => Err(AuthorityError::Grant(granted)),
    }
}

/// May `author` remove an account whose role is `target`?
pub fn may_remove(author: Role, target: Role) -> Result<(), AuthorityError> {
    match (author, target) {
        (Role::Member, _) => Err(AuthorityError::NotAdmin),
        (Role::Admin, Role::Owner) => Err(AuthorityError::RemoveOwner),
        (Role::Admin | Role::Owner, _) => Ok(()),
    }
}

/// May `author` set roles?
pub fn may_set_role(author: Role) -> Result<(), AuthorityError> {
    match author {
        Role::Owner => Ok(()),
        Role::Admin | Role::Member => Err(AuthorityError::SetRole),
    }
}

/// May `author` reset the group's secrets?
pub fn may_reset(author: Role) -> Result<(), AuthorityError> {
    match author {
        Role::Admin | Role::Owner => Ok(()),
        Role::Member => Err(AuthorityError::Reset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Role::{Admin, Member, Owner};

    /// (R32) The table, cell by cell.
    #[test]
    fn table() {
        let roles = [Member, Admin, Owner];
        let add = |granted| roles.map(|author| may_add(author, granted).is_ok());
        assert_eq!(add(Member), [false, true, true]);
        assert_eq!(add(Admin), [false, false, true]);
        assert_eq!(add(Owner), [false, false, true]);
        let remove = |target| roles.map(|author| may_remove(author, target).is_ok());
        assert_eq!(remove(Member), [false, true, true]);
        assert_eq!(remove(Admin), [false, true, true]);
        assert_eq!(remove(Owner), [false, false, true]);
        assert_eq!(roles.map(|author| may_set_role(author).is_ok()), [false, false, true]);
        assert_eq!(roles.map(|author| may_reset(author).is_ok()), [false, true, true]);
    }
}
