//! The one type that holds secret bytes.

use minicbor::{Decode, Encode};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// `N` secret bytes: wiped when dropped, never printed, compared in constant time. Copies are made by
/// [`duplicate`](Self::duplicate) alone, so that each can be found.
///
/// The bytes have an allocation of their own, because moving a value copies it: out of a map or a vector, into a larger
/// state, and what lay in the old place is nobody's to wipe any more. Here a move copies an address.
pub(crate) struct Secret<const N: usize>(Box<[u8; N]>);

impl<const N: usize> Secret<N> {
    /// Takes bytes from elsewhere and wipes the copy that it was given.
    pub(crate) fn from_bytes(mut bytes: [u8; N]) -> Self {
        let secret = Self(Box::new(bytes));
        bytes.zeroize();
        secret
    }

    pub(crate) fn random(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self::zeroed();
        rng.fill_bytes(secret.as_bytes_mut());
        secret
    }

    /// A place for a derivation to write to.
    pub(crate) fn zeroed() -> Self {
        Self(Box::new([0; N]))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn as_bytes_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    pub(crate) fn duplicate(&self) -> Self {
        let mut secret = Self::zeroed();
        secret.as_bytes_mut().copy_from_slice(self.as_bytes());
        secret
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Any number of secret bytes, wiped when dropped; a CBOR byte string.
pub(crate) struct SecretBytes(pub(crate) Zeroizing<Vec<u8>>);

impl<C> Encode<C> for SecretBytes {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for SecretBytes {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(Self(Zeroizing::new(d.bytes()?.to_vec())))
    }
}

impl<const N: usize> std::fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&*other.0).into()
    }
}

impl<C, const N: usize> Encode<C> for Secret<N> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&*self.0)?.ok()
    }
}

impl<'b, C, const N: usize> Decode<'b, C> for Secret<N> {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = d.bytes()?;
        if bytes.len() != N {
            return Err(minicbor::decode::Error::message("secret of another length"));
        }
        let mut secret = Self::zeroed();
        secret.as_bytes_mut().copy_from_slice(bytes);
        Ok(secret)
    }
}
