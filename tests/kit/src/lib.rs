//! (filled soon)
#![forbid(unsafe_code)]
