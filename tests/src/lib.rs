//! What tests and demonstrations of Faultline share: an emulated country made of network namespaces.

pub mod country;
