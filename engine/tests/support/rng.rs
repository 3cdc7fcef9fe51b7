//! Randomness from a seed, the same in every version of every crate: the extendable output of BLAKE3.

use std::convert::Infallible;

pub struct SeedRng(blake3::OutputReader);

impl SeedRng {
    pub fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("conclave test randomness");
        hasher.update(&seed.to_be_bytes());
        Self(hasher.finalize_xof())
    }
}

impl rand_core::TryRng for SeedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for SeedRng {}
