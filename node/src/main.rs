//! The node.
mod blobs;
mod disk;

fn main() {}
