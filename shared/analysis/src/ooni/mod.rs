//! OONI's measurements: read into facts of ours, and facts of ours written as OONI writes them.
//!
//! What is read was written by strangers, by every version of their tools, and sometimes by accident. Reading is
//! lenient with single rows, which are skipped where they make no sense, and strict with what a measurement
//! is about. OONI's own verdict is kept as text for comparison and never used as a fact.
//!
//! Formats: OONI's specification, data formats df-000 to df-008, and what its probes, old and new, really write.

mod export;
mod failure;
mod import;

pub use export::{About, has_equal, write};
pub use import::{Imported, NotImported, Origin, Reading, ReadingError, read};
