//! minidocker
fn main() {}
