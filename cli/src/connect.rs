//! The two ways to a coordinator: operators' calls over mutual TLS 1.3 with the pinned authority, and the
//! research API, read only, over plain HTTP/2 or over TLS with the public web's authorities.

use crate::home::Credential;
use crate::trouble::{Exit, Trouble};
use faultline_proto::operator::operator_service_client::OperatorServiceClient;
use faultline_proto::research::research_service_client::ResearchServiceClient;
use faultline_runtime::tls::{client_config, dial, provider};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;
use url::Url;

const DIAL_DEADLINE: Duration = Duration::from_secs(10);
const CALL_DEADLINE: Duration = Duration::from_secs(60);
/// A matrix or a page of incidents with its evidence stays far below this.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Opens the operators' way.
pub(crate) async fn operator(credential: Credential) -> Result<OperatorServiceClient<Channel>, Trouble> {
    let addresses = credential.addresses.clone();
    let config = client_config(&credential.ca()?, Some(&credential.identity))
        .map_err(|e| Trouble::new(Exit::Config, "the operator credential cannot be used").source(e))?;
    let config = Arc::new(config);
    let named = addresses.join(", ");
    let connector = service_fn(move |_: Uri| {
        let (addresses, config) = (addresses.clone(), Arc::clone(&config));
        async move { dial(&addresses, config, DIAL_DEADLINE).await.map(TokioIo::new) }
    });
    // The name is never resolved: the connector dials the credential's addresses and checks the certificate.
    let channel = Endpoint::from_static("http://coordinator.invalid")
        .timeout(CALL_DEADLINE)
        .connect_with_connector(connector)
        .await
        .map_err(|e| {
            Trouble::new(Exit::Unavailable, format!("cannot reach the coordinator at {named}"))
                .source(e)
                .hint("is `faultline-coordinator serve` running there? The addresses are those of its --advertise")
        })?;
    Ok(OperatorServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// Opens the researchers' way.
pub(crate) async fn research(api: &str) -> Result<ResearchServiceClient<Channel>, Trouble> {
    let url = Url::parse(api)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
        Trouble::new(Exit::Data, format!("--api {api:?} is no http or https address"))
            .hint("it looks like http://127.0.0.1:8080, the coordinator's --http address")
    })?;
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(80));
    let endpoint = Endpoint::from_shared(format!("http://{host}:{port}"))
        .map_err(|e| Trouble::new(Exit::Data, format!("--api {api:?} cannot be used")).source(e))?
        .connect_timeout(DIAL_DEADLINE)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .keep_alive_while_idle(true);
    let channel = if url.scheme() == "https" {
        endpoint.connect_with_connector(web_tls(host, port)?).await
    } else {
        endpoint.connect().await
    };
    let channel = channel.map_err(|e| {
        Trouble::new(Exit::Unavailable, format!("cannot reach {api}"))
            .source(e)
            .hint("is the coordinator running? --api URL or FAULTLINE_API names its --http address")
    })?;
    Ok(ResearchServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES))
}

/// Makes a connector for a research API behind ordinary HTTPS, as a reverse proxy offers it.
fn web_tls(
    host: &str,
    port: u16,
) -> Result<
    impl tower::Service<
        Uri,
        Response = TokioIo<tokio_rustls::client::TlsStream<TcpStream>>,
        Error = io::Error,
        Future: Send,
    > + Send
    + 'static,
    Trouble,
> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|e| Trouble::new(Exit::Failure, "preparing TLS").source(e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare)
        .map_err(|e| Trouble::new(Exit::Data, format!("{host:?} is no host name")).source(e))?;
    let address = format!("{host}:{port}");
    Ok(service_fn(move |_: Uri| {
        let (config, name, address) = (Arc::clone(&config), name.clone(), address.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            TlsConnector::from(config).connect(name, stream).await.map(TokioIo::new)
        }
    }))
}
