//! An HTTP/1.1 or HTTP/2 answer, whole: head, body, and what is kept of it.

#![no_main]

use faultline_agent::net::http::{Ask, exchange};
use faultline_agent::net::{Meter, Metered};
use faultline_agent::scrub::Scrubber;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

thread_local! {
    static RUNTIME: tokio::runtime::Runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
}
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, answer)) = data.split_first() else { return };
    let (near, mut far) = tokio::io::duplex(256 * 1024);
    let answer = answer.to_vec();
    RUNTIME.with(|runtime| {
        runtime.block_on(async move {
            let metered = Metered::new(near, Arc::new(Meter::default()));
            let ending = metered.ending();
            let ask = Ask::page(&"https://www.example.com/".parse().expect("a URL"), 8192);
            let peer = async {
                let _ = far.write_all(&answer).await;
                let _ = far.shutdown().await;
                let mut sink = [0; 4096];
                while matches!(far.read(&mut sink).await, Ok(read) if read > 0) {}
            };
            let exchange = exchange(metered, (first % 4 == 3, &ending), ask, Duration::from_millis(50));
            let (mut reply, _) = tokio::join!(exchange, peer).0;
            reply.scrub_body(&Scrubber::new(&[[39, 32, 7, 209].into()]));
            assert!(reply.body.len() <= 8192 + 9 * 8192, "the body is bounded");
        });
    });
});
