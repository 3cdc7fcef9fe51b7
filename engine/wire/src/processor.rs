//! Whether this processor has the instructions that graviola asserts to be there, for the feature `accelerated`.

/// Whether graviola runs here: AVX2, ADX, BMI, AES and PCLMULQDQ, which nearly every x86-64 server and desktop since 2015 has.
#[cfg(target_arch = "x86_64")]
pub fn suffices() -> bool {
    use std::arch::is_x86_feature_detected as has;
    has!("avx2")
        && has!("adx")
        && has!("bmi1")
        && has!("bmi2")
        && has!("avx")
        && has!("ssse3")
        && has!("aes")
        && has!("pclmulqdq")
}

/// Whether graviola runs here: NEON with AES, PMULL and SHA-2.
#[cfg(target_arch = "aarch64")]
pub fn suffices() -> bool {
    use std::arch::is_aarch64_feature_detected as has;
    has!("neon") && has!("aes") && has!("pmull") && has!("sha2")
}
