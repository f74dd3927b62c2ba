//! Service binary.
fn main() {}
