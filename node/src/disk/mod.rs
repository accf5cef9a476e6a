//! Disks as the machine shows them: durable file operations, devices, the photographer's files in and out.
//!
//! - [`durable`]: fsync of files and directories, dropping the page cache, creating without replacing.
//! - [`direct`]: new files written past the page cache.
//! - [`device`]: what kind of medium lies under a path, which drive it is, how much room it has.
//! - [`walk`]: the files under an ingested path, in order, with what was skipped and why.
//! - [`names`]: any path from a catalog made into one that is safe below a folder.
//! - [`check`]: whether the bytes of a file are the file.
//! - [`restore`]: files written back below a target folder, and never outside it.

pub mod check;
pub mod device;
pub mod direct;
pub mod durable;
pub mod names;
pub mod restore;
pub mod walk;
