//! Service binary.
fn main(){}
