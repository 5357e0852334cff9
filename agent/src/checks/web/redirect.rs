//! Where a redirect may lead.

use faultline_model::Failure;
use std::net::SocketAddr;
use url::{Host, Url};

const MAX_URL_BYTES: usize = 2048;
const MAX_HOST_BYTES: usize = 253;

/// Reads a redirect's destination. `denied` says whether an address may not be connected to.
pub(super) fn destination(
    from: &Url,
    location: &str,
    denied: impl Fn(SocketAddr) -> bool,
) -> Result<Url, Failure> {
    let mut url = from.join(location).map_err(|_| Failure::HttpInvalidRedirect)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Failure::RedirectDenied);
    }
    let port = url.port_or_known_default().unwrap_or_default();
    if !matches!(port, 80 | 443) {
        return Err(Failure::RedirectDenied);
    }
    let address = match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_owned();
            check_name(&name)?;
            url.set_host(Some(&name)).map_err(|_| Failure::HttpInvalidRedirect)?;
            None
        }
        Some(Host::Ipv4(address)) => Some(SocketAddr::new(address.into(), port)),
        Some(Host::Ipv6(address)) => Some(SocketAddr::new(address.into(), port)),
        None => return Err(Failure::HttpInvalidRedirect),
    };
    if address.is_some_and(denied) {
        return Err(Failure::RedirectDenied);
    }
    // Credentials in a link are somebody else's; a fragment never travels.
    let stripped = url.set_username("").and_then(|()| url.set_password(None));
    stripped.map_err(|()| Failure::HttpInvalidRedirect)?;
    url.set_fragment(None);
    if url.as_str().len() > MAX_URL_BYTES { Err(Failure::HttpInvalidRedirect) } else { Ok(url) }
}

/// A name without a dot means a host of the volunteer's own network.
fn check_name(name: &str) -> Result<(), Failure> {
    if name.len() > MAX_HOST_BYTES || name.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(Failure::HttpInvalidRedirect);
    }
    if name.contains('.') { Ok(()) } else { Err(Failure::RedirectDenied) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::is_public;

    fn go(location: &str) -> Result<String, Failure> {
        let from = "https://www.x.com/a/b".parse().expect("a URL");
        destination(&from, location, |peer| !is_public(peer.ip())).map(String::from)
    }

    #[test]
    fn a_redirect_never_leads_into_a_home_to_another_scheme_or_to_another_port() {
        for location in [
            "http://192.168.1.1/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://169.254.169.254/latest/meta-data/",
            "file:///etc/passwd",
            "ftp://x.com/",
            "javascript:alert(1)",
            "http://x.com:25/",
            "https://x.com:8443/",
            "http://localhost/",
            "http://router/",
        ] {
            assert_eq!(go(location), Err(Failure::RedirectDenied), "{location}");
        }
    }

    #[test]
    fn nonsense_is_an_invalid_redirect() {
        let long = format!("https://{}.com/", "a".repeat(64));
        let endless = format!("/{}", "a".repeat(4000));
        for location in ["http://", "https://a..b/", "http://[::1", &long, &endless] {
            assert_eq!(go(location), Err(Failure::HttpInvalidRedirect), "{location}");
        }
    }

    #[test]
    fn an_ordinary_redirect_is_followed_normalised() {
        assert_eq!(go("/c?d=1#top").as_deref(), Ok("https://www.x.com/c?d=1"));
        assert_eq!(go("//user:pw@X.com./").as_deref(), Ok("https://x.com/"));
        assert_eq!(go("http://203.82.48.86/blocked").as_deref(), Ok("http://203.82.48.86/blocked"));
    }
}
