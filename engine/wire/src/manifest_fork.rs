//! Proof that an account's manifests fork: two that cannot stand in one chain.

use crate::ids::AccountId;
use crate::manifest::Manifest;

/// Two manifests that one account signed and of which at most one can be in its chain: two of one version, or one that
/// names another predecessor than the other, of the version before (R16). Whoever has the bytes can check it again.
///
/// It shows that the account key signed twice: it was stolen, or the server let two devices that both hold it sign the
/// same version and kept both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestFork {
    one: Manifest,
    other: Manifest,
}

impl ManifestFork {
    /// The proof, if these two are one; `one` is the one that was known.
    pub fn new(one: &Manifest, other: &Manifest) -> Option<Self> {
        let (a, b) = (one.body().version, other.body().version);
        let unlinked = |earlier: &Manifest, later: &Manifest| {
            earlier.body().version.next() == Some(later.body().version)
                && later.body().previous != Some(earlier.hash())
        };
        let twice = a == b && one.hash() != other.hash();
        let forks = twice || unlinked(one, other) || unlinked(other, one);
        (one.account() == other.account() && forks).then(|| Self { one: one.clone(), other: other.clone() })
    }

    /// The account.
    pub fn account(&self) -> AccountId {
        self.one.account()
    }

    /// The one that was known.
    pub fn known(&self) -> &Manifest {
        &self.one
    }

    /// The one that was shown.
    pub fn shown(&self) -> &Manifest {
        &self.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ManifestHash, ManifestVersion, Timestamp};
    use crate::manifest::ManifestBody;
    use crate::membership::Membership;
    use crate::signature::SigningKey;

    fn manifest(account: u8, version: u64, time: u64, previous: Option<ManifestHash>) -> Manifest {
        let (account, device) = (SigningKey::from_bytes(&[account; 32]), SigningKey::from_bytes(&[9; 32]));
        let id = AccountId::from_bytes(account.verifying_key().to_bytes());
        let member = Membership::sign(id, &device);
        let (version, time) = (ManifestVersion(version), Timestamp(time));
        let body = ManifestBody { account: id, version, time, previous, devices: vec![member.device()] };
        Manifest::sign(&body, &account, &[member]).unwrap()
    }

    /// (R16) Only what one honest chain cannot hold is a proof.
    #[test]
    fn what_is_a_fork() {
        let first = manifest(1, 0, 1, None);
        let (next, rival) = (manifest(1, 1, 2, Some(first.hash())), manifest(1, 1, 3, Some(first.hash())));
        let stray = manifest(1, 2, 4, Some(rival.hash()));
        let is = |a: &Manifest, b: &Manifest| ManifestFork::new(a, b).is_some();
        assert!(is(&next, &rival) && is(&rival, &next));
        assert!(is(&next, &stray) && is(&stray, &next));
        assert!(!is(&rival, &stray), "one that follows the other");
        assert!(!is(&first, &stray), "too far apart to tell");
        assert!(!is(&next, &next));
        let stranger = manifest(2, 1, 2, Some(first.hash()));
        assert!(!is(&next, &stranger), "two accounts");
    }
}
