//! The protocol's key derivations, one context string each (R1).
//!
//! Each step is one wide derivation that is split, because BLAKE3's extendable output is nearly free.

use crate::secret::Secret;
use conclave_wire::hash::Context;
use conclave_wire::ids::Commitment;

/// The epoch secret: `init ‖ flag ‖ cs or nothing ‖ H(commit body)`.
pub(crate) static EPOCH: Context = Context::new("conclave v1 epoch");
/// The next epoch's init secret.
pub(crate) static INIT: Context = Context::new("conclave v1 init");
/// The confirmation in a commit.
pub(crate) static CONFIRM: Context = Context::new("conclave v1 confirm");
/// A sender key's chain key and seed in a new epoch.
pub(crate) static SENDER: Context = Context::new("conclave v1 sender");
/// One step of a sender key's chain.
pub(crate) static CHAIN: Context = Context::new("conclave v1 chain");
/// What a message key is used for.
pub(crate) static MESSAGE: Context = Context::new("conclave v1 message");
/// One step of a pairwise chain.
pub(crate) static PAIRWISE: Context = Context::new("conclave v1 pairwise chain");
/// The pad of a wrap.
pub(crate) static WRAP: Context = Context::new("conclave v1 wrap");
/// The keys of a continued envelope.
pub(crate) static CONTINUED: Context = Context::new("conclave v1 continued envelope");
/// The transcript of an initial envelope.
pub(crate) static INITIAL_TRANSCRIPT: Context = Context::new("conclave v1 initial envelope transcript");
/// The keys of an initial envelope, and the chain that it opens.
pub(crate) static INITIAL: Context = Context::new("conclave v1 initial envelope");
/// Hash of an initial envelope's inner body.
pub(crate) static ENVELOPE_INNER: Context = Context::new("conclave v1 envelope inner");
/// Leaf of the tree whose root an initial envelope's signature covers.
pub(crate) static ENVELOPE_LEAF: Context = Context::new("conclave v1 envelope leaf");
/// Inner node of that tree.
pub(crate) static ENVELOPE_NODE: Context = Context::new("conclave v1 envelope node");
/// The keys under which a distribution's sender key is encrypted.
pub(crate) static DISTRIBUTION_CONTENT: Context = Context::new("conclave v1 distribution content");
/// The keys under which a backup is sealed, and the commitment to them.
pub(crate) static BACKUP: Context = Context::new("conclave v1 backup");
/// Commitment to a commit secret.
pub(crate) static COMMIT_SECRET_COMMITMENT: Context = Context::new("conclave v1 commit secret commitment");
/// Commitment to a distribution's content key.
pub(crate) static CONTENT_KEY_COMMITMENT: Context = Context::new("conclave v1 content key commitment");
/// Commitment to a sender key's first seed and chain key.
pub(crate) static SENDER_KEY_COMMITMENT: Context = Context::new("conclave v1 sender key commitment");

/// Hash of a link request, whose beginning is the link code.
pub(crate) static LINK_CODE: Context = Context::new("conclave v1 link code");
/// The keys under which a link request travels, from the link code.
pub(crate) static LINK_REQUEST: Context = Context::new("conclave v1 link request");
/// What a safety number is made from.
pub(crate) static SAFETY_NUMBER: Context = Context::new("conclave v1 safety number");

/// `N` secret bytes from `parts`.
pub(crate) fn derive<const N: usize>(context: &Context, parts: &[&[u8]]) -> Secret<N> {
    let mut out = Secret::zeroed();
    context.fill(parts, out.as_bytes_mut());
    out
}

/// 64 bytes from `parts`, split in two.
pub(crate) fn derive_pair(context: &Context, parts: &[&[u8]]) -> (Secret<32>, Secret<32>) {
    let wide: Secret<64> = derive(context, parts);
    let (mut first, mut second) = (Secret::zeroed(), Secret::zeroed());
    let (left, right) = wide.as_bytes().split_at(32);
    first.as_bytes_mut().copy_from_slice(left);
    second.as_bytes_mut().copy_from_slice(right);
    (first, second)
}

/// An AEAD key and nonce that are used once.
pub(crate) fn derive_aead(context: &Context, parts: &[&[u8]]) -> (Secret<32>, [u8; 24]) {
    let wide: Secret<56> = derive(context, parts);
    let mut key = Secret::zeroed();
    let mut nonce = [0; 24];
    let (left, right) = wide.as_bytes().split_at(32);
    key.as_bytes_mut().copy_from_slice(left);
    nonce.copy_from_slice(right);
    (key, nonce)
}

/// The public commitment to a secret.
pub(crate) fn commit(context: &Context, parts: &[&[u8]]) -> Commitment {
    Commitment::from_bytes(hash_of_secret(context, parts))
}

/// What [`Context::hash`] gives, for parts that are secret: nothing of them is left in the hash function's state.
pub(crate) fn hash_of_secret(context: &Context, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = [0; 32];
    context.fill(parts, &mut hash);
    hash
}
