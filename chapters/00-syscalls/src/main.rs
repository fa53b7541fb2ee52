//! ch0
fn main() {}
