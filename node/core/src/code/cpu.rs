//! Whether this processor has what the build assumes.
//!
//! The C part of `reed-solomon-erasure` is compiled for one instruction set (Haswell on x86-64, unless
//! `RUST_REED_SOLOMON_ERASURE_ARCH` said otherwise at build time) and does not look before it leaps.

/// A processor that would stop at an illegal instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this build of Safelight needs a processor with {needs}, which this one does not have; use the portable build \
     (made with --no-default-features)"
)]
pub struct OldCpu {
    needs: &'static str,
}

/// Says so when this processor lacks instructions that the coder was compiled with. To be asked at start.
pub fn check_cpu() -> Result<(), OldCpu> {
    missing().map_or(Ok(()), |needs| Err(OldCpu { needs }))
}

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
fn missing() -> Option<&'static str> {
    use std::arch::is_x86_feature_detected as has;
    match option_env!("RUST_REED_SOLOMON_ERASURE_ARCH") {
        None | Some("haswell" | "x86-64-v3") => {
            let all =
                has!("avx2") && has!("bmi1") && has!("bmi2") && has!("fma") && has!("lzcnt") && has!("movbe");
            (!all).then_some("AVX2 (Intel since 2013, AMD since 2015; not in many older NAS)")
        }
        Some("x86-64-v2" | "nehalem" | "westmere" | "silvermont" | "goldmont") => {
            let all = has!("ssse3") && has!("sse4.1") && has!("sse4.2") && has!("popcnt");
            (!all).then_some("SSE 4.2 (since 2009)")
        }
        // Whoever named another processor at build time answers for it.
        Some(_) => None,
    }
}

#[cfg(not(all(feature = "simd", target_arch = "x86_64")))]
fn missing() -> Option<&'static str> {
    None
}
