//! The fake does what the numbered conformance list says, seen by a client that knows nothing of ours.

mod access;
mod groups;
mod limits;
mod lists;
mod staging;
