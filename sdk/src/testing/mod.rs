//! The contract suite, the memory target and builders. Feature `testing`.
//!
//! A connector's `tests/contract.rs` is a few lines:
//!
//! ```text
//! #[tokio::test]
//! async fn ioc() {
//!     sdk::testing::run_suite(acme::connector(), "ioc", &SuiteOptions::default())
//!         .await
//!         .assert_passed();
//! }
//! ```

pub mod builders;
pub mod contract;
pub mod memory;
pub mod official;
pub mod secrets;

pub use contract::{SuiteOptions, SuiteReport, run_combination, run_suite};
pub use memory::{Flavour, MemoryVendor};

#[cfg(test)]
mod tests;
