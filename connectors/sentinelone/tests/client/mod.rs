//! The client against the fake: what no uniform suite can know about SentinelOne.

mod access;
mod blocklist;
mod indicators;
