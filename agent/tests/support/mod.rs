//! A small internet on one machine, and a coordinator that does what a test tells it.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod coordinator;
pub mod dns;
pub mod paced;
pub mod quic;
pub mod site;
pub mod world;

use std::future::Future;
use std::time::Duration;

/// Waits for a state, with a bound.
pub async fn eventually<F, R>(what: &str, mut is_so: F)
where
    F: FnMut() -> R,
    R: Future<Output = bool>,
{
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), wait).await.is_ok(), "never came: {what}");
}
