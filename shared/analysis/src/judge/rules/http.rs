//! Rules about the HTTP exchange.

use super::super::{ControlFact, Evidence, KnownPage};
use super::Finding;
use faultline_model::{Class, Failure, Target};

/// Judges an exchange that failed.
pub(super) fn find_failed(evidence: &Evidence<'_>) -> Option<Finding> {
    let finding = match evidence.failure()? {
        Failure::ConnectionReset | Failure::Eof => Finding::new(Class::HttpReset, "http.reset"),
        Failure::HttpInvalidResponse => Finding::new(Class::HttpReset, "http.invalid_response"),
        Failure::RedirectDenied => Finding::new(Class::HttpBlockpage, "http.blockpage.redirect_denied"),
        Failure::HttpInvalidRedirect => Finding::new(Class::HttpStatusDiff, "http.redirect.invalid"),
        Failure::TooManyRedirects => Finding::new(Class::HttpStatusDiff, "http.redirect.endless"),
        Failure::Timeout => Finding::new(Class::HttpTimeout, "http.timeout"),
        _ => Finding::new(Class::HttpTimeout, "http.failure"),
    };
    Some(finding)
}

/// Judges an exchange that went through: block pages, and refusals that controls do not get.
pub(super) fn find(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    for (hop, page) in evidence.pages() {
        match evidence.fingerprints.page(page) {
            Some(KnownPage::Blocked(_)) => {
                return Some(Finding::new(Class::HttpBlockpage, "http.blockpage.known"));
            }
            // A page that is known to be harmless is no block page, whatever else it looks like.
            Some(KnownPage::Harmless(_)) => return None,
            None => {}
        }
        if !evidence.is_handshake_valid(hop) && leads_astray(evidence.host(), &page.location, controls) {
            return Some(Finding::new(Class::HttpBlockpage, "http.blockpage.redirect"));
        }
    }
    let (_, page) = evidence.last_page()?;
    let are_controls_served = controls.iter().any(|control| (200..400).contains(&control.http_status));
    if !are_controls_served {
        return None;
    }
    let rule = match page.status {
        // Too many requests and a challenge are about the client's manners, not its country.
        429 => return None,
        451 => "http.status.451",
        403 => "http.status.403",
        400..=499 => "http.status.4xx",
        500..=599 => "http.status.5xx",
        _ => return None,
    };
    Some(Finding::new(Class::HttpStatusDiff, rule))
}

/// Says whether a page over plain HTTP sends the reader to somebody else's site although controls are served
/// the page itself. Over TLS the site itself said it, and the same site's other hosts are its own affair.
fn leads_astray(host: &str, location: &str, controls: &[&ControlFact]) -> bool {
    let Ok(destination) = Target::new(location) else { return false };
    let are_controls_served = controls.iter().any(|control| (200..300).contains(&control.http_status));
    are_controls_served && site_of(destination.host()) != site_of(host)
}

/// Returns the part of a name that its owner registered, near enough for a comparison: the last two labels, or
/// three below a short second level such as `com.pk`.
fn site_of(host: &str) -> &str {
    let labels: Vec<&str> = host.rsplit('.').collect();
    let is_short = labels.len() > 2 && labels[1].len() <= 3 && labels[0].len() == 2;
    let kept = if is_short { 3 } else { 2 };
    let length: usize = labels.iter().take(kept).map(|label| label.len() + 1).sum();
    &host[host.len().saturating_sub(length.saturating_sub(1))..]
}
