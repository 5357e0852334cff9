//! What the world's web servers answer: pages, media, redirects, and DNS over HTTPS.

use super::Served;
use super::dns::{self, Lookup};
use crate::country::addresses::Prefix;
use crate::country::scenario::Content;
use crate::country::timeline::{Act, Standing};
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::net::Ipv4Addr;

const PAGE_BYTES: usize = 4096;
const MAX_QUERY: usize = 4096;
const DNS_MESSAGE: &str = "application/dns-message";

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The server's address.
    pub at: Ipv4Addr,
    /// The client's address.
    pub from: Ipv4Addr,
}

/// The world's content.
pub struct Library {
    /// What each host serves.
    pub sites: HashMap<String, Served>,
    /// Hosts that answer DNS over HTTPS at `/dns-query`.
    pub resolvers: HashSet<String>,
    /// The hosts at each address.
    pub hosts: HashMap<Ipv4Addr, Vec<String>>,
    /// The answers to DNS.
    pub lookup: Lookup,
    /// What the sites are ordered to do.
    pub standing: Standing,
    /// The addresses that a site may refuse.
    pub country: Vec<Prefix>,
}

impl Library {
    /// Answers a request that came over TLS to one of the world's addresses.
    pub async fn secure<B: Body>(&self, ends: Ends, request: Request<B>) -> Response<Full<Bytes>>
    where
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let is_head = request.method() == Method::HEAD;
        let response = self.whole(ends, request).await;
        // HTTP/2 clients take bytes after the head for a fault of the server.
        if is_head { response.map(|_| Full::default()) } else { response }
    }

    async fn whole<B: Body>(&self, ends: Ends, request: Request<B>) -> Response<Full<Bytes>>
    where
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let host = self.served(ends.at, host_of(&request));
        if self.resolvers.contains(&host) && request.uri().path() == "/dns-query" {
            return self.dns(request).await;
        }
        self.visit(ends, &host)
    }

    /// Answers a visitor: with a refusal or a challenge where the site has one for visitors from the country.
    fn visit(&self, ends: Ends, host: &str) -> Response<Full<Bytes>> {
        let is_domestic = self.country.iter().any(|prefix| prefix.contains(ends.from));
        if is_domestic && self.sites.get(host).is_some_and(|site| site.challenge) {
            return challenge();
        }
        self.refusal(ends, host).unwrap_or_else(|| self.content(host))
    }

    fn content(&self, host: &str) -> Response<Full<Bytes>> {
        match self.sites.get(host).map(|site| &site.content) {
            None => plain(StatusCode::MISDIRECTED_REQUEST, "no such site\n"),
            Some(Content::Redirect(to)) => moved(to),
            Some(Content::Media(bytes)) => {
                let body = Bytes::from(vec![0x5a; *bytes]);
                answer(StatusCode::OK, "application/octet-stream", body)
            }
            Some(Content::Page { title, body, short }) => answer(
                StatusCode::OK,
                "text/html; charset=utf-8",
                page(title, body.as_deref(), if *short { 0 } else { PAGE_BYTES }).into(),
            ),
        }
    }

    /// Answers visitors from the country as a site does that refuses it.
    fn refusal(&self, ends: Ends, host: &str) -> Option<Response<Full<Bytes>>> {
        if !self.country.iter().any(|prefix| prefix.contains(ends.from)) {
            return None;
        }
        let status = self.standing.active(|orders| {
            orders.iter().filter(|order| order.means_host(host)).find_map(|order| match order.act {
                Act::GeoBlock(status) => StatusCode::from_u16(status).ok(),
                _ => None,
            })
        })?;
        Some(plain(status, "This service is not available in your country.\n"))
    }

    /// Answers a request in the clear: sites move to HTTPS, save those that serve without it.
    #[must_use]
    pub fn clear(&self, ends: Ends, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let host = self.served(ends.at, host_of(request));
        match self.sites.get(&host) {
            None => plain(StatusCode::NOT_FOUND, "no such site\n"),
            Some(site) if site.clear => self.visit(ends, &host),
            Some(_) => {
                let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
                moved(&format!("https://{host}{path}"))
            }
        }
    }

    /// Returns the host, or the first of those at the address when it is not among them.
    fn served(&self, at: Ipv4Addr, host: String) -> String {
        match self.hosts.get(&at).map(Vec::as_slice) {
            Some(hosts @ [first, ..]) if !hosts.contains(&host) => first.clone(),
            _ => host,
        }
    }

    async fn dns<B: Body>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let query = match *request.method() {
            Method::GET => {
                let parameters = request.uri().query().unwrap_or_default().as_bytes();
                let dns = url::form_urlencoded::parse(parameters).find(|(key, _)| key == "dns");
                dns.and_then(|(_, value)| BASE64URL_NOPAD.decode(value.as_bytes()).ok())
            }
            Method::POST => {
                let body = Limited::new(request.into_body(), MAX_QUERY).collect().await;
                body.ok().map(|body| body.to_bytes().to_vec())
            }
            _ => return plain(StatusCode::METHOD_NOT_ALLOWED, "GET or POST\n"),
        };
        match query.and_then(|query| dns::reply(&query, &self.lookup)) {
            Some(reply) => answer(StatusCode::OK, DNS_MESSAGE, reply.into()),
            None => plain(StatusCode::BAD_REQUEST, "no DNS query\n"),
        }
    }
}

fn host_of<B>(request: &Request<B>) -> String {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().host().or(header).unwrap_or_default();
    host.split(':').next().unwrap_or_default().to_ascii_lowercase()
}

fn page(title: &str, body: Option<&str>, least: usize) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let text = body.unwrap_or("Everything is as it should be on this page of the emulated world.");
    let mut page =
        format!("<!doctype html>\n<html><head><title>{title}</title></head>\n<body><p>{text}</p>\n");
    while page.len() < least {
        page.push_str("<p>This line makes the page as long as a small page of the real web.</p>\n");
    }
    page.push_str("</body></html>\n");
    page
}

/// The page of a content network that wants to see a browser, as Cloudflare's looks.
fn challenge() -> Response<Full<Bytes>> {
    let body = "<!doctype html>\n<html><head><title>Just a moment...</title></head>\n<body>\
                <p>Checking that you are no robot.</p></body></html>\n";
    let kind = "text/html; charset=utf-8";
    let mut response = answer(StatusCode::SERVICE_UNAVAILABLE, kind, Bytes::from_static(body.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(header::SERVER, header::HeaderValue::from_static("cloudflare"));
    headers.insert("cf-mitigated", header::HeaderValue::from_static("challenge"));
    response
}

fn moved(to: &str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "moved\n");
    match to.parse() {
        Ok(to) => {
            response.headers_mut().insert(header::LOCATION, to);
            response
        }
        Err(_) => plain(StatusCode::BAD_REQUEST, "a malformed path\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn answer(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
