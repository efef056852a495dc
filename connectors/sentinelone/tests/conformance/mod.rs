//! The fake enforces the vendor file's conformance list; the numbers are its.

mod access;
mod indicators;
mod lists;
