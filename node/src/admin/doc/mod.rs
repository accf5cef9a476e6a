//! The documents commands answer with: the JSON that scripts rely on, and what people are shown.
//!
//! Keys are a contract (`node/DESIGN.md`, command line): add fields freely, never rename one. Sizes are in
//! bytes, times in seconds. Names are null on a vault, which cannot read them.

mod care;

mod library;

mod plan;
mod removal;

mod trash;

mod work;

pub use care::*;
pub use library::*;
pub use plan::*;
pub use removal::*;
pub use trash::*;
pub use work::*;

#[cfg(test)]
mod tests;
