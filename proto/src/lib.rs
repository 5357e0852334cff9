//! The wire: generated types and services, and their checked conversion into the model's types.
//!
//! Everything that arrives is converted once, at the door; a value of the model cannot be wrong.

pub mod convert;

#[allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes_without_reason,
    reason = "generated; the proto files carry the documentation"
)]
mod wire {
    pub mod agent {
        pub mod v1 {
            tonic::include_proto!("faultline.agent.v1");
        }
    }
    pub mod operator {
        pub mod v1 {
            tonic::include_proto!("faultline.operator.v1");
        }
    }
    pub mod research {
        pub mod v1 {
            tonic::include_proto!("faultline.research.v1");
        }
    }
}

pub use convert::WireError;
pub use wire::agent::v1 as agent;
pub use wire::operator::v1 as operator;
pub use wire::research::v1 as research;
