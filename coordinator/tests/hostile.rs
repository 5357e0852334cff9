//! Peers that mean no good, and what must never be written down.

mod kit;

use faultline_runtime::{OperatorKey, now};
use kit::{Server, Wish, list, measurement};
use std::path::Path;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nobody else has this address; it is looked for everywhere afterwards.
const PLANTED: &str = "127.77.33.11";

#[tokio::test]
async fn silent_and_stammering_peers_are_hung_up_on_while_others_are_served() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    let mut silent = Vec::new();
    for number in 0..40 {
        let mut stream = TcpStream::connect(server.listen).await?;
        if number % 2 == 0 {
            stream.write_all(&[22, 3, 1]).await?;
        }
        silent.push(stream);
    }
    assert!(server.operator().await?.agents().await?.is_empty(), "an honest peer is served meanwhile");
    for mut stream in silent {
        let mut byte = [0; 1];
        let read = tokio::time::timeout(kit::PATIENCE, stream.read(&mut byte)).await?;
        assert!(matches!(read, Ok(0) | Err(_)), "the door closes it");
    }
    Ok(())
}

#[tokio::test]
async fn nonsense_at_either_door_ends_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    for address in [server.listen, server.http] {
        for bytes in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff"]
        {
            let mut stream = TcpStream::connect(address).await?;
            // The other side may hang up in the middle of it.
            let _ = stream.write_all(bytes).await;
            drop(stream);
        }
    }
    assert_eq!(server.get("/healthz").await?.0, 200);
    assert!(server.operator().await?.agents().await?.is_empty());
    let (code, _) = server.stop().await?;
    assert_eq!(code, Some(0));
    Ok(())
}

#[tokio::test]
async fn an_address_is_looked_up_and_found_nowhere_afterwards() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let table = dir.path().join("networks.csv");
    std::fs::write(&table, "start,end,asn,name\n127.77.0.0,127.77.255.255,17557,PTCL\n")?;
    let table = table.display().to_string();
    let data = dir.path().join("data");
    let server = Server::start(&data, &["--networks", &table]).await?;
    server.operator().await?.push(&OperatorKey::generate()?, &list(1), true).await?;
    let from = format!("{PLANTED}:0");
    let mut agent = server.enrol(Wish { asn: 23674, from: &from, ..Wish::default() }).await?;
    agent.upload(&[measurement("https://x.com/", now(), false)]).await?;
    let mut bad = measurement("https://x.com/", now(), false);
    bad.list_version = 7;
    agent.upload(&[bad]).await?;
    let mut watch = agent.watch(1).await?;
    watch.schedule().await?;
    let listed = server.operator().await?.agents().await?;
    assert_eq!(listed[0].asn, 17557, "the look-up wins over what the invite expects");
    // A handshake that fails, so that errors are looked through too.
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind(from.parse()?)?;
    let mut stream = socket.connect(server.listen).await?;
    stream.write_all(b"no handshake at all").await?;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let (_, log) = server.stop().await?;
    assert!(log.contains("another network than its invite expects"), "the difference is told: {log}");
    assert!(!log.contains(PLANTED), "the log holds the address");
    let raw = PLANTED.split('.').map(|part| part.parse::<u8>()).collect::<Result<Vec<_>, _>>()?;
    let mut files = 0;
    search(&data, &mut |path, bytes| {
        files += 1;
        let text = bytes.windows(PLANTED.len()).any(|window| window == PLANTED.as_bytes());
        let binary = bytes.windows(raw.len()).any(|window| window == raw);
        assert!(!text && !binary, "{} holds the address", path.display());
    })?;
    assert!(files >= 4, "the whole data directory was searched: {files} files");
    let asn: u32 = rusqlite::Connection::open(data.join("faultline.sqlite"))?.query_row(
        "SELECT asn FROM measurement",
        [],
        |row| row.get(0),
    )?;
    assert_eq!(asn, 17557);
    Ok(())
}

fn search(dir: &Path, look: &mut impl FnMut(&Path, &[u8])) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { search(&path, look)? } else { look(&path, &std::fs::read(&path)?) }
    }
    Ok(())
}

#[test]
fn a_bad_configuration_exits_with_78_and_names_the_key() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("config.toml");
    for (text, key) in [("colour = 3", "colour"), ("retention_days = 0", "retention_days")] {
        std::fs::write(&config, text)?;
        let output = Command::new(env!("CARGO_BIN_EXE_faultline-coordinator"))
            .args(["serve", "--config"])
            .arg(&config)
            .output()?;
        assert_eq!(output.status.code(), Some(78));
        assert!(String::from_utf8_lossy(&output.stderr).contains(key));
    }
    Ok(())
}

#[tokio::test]
async fn readers_get_errors_that_say_what_to_do_and_can_write_nothing() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[]).await?;
    for (path, code, says) in [
        ("/api/v1/matrix", 400, "country=PK"),
        ("/api/v1/matrix?country=pakistan", 400, "two capital letters"),
        ("/api/v1/incidents?page_size=100000", 400, "at most 1000"),
        ("/api/v1/incidents?colour=1", 400, "colour"),
        ("/api/v1/incidents?page_token=%20", 400, "begin again"),
        ("/api/v1/incidents/none", 404, "no incident"),
        ("/nowhere", 404, "nothing here"),
    ] {
        let (status, head, body) = server.get(path).await?;
        assert_eq!(status, code, "{path}: {body}");
        assert!(head.contains("content-type: application/json") && body.contains(says), "{path}: {body}");
    }
    assert_eq!(server.json("/api/v1/incidents?country=PK").await?["incidents"], serde_json::json!([]));
    assert_eq!(server.json("/api/v1/matrix?country=PK").await?["country"], "PK");
    Ok(())
}
