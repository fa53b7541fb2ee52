//! (filled soon)
#![forbid(unsafe_code)]
pub mod cli;
pub mod format;
pub mod spec;
