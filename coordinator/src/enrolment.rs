//! Enrolment: a one-time invite becomes a pseudonym and a client certificate.
//!
//! Unknown, used, lapsed and wrong-kind invites get the same answer after the same work, so that guessing teaches
//! nothing. A repeated request (the same certificate request under the same invite) gets the same pseudonym, because an
//! answer can get lost.

use crate::api::ApiError;
use crate::coordinator::Coordinator;
use crate::store::{AgentRecord, Budget, InviteRecord, Redeemed, TokenHash};
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use faultline_model::{AgentId, Asn, Category, CheckKind, CountryCode};
use faultline_proto::agent as wire;
use faultline_proto::operator;
use faultline_runtime::tls::{PeerIdentity, PeerRole};
use faultline_runtime::{now, random_bytes};
use std::time::Duration;

const MAX_INVITES: u32 = 1000;
const DEFAULT_VALIDITY: Duration = Duration::from_secs(14 * 86_400);
const MAX_VALIDITY_S: u32 = 365 * 86_400;
const MAX_TEXT: usize = 64;
const MAX_KINDS: usize = 32;
/// Twice as many as Citizen Lab has.
const MAX_CATEGORIES: usize = 64;

/// Makes invites and returns their tokens, of which only hashes are kept.
pub(crate) async fn invite(
    coordinator: &Coordinator,
    request: operator::CreateInvitesRequest,
) -> Result<Vec<String>, ApiError> {
    if !(1..=MAX_INVITES).contains(&request.count) {
        return Err(ApiError::Invalid(format!(
            "count is {}; it must lie between 1 and {MAX_INVITES}",
            request.count
        )));
    }
    if request.valid_for_s > MAX_VALIDITY_S {
        return Err(ApiError::Invalid(format!("valid_for_s must be at most {MAX_VALIDITY_S}")));
    }
    let country: CountryCode = request.country.parse().map_err(ApiError::Invalid)?;
    let asn = match request.asn {
        0 => None,
        number => Some(Asn::new(number).map_err(|e| ApiError::Invalid(format!("asn: {e}")))?),
    };
    let cohort = short_text("cohort", request.cohort)?;
    let validity = match request.valid_for_s {
        0 => DEFAULT_VALIDITY,
        seconds => Duration::from_secs(seconds.into()),
    };
    let created_at = now();
    let tokens: Vec<String> = (0..request.count).map(|_| HEXLOWER.encode(&random_bytes())).collect();
    let records = tokens.iter().map(|token| InviteRecord {
        token: hash(token.as_bytes()),
        country,
        asn,
        control: request.control,
        cohort: cohort.clone(),
        created_at,
        expires_at: created_at + validity,
    });
    coordinator.registry.add_invites(records.collect()).await?;
    Ok(tokens)
}

/// Trades an invite for a certificate. `network` is what the caller's address belongs to.
pub(crate) async fn enrol(
    coordinator: &Coordinator,
    request: wire::EnrolRequest,
    network: Option<Asn>,
) -> Result<wire::EnrolResponse, ApiError> {
    let consent_version = short_text("consent_version", request.consent_version)?;
    if !request.control && consent_version.is_empty() {
        return Err(ApiError::Invalid("consent_version is missing: a volunteer must agree first".into()));
    }
    let candidate = AgentRecord {
        id: AgentId::from_bytes(random_bytes()),
        // The invite decides; this one is never kept.
        country: "XX".parse().map_err(ApiError::Invalid)?,
        asn: network,
        control: request.control,
        cohort: String::new(),
        agent_version: short_text("agent_version", request.agent_version)?,
        kinds: kinds(&request.check_kinds)?,
        budget: budget(request.budget)?,
        consent_version,
        enrolled_at: now(),
        last_seen: None,
        paused: false,
        request: hash(&request.certificate_request),
    };
    // The certificate is made before the invite is looked at: a bad request does not use the invite up, and good and
    // bad tokens take the same time.
    sign(coordinator, &request.certificate_request, &candidate.id)?;
    let redeemed = coordinator.registry.redeem(hash(request.invite_token.as_bytes()), candidate).await?;
    let Redeemed::Agent(agent, differs) = redeemed else {
        coordinator.counters.enrolments_refused.add();
        return Err(ApiError::InviteRefused);
    };
    if differs {
        coordinator.counters.enrolments_elsewhere.add();
        tracing::warn!(agent = %agent.id, "an agent enrolled from another network than its invite expects");
    }
    tracing::info!(agent = %agent.id, country = %agent.country, asn = agent.asn.map(Asn::get), control = agent.control, "an agent enrolled");
    let certificate = sign(coordinator, &request.certificate_request, &agent.id)?;
    let agent_id = agent.id.to_string();
    coordinator.fleet.add(*agent);
    Ok(wire::EnrolResponse { agent_id, certificate })
}

fn sign(coordinator: &Coordinator, request: &[u8], agent: &AgentId) -> Result<Vec<u8>, ApiError> {
    let peer = PeerIdentity { role: PeerRole::Agent, name: agent.to_string() };
    let signed = coordinator.authority.sign_request(request, &peer);
    let certificate = signed.map_err(|e| ApiError::Invalid(format!("certificate_request: {e}")))?;
    Ok(certificate.to_vec())
}

/// Reads codes of categories.
pub(crate) fn categories(codes: &[String]) -> Result<Vec<Category>, ApiError> {
    if codes.len() > MAX_CATEGORIES {
        return Err(ApiError::Invalid(format!(
            "unmeasured_categories has {} entries; at most {MAX_CATEGORIES} are taken",
            codes.len()
        )));
    }
    codes.iter().map(|code| Category::new(code).map_err(ApiError::Invalid)).collect()
}

/// Reads the names of checks; those of newer agents that this coordinator does not know are left out.
pub(crate) fn kinds(names: &[String]) -> Result<Vec<CheckKind>, ApiError> {
    if names.len() > MAX_KINDS {
        return Err(ApiError::Invalid(format!(
            "check_kinds has {} entries; at most {MAX_KINDS} are taken",
            names.len()
        )));
    }
    let mut kinds: Vec<CheckKind> = names.iter().filter_map(|name| name.parse().ok()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

pub(crate) fn budget(number: i32) -> Result<Budget, ApiError> {
    match wire::BudgetClass::try_from(number) {
        Ok(wire::BudgetClass::Standard) => Ok(Budget::Standard),
        Ok(wire::BudgetClass::Small) => Ok(Budget::Small),
        _ => Err(ApiError::Invalid(format!("budget: {number} is no budget class"))),
    }
}

/// Checks a short printable text of a peer.
pub(crate) fn short_text(field: &str, text: String) -> Result<String, ApiError> {
    if text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        Err(ApiError::Invalid(format!("{field} has more than {MAX_TEXT} characters or unprintable ones")))
    }
}

fn hash(bytes: &[u8]) -> TokenHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
