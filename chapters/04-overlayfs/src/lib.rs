//! Chapter 4: overlayfs, one directory tree made of several.
//!
//! An image is a stack of layers that many containers share, and yet each container may write
//! everywhere. So the layers lie below as *lowerdirs*, which nobody writes to, and each container
//! has an *upperdir* on top, which takes what it writes (copy-up) and what it deletes (whiteouts).
//! The *workdir* is where the kernel prepares a file before it appears in upper. The three seen
//! through each other are called *merged*.
//!
//! Read on in Documentation/filesystems/overlayfs.rst, which this chapter calls overlayfs.rst.
//!
//! The bare idea is one mount:
//!
//! ```
//! let overlay = overlayfs::Overlay {
//!     lower: vec!["/layers/top".into(), "/layers/base".into()], // the topmost first
//!     upper: "/c1/upper".into(),
//!     work: "/c1/work".into(),
//!     userxattr: false, // true in a user namespace
//!     volatile: false,  // true if nobody will miss upper after a power failure
//! };
//! assert_eq!(
//!     overlay.options(),
//!     "lowerdir=/layers/top:/layers/base,upperdir=/c1/upper,workdir=/c1/work,\
//!      redirect_dir=off,metacopy=off,index=off"
//! );
//! let refused = overlay.mount("/c1/merged".as_ref()).unwrap_err();
//! assert_eq!(refused.to_string(), "the lowerdir /layers/top of the overlay does not exist");
//! ```
#![forbid(unsafe_code)]

mod diagnose;
mod error;
mod mount;
mod options;
mod supported;

pub use error::{OverlayError, Part};
pub use mount::Overlay;
pub use supported::supported;
