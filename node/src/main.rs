//! The node.
mod store;
fn main() {}
