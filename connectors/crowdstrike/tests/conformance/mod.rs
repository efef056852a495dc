//! What the fake enforces, by the numbers of the vendor file's conformance list (section 16).

mod access;
mod batches;
mod lifecycle;
mod reading;
