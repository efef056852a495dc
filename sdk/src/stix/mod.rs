//! STIX 2.1: patterns with the real grammar, and bundles as a stream.

#[cfg(any(test, feature = "testing"))]
pub mod generate;
mod lexer;
mod parser;
mod pattern;
mod reader;
mod scan;
mod timestamp;
mod versions;

pub use parser::{
    Comparison, Join, Literal, MAX_DEPTH, MAX_LENGTH, Observation, Operands, Operator, Path,
    PatternError, Qualifier, Step, Test, parse,
};
pub use pattern::{Flattened, Left, flatten};
pub(crate) use reader::origin;
pub use reader::{Page, ReadLimits, Reader, read};
pub(crate) use scan::read_failure;
pub use timestamp::{TimeError, parse_date, parse_timestamp};
