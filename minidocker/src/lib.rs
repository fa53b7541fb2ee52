//! (filled soon)
#![forbid(unsafe_code)]
pub mod spec;
