//! Type by type: a value is put somewhere, its secret is found there, it is dropped, and the same place is read again.

use super::memory::Memory;
use crate::agreement::PrivateKey;
use crate::kem::KemPair;
use crate::ratchet::{Chain, MessageKey, ReceivingChain};
use crate::record::RecordValue;
use crate::secret::{Secret, SecretBytes};
use conclave_wire::ids::{MessageIndex, Timestamp};
use conclave_wire::signature::SigningKey;
use std::hint::black_box;
use zeroize::Zeroizing;

/// 32 bytes that occur nowhere else.
pub(crate) const PATTERN: [u8; 32] = *b"\xc3never to be found once dropped\xc4";

/// Longest place that is looked at.
const MOST: usize = 512;

/// An address and a length.
pub(crate) type Place = (usize, usize);

pub(crate) fn place_of<T: ?Sized>(value: &T) -> Place {
    (std::ptr::from_ref(value).cast::<u8>().addr(), size_of_val(value))
}

/// Whether any 8 bytes of the pattern are there. An allocator writes its own notes over the beginning of what is freed.
fn holds_some(bytes: &[u8]) -> bool {
    PATTERN.windows(8).any(|part| bytes.windows(8).any(|window| window == part))
}

/// Whether something of the pattern is still where `value` held it, after `value` was dropped in its place.
fn remains<T>(value: T, place: impl Fn(&T) -> Place) -> Option<bool> {
    let memory = Memory::open()?;
    // A vector drops in place and neither frees nor writes over what it cleared.
    let mut slot = vec![value];
    black_box(&mut slot);
    let (address, length) = place(&slot[0]);
    let mut buffer = vec![0; MOST];
    let seen = &mut buffer[..length.min(MOST)];
    assert!(memory.read(address, seen) && holds_some(seen), "the secret is not where it is looked for");
    slot.clear();
    black_box(&mut slot);
    let there = memory.read(address, seen);
    Some(there && holds_some(seen))
}

/// Holds a secret and does not wipe it.
struct Careless([u8; 32]);

pub(crate) fn is_wiped<T>(value: T, place: impl Fn(&T) -> Place) {
    assert_ne!(remains(value, place), Some(true), "{} leaves its secret behind", std::any::type_name::<T>());
}

/// The control: what is not wiped is found, inline and on the heap.
#[test]
fn what_is_not_wiped_is_found() {
    assert_ne!(remains(Careless(PATTERN), |careless| place_of(&careless.0)), Some(false));
    assert_ne!(remains(Box::new(Careless(PATTERN)), |careless| place_of(&careless.0)), Some(false));
    assert_ne!(remains(PATTERN.repeat(4), |bytes| place_of(bytes.as_slice())), Some(false));
}

#[test]
fn secrets_are_wiped() {
    is_wiped(Secret::from_bytes(PATTERN), |secret| place_of(secret.as_bytes()));
    is_wiped(Box::new(Secret::from_bytes(PATTERN)), |secret| place_of(secret.as_bytes()));
    is_wiped(vec![Secret::from_bytes(PATTERN)], |secrets| place_of(secrets[0].as_bytes()));
    is_wiped(Secret::from_bytes(PATTERN).duplicate(), |secret| place_of(secret.as_bytes()));
    is_wiped(MessageKey(Secret::from_bytes(PATTERN)), |key| place_of(key.0.as_bytes()));
    is_wiped(Chain::new(Secret::from_bytes(PATTERN), MessageIndex(0)), |chain| {
        place_of(chain.key().as_bytes())
    });
}

#[test]
fn secret_bytes_are_wiped() {
    is_wiped(SecretBytes(Zeroizing::new(PATTERN.repeat(8))), |bytes| place_of(bytes.0.as_slice()));
    is_wiped(RecordValue::new(PATTERN.repeat(8)), |value| place_of(value.as_bytes()));
}

/// Whole values are looked at: where the libraries keep the bytes is theirs to know.
#[test]
fn keys_of_the_libraries_are_wiped() {
    is_wiped(ed25519_dalek::SigningKey::from_bytes(&PATTERN), place_of);
    is_wiped(x25519_dalek::StaticSecret::from(PATTERN), place_of);
    #[cfg(all(feature = "accelerated", any(target_arch = "x86_64", target_arch = "aarch64")))]
    if conclave_wire::processor::suffices() {
        is_wiped(graviola::key_agreement::x25519::StaticPrivateKey::from_array(&PATTERN), place_of);
        is_wiped(graviola::signing::eddsa::Ed25519SigningKey::from_bytes(&PATTERN).unwrap(), place_of);
    }
    is_wiped(PrivateKey::new(&Secret::from_bytes(PATTERN)), place_of);
    is_wiped(SigningKey::from_bytes(&PATTERN), |key| place_of(key.seed()));
}

/// The expanded key ends with the second half of its seed, which is kept for what does not decapsulate (FIPS 203).
#[test]
fn expanded_kem_keys_are_wiped() {
    let mut seed = Secret::zeroed();
    seed.as_bytes_mut()[32..].copy_from_slice(&PATTERN);
    is_wiped(KemPair::expand(&seed), |pair| place_of(&pair.private()[2400 - 32..]));
}

/// A skipped key that is taken out of the map leaves nothing in the map's memory.
#[test]
fn a_used_skipped_key_is_wiped() {
    let Some(memory) = Memory::open() else { return };
    let mut chain = ReceivingChain::new(Chain::new(Secret::from_bytes([1; 32]), MessageIndex(0)));
    let advance = chain.peek(&crate::kdf::CHAIN, MessageIndex(9), 100).unwrap();
    chain.apply(advance, Timestamp(0));
    // The last in its node too, which nothing moves over.
    for index in [8, 0, 4, 7] {
        let (address, _) = place_of(chain.skipped_key(MessageIndex(index)).unwrap().0.as_bytes());
        let (mut before, mut after) = ([0; 32], [0; 32]);
        assert!(memory.read(address, &mut before));
        let advance = chain.peek(&crate::kdf::CHAIN, MessageIndex(index), 100).unwrap();
        assert_eq!(advance.key().0.as_bytes(), &before);
        chain.apply(advance, Timestamp(0));
        let there = memory.read(address, &mut after);
        assert!(
            !there || !after.windows(8).any(|window| before.windows(8).any(|part| part == window)),
            "{index}"
        );
    }
}
