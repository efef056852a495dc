//! The runtime of Sekoia's playbooks, from outside: the real binary, a fake of the platform, fake vendors.

mod ending;
mod files;
mod inputs;
mod job;
mod object_store;
pub(crate) mod platform;
mod protocol;
