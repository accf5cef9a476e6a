//! The node.

mod net;

fn main() {}
