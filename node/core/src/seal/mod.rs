//! Keys, and what is sealed with them.
//!
//! Everything secret descends from the recovery phrase ([`phrase`]): the authority's signing key, the reading key
//! and the library's id. Each roll has a key of its own, wrapped to the reading key ([`keys`]), and its stream is
//! sealed segment by segment ([`segment`]). Randomness is handed in, never taken.

pub mod phrase;

pub mod keys;

pub mod segment;

pub use keys::{FreshKey, ReadingKey, ReadingPublic, RollKey, SealError, WrappedKey, open_text, seal_text};
pub use phrase::{PhraseError, RecoveryPhrase};
pub use segment::{Opener, Sealer};
