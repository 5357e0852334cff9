//! Where a list file comes from: a path, or an http(s) address.

use crate::trouble::{Exit, Trouble};
use faultline_runtime::read_bounded;
use futures_util::StreamExt;
use std::path::Path;
use std::time::Duration;

const MAX_BYTES: usize = 5 << 20;
const DEADLINE: Duration = Duration::from_secs(60);

/// Reads a file's text from a path or an address, at most 5 MB.
pub(crate) async fn fetch(source: &str) -> Result<String, Trouble> {
    let bytes = if source.starts_with("http://") || source.starts_with("https://") {
        download(source).await?
    } else {
        read_bounded(Path::new(source), MAX_BYTES as u64)
            .map_err(|e| Trouble::new(Exit::Data, "the list cannot be read").source(e))?
    };
    String::from_utf8(bytes)
        .map_err(|e| Trouble::new(Exit::Data, format!("{source} is not UTF-8 text")).source(e))
}

async fn download(address: &str) -> Result<Vec<u8>, Trouble> {
    let failed = |e: reqwest::Error| {
        Trouble::new(Exit::Unavailable, format!("downloading {address}")).source(e.without_url())
    };
    let client = reqwest::Client::builder().timeout(DEADLINE).build().map_err(failed)?;
    let response = client.get(address).send().await.and_then(reqwest::Response::error_for_status);
    let mut chunks = response.map_err(failed)?.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(failed)?);
        if bytes.len() > MAX_BYTES {
            return Err(Trouble::new(Exit::Data, format!("{address} is larger than {MAX_BYTES} bytes")));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn serve(body: Vec<u8>) -> String {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accepted");
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            // The client hangs up in the middle when the body is too large.
            let _ = stream.write_all(&[head.into_bytes(), body].concat()).await;
        });
        format!("http://{address}/list.csv")
    }

    #[tokio::test]
    async fn a_list_is_downloaded_and_an_endless_one_is_refused() {
        assert_eq!(
            fetch(&serve(b"url,category_code\n".to_vec()).await).await.expect("read"),
            "url,category_code\n"
        );
        let error = fetch(&serve(vec![b'a'; MAX_BYTES + 1]).await).await.expect_err("too large");
        assert_eq!(error.exit(), Exit::Data);
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let error = fetch("no/such/list.toml").await.expect_err("missing");
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert!(cause.contains("no/such/list.toml"), "{cause}");
    }
}
