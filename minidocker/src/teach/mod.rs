//! What helps a reader: `doctor` so far. No container needs this room.

pub mod doctor;
