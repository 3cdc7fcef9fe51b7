//! What a message would cost if it were nothing but its primitives: the same libraries, the same lengths.
//!
//! Sealing and opening each take two wide BLAKE3 derivations and a digest over the ciphertext, one XChaCha20-Poly1305,
//! and one Ed25519 signature or strict verification; in a run, that one for all its messages. Parsing, copying, padding,
//! records and checks are the engine's own.

use crate::trouble::Trouble;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use conclave_engine::wire::hash::Context;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use rand::Rng;
use rand::rngs::StdRng;
use std::hint::black_box;

static STEP: Context = Context::new("conclave v1 loadtest chain step");
static KEYS: Context = Context::new("conclave v1 loadtest message keys");
static DIGEST: Context = Context::new("conclave v1 loadtest digest");

/// As many bytes as the engine's label for a group message has.
const LABEL: &[u8; 32] = b"conclave v1 loadtest sign digest";

/// Bytes that a digest covers beside the ciphertext: header, group, head, certificate, commitment, link, hedge.
const BOUND: usize = 16 + 32 + 32 + 32 + 32 + 16 + 8;

/// Keys, and the bytes to work on.
pub struct Primitives {
    signing: SigningKey,
    verifying: VerifyingKey,
    chain: [u8; 32],
    bound: [u8; BOUND],
}

/// What [`Primitives::seal`] made.
pub struct Made {
    /// With its tag.
    pub ciphertext: Vec<u8>,
    /// Of the digest.
    pub signature: Signature,
}

/// What [`Primitives::seal_run`] made.
pub struct MadeRun {
    ciphertexts: Vec<Vec<u8>>,
    signature: Signature,
}

impl Primitives {
    /// With fresh keys.
    pub fn new(rng: &mut StdRng) -> Self {
        let (mut seed, mut chain, mut bound) = ([0; 32], [0; 32], [0; BOUND]);
        rng.fill_bytes(&mut seed);
        rng.fill_bytes(&mut chain);
        rng.fill_bytes(&mut bound);
        let signing = SigningKey::from_bytes(&seed);
        Self { verifying: signing.verifying_key(), signing, chain, bound }
    }

    /// The primitives of sealing a padded plaintext.
    pub fn seal(&self, padded: &[u8]) -> Result<Made, Trouble> {
        let (cipher, nonce) = self.derive();
        let ciphertext =
            cipher.encrypt(&nonce, padded).map_err(|_| Trouble::Wrong("the cipher refused to seal"))?;
        let signature = self.signing.sign(&self.digest(&ciphertext));
        Ok(Made { ciphertext, signature })
    }

    /// The primitives of opening it.
    pub fn open(&self, made: &Made) -> Result<Vec<u8>, Trouble> {
        let (cipher, nonce) = self.derive();
        self.verifying
            .verify_strict(&self.digest(&made.ciphertext), &made.signature)
            .map_err(|_| Trouble::Wrong("the signature does not verify"))?;
        cipher
            .decrypt(&nonce, made.ciphertext.as_slice())
            .map_err(|_| Trouble::Wrong("the ciphertext does not open"))
    }

    /// What each message of a backlog costs if links vouch for it: all but the signature.
    pub fn open_by_link(&self, made: &Made) -> Result<Vec<u8>, Trouble> {
        let (cipher, nonce) = self.derive();
        black_box(self.digest(&made.ciphertext));
        cipher
            .decrypt(&nonce, made.ciphertext.as_slice())
            .map_err(|_| Trouble::Wrong("the ciphertext does not open"))
    }

    /// One wide derivation: what a removal costs for each sender known.
    pub fn wide_derivation(&self) -> [u8; 64] {
        let mut out = [0; 64];
        STEP.fill(&[black_box(&self.chain), &self.bound], &mut out);
        out
    }

    /// The primitives of sealing a run of these padded plaintexts.
    pub fn seal_run(&self, padded: &[Vec<u8>]) -> Result<MadeRun, Trouble> {
        let (mut ciphertexts, mut before) = (Vec::with_capacity(padded.len()), [0; 32]);
        for padded in padded {
            let (cipher, nonce) = self.derive();
            let ciphertext = cipher
                .encrypt(&nonce, padded.as_slice())
                .map_err(|_| Trouble::Wrong("the cipher refused to seal"))?;
            before = self.digest_in_run(&before, &ciphertext);
            ciphertexts.push(ciphertext);
        }
        Ok(MadeRun { ciphertexts, signature: self.signing.sign(&signed(&before)) })
    }

    /// The primitives of opening it.
    pub fn open_run(&self, made: &MadeRun) -> Result<Vec<Vec<u8>>, Trouble> {
        let (mut ciphers, mut before) = (Vec::with_capacity(made.ciphertexts.len()), [0; 32]);
        for ciphertext in &made.ciphertexts {
            ciphers.push(self.derive());
            before = self.digest_in_run(&before, ciphertext);
        }
        self.verifying
            .verify_strict(&signed(&before), &made.signature)
            .map_err(|_| Trouble::Wrong("the signature does not verify"))?;
        let opened = ciphers.iter().zip(&made.ciphertexts).map(|((cipher, nonce), ciphertext)| {
            cipher
                .decrypt(nonce, ciphertext.as_slice())
                .map_err(|_| Trouble::Wrong("the ciphertext does not open"))
        });
        opened.collect()
    }

    fn derive(&self) -> (XChaCha20Poly1305, XNonce) {
        let (mut step, mut keys) = ([0; 64], [0; 88]);
        STEP.fill(&[black_box(&self.chain)], &mut step);
        let (message_key, _) = step.split_at(32);
        KEYS.fill(&[message_key], &mut keys);
        let (mut key, mut nonce) = ([0; 32], [0; 24]);
        let (first, rest) = keys.split_at(32);
        let (_, last) = rest.split_at(32);
        key.copy_from_slice(first);
        nonce.copy_from_slice(last);
        (XChaCha20Poly1305::new(&key.into()), XNonce::from(nonce))
    }

    fn digest(&self, ciphertext: &[u8]) -> [u8; 64] {
        signed(&DIGEST.hash(&[&self.bound, ciphertext]))
    }

    /// Of a message in a run: 32 bytes of the digest before stand where a message has 16 of link.
    fn digest_in_run(&self, before: &[u8; 32], ciphertext: &[u8]) -> [u8; 32] {
        let (bound, _) = self.bound.split_at(BOUND - 16);
        DIGEST.hash(&[bound, before, ciphertext])
    }
}

fn signed(digest: &[u8; 32]) -> [u8; 64] {
    let mut signed = [0; 64];
    let (label, covered) = signed.split_at_mut(32);
    label.copy_from_slice(LABEL);
    covered.copy_from_slice(digest);
    signed
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn opens_what_it_seals_and_nothing_else() {
        let mut rng = StdRng::seed_from_u64(1);
        let primitives = Primitives::new(&mut rng);
        let mut made = primitives.seal(&[7; 100]).unwrap();
        assert_eq!(primitives.open(&made).unwrap(), [7; 100]);
        assert_eq!(primitives.open_by_link(&made).unwrap(), [7; 100]);
        made.ciphertext[3] ^= 1;
        assert!(primitives.open(&made).is_err());
        let plaintexts: Vec<_> = (7..10).map(|byte| vec![byte; 100]).collect();
        let mut run = primitives.seal_run(&plaintexts).unwrap();
        assert_eq!(primitives.open_run(&run).unwrap(), plaintexts);
        run.ciphertexts.swap(0, 2);
        assert!(primitives.open_run(&run).is_err());
    }
}
