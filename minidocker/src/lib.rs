//! The engine: Docker's words, OCI images and bundles, no daemon, no root needed.
//!
//! Each module is a room; which may call which is a list in the book's design page, and a test.
//! The way of a `run`: [`cli`] reads what was typed, [`image`] finds the layers, [`spec`] turns
//! the request into an OCI Spec, [`container`] writes it down, [`supervisor`] lives beside the
//! container, [`runtime`] makes it; [`store`] and [`format`] serve them. Beside it: [`teach`].
#![forbid(unsafe_code)]
// The macros panic when nobody can be written to.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
pub mod container;
pub mod format;
pub mod image;
pub mod runtime;
pub mod spec;
pub mod store;
pub mod supervisor;
pub mod teach;
