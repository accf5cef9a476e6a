//! What the tests share: processes of the real program, clusters of them, photographs, and a look at the disks.

pub mod cluster;

pub mod disk;

pub mod photos;

pub mod process;

pub mod terminal;

mod turn;

pub use cluster::Cluster;
pub use photos::{Tree, assert_same, tree};
pub use process::Reply;

/// A small, seeded stream of numbers, the same on every machine.
#[derive(Debug, Clone)]
pub struct Seeded(u64);

impl Seeded {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, which is at least one.
    pub fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
