//! Rules about the TCP connection.

use super::super::Evidence;
use super::Finding;
use faultline_model::{Class, Failure};

pub(super) fn find(evidence: &Evidence<'_>) -> Option<Finding> {
    let finding = match evidence.failure()? {
        Failure::ConnectionRefused => Finding::new(Class::TcpRefused, "tcp.refused"),
        Failure::HostUnreachable | Failure::NetworkUnreachable => {
            Finding::new(Class::TcpRefused, "tcp.unreachable")
        }
        Failure::ConnectionReset | Failure::Eof => Finding::new(Class::TcpReset, "tcp.reset"),
        Failure::Timeout => Finding::new(Class::TcpTimeout, "tcp.timeout"),
        _ => Finding::new(Class::TcpTimeout, "tcp.failure"),
    };
    Some(finding)
}
