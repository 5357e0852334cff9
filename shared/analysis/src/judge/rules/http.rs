//! Rules about the HTTP exchange.

use super::super::{ControlFact, Evidence, KnownPage, View};
use super::{Finding, dns, views_at};
use faultline_model::{Class, Failure, HttpFact, LayerStatus, Target};

/// Beginnings of the titles of pages that want to see a browser, in lower case.
const CHALLENGE_TITLES: [&str; 4] =
    ["just a moment", "attention required! | cloudflare", "ddos-guard", "one more step"];

/// Headers that most servers send, in lower case: to share them means nothing.
const COMMON_HEADERS: [&str; 14] = [
    "accept-ranges",
    "alt-svc",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expires",
    "keep-alive",
    "last-modified",
    "server",
    "transfer-encoding",
    "vary",
];

/// A redirect to what is no URL. It serves no censor: whoever blocks shows a page, or nothing at all.
pub(super) const NOWHERE: &str = "http.redirect.invalid";

/// Judges an exchange that failed.
pub(super) fn find_failed(evidence: &Evidence<'_>) -> Option<Finding> {
    let finding = match evidence.failure()? {
        Failure::ConnectionReset | Failure::Eof => Finding::new(Class::HttpReset, "http.reset"),
        Failure::HttpInvalidResponse => Finding::new(Class::HttpReset, "http.invalid_response"),
        Failure::RedirectDenied => Finding::new(Class::HttpBlockpage, "http.blockpage.redirect_denied"),
        Failure::HttpInvalidRedirect => Finding::new(Class::HttpStatusDiff, NOWHERE),
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
                return Some(Finding::new(Class::HttpBlockpage, "http.blockpage.known").on(hop));
            }
            // A page that is known to be harmless is no block page, whatever else it looks like.
            Some(KnownPage::Harmless(_)) => return None,
            None => {}
        }
        let views = views_at(evidence, controls, hop);
        let host = evidence.name_at(hop).unwrap_or(evidence.host());
        if !evidence.is_handshake_valid(hop) && leads_astray(host, &page.location, &views) {
            return Some(Finding::new(Class::HttpBlockpage, "http.blockpage.redirect").on(hop));
        }
    }
    let (hop, page) = evidence.last_page()?;
    if is_challenge(page) {
        return None;
    }
    let views = views_at(evidence, controls, hop);
    if !evidence.is_handshake_valid(hop) && is_other_page(page, &views) {
        let elsewhere = dns::find_other_place(evidence, controls, hop);
        return elsewhere.or_else(|| Some(Finding::new(Class::HttpBlockpage, "http.diff").on(hop)));
    }
    let are_controls_served = views.iter().any(|view| (200..400).contains(&view.status));
    if !are_controls_served {
        return None;
    }
    let rule = match page.status {
        // Too many requests are about the client's manners, not its country.
        429 => return None,
        451 => "http.status.451",
        403 => "http.status.403",
        400..=499 => "http.status.4xx",
        500..=599 => "http.status.5xx",
        _ => return None,
    };
    Some(Finding::new(Class::HttpStatusDiff, rule).on(hop))
}

/// Judges a page in the clear that nothing can be compared with: anybody on the way could have written it.
pub(super) fn find_alone(evidence: &Evidence<'_>, controls: &[&ControlFact]) -> Option<Finding> {
    let (hop, _) = evidence.last_page()?;
    let is_alone = !evidence.is_handshake_valid(hop) && views_at(evidence, controls, hop).is_empty();
    is_alone.then(|| Finding::new(Class::Ok, "http.no_control").on(hop).with(LayerStatus::Insufficient))
}

/// Says whether a page is a content network's question whether a robot asks. That is about the client's manners.
fn is_challenge(page: &HttpFact) -> bool {
    let title = page.title.to_lowercase();
    let is_marked = page.header_names.iter().any(|name| name == "cf-mitigated");
    matches!(page.status, 403 | 429 | 503)
        && (is_marked || CHALLENGE_TITLES.iter().any(|start| title.starts_with(start)))
}

/// Says whether a page in the clear is another one than all controls were served, though it claims to be fine.
///
/// One thing in common is enough to be the same page in another language or of another day. Controls that differ among
/// themselves show a page that is never the same.
fn is_other_page(page: &HttpFact, views: &[View<'_>]) -> bool {
    let is_fine = |page: &HttpFact| (200..300).contains(&page.status);
    let pages = views.iter().filter_map(|view| view.seen?.page.as_ref());
    let pages: Vec<&HttpFact> = pages.filter(|other| is_fine(other) && !is_encrypted(other)).collect();
    let [first, others @ ..] = pages.as_slice() else { return false };
    is_fine(page)
        && others.iter().all(|other| has_common(first, other))
        && !pages.iter().any(|other| has_common(page, other))
}

fn is_encrypted(page: &HttpFact) -> bool {
    page.url.starts_with("https:")
}

/// Says whether two pages have anything in common that two sites rarely have.
fn has_common(one: &HttpFact, other: &HttpFact) -> bool {
    let is_same = |a: &str, b: &str| !a.is_empty() && a == b;
    let (small, large) = (one.body_bytes.min(other.body_bytes), one.body_bytes.max(other.body_bytes));
    // A page that was cut may be as long as any that is longer than what was read of it.
    let is_cut = |cut: &HttpFact| cut.is_truncated && cut.body_bytes == small;
    let is_as_long = small.saturating_mul(10) >= large.saturating_mul(7) || is_cut(one) || is_cut(other);
    let is_rare = |name: &&String| !COMMON_HEADERS.contains(&name.as_str());
    let shares_header = one.header_names.iter().filter(is_rare).any(|name| other.header_names.contains(name));
    is_as_long
        || shares_header
        || is_same(&one.body_sha256, &other.body_sha256)
        || is_same(&one.title, &other.title)
        || is_same(&one.server, &other.server)
}

/// Says whether a page over plain HTTP sends the reader to somebody else's site although controls are served
/// the page itself. Over TLS the site itself said it, and the same site's other hosts are its own affair; so is a
/// place to which controls are sent as well.
fn leads_astray(host: &str, location: &str, views: &[View<'_>]) -> bool {
    let Ok(destination) = Target::new(location) else { return false };
    let site = site_of(destination.host());
    let sent = |view: &View<'_>| Target::new(&view.seen?.page.as_ref()?.location).ok();
    let is_usual = views.iter().filter_map(sent).any(|other| site_of(other.host()) == site);
    let are_controls_served = views.iter().any(|view| (200..400).contains(&view.status));
    are_controls_served && !is_usual && site != site_of(host)
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
