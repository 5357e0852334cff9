//! Enrolment: an invite and a fresh device key for a certificate.

use super::{DIAL_DEADLINE, connector, explain};
use faultline_proto::agent as wire;
use faultline_proto::agent::enrolment_service_client::EnrolmentServiceClient;
use faultline_runtime::Invite;
use faultline_runtime::tls::{Identity, IdentityError, PeerError, client_config};
use rustls_pki_types::CertificateDer;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tonic::{Code, Status};

/// The whole call, connecting included.
const ENROL_DEADLINE: Duration = DIAL_DEADLINE.saturating_mul(3);

/// Why enrolment failed. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The device key cannot be made.
    #[error("cannot make a device key")]
    Key(#[source] IdentityError),
    /// The invite's authority cannot be used.
    #[error("the invite's certificate authority cannot be used; ask for a new invite")]
    Authority(#[source] PeerError),
    /// The invite is used up, lapsed, or meant for something else.
    #[error("the coordinator refuses this invite ({0}); ask for a new one")]
    Refused(String),
    /// The coordinator cannot be reached.
    #[error("cannot reach the coordinator at {addresses} ({reason}); check the connection and try again")]
    Unreachable {
        /// Where it was looked for.
        addresses: String,
        /// What happened.
        reason: String,
    },
    /// The coordinator answered with something else.
    #[error("the coordinator's answer makes no sense; is it older or newer than this agent?")]
    Answer,
}

/// What is enrolled.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// Names of the checks that are known.
    pub check_kinds: Vec<String>,
    /// The volunteer's budget class.
    pub budget: wire::BudgetClass,
    /// Version of the consent text that was agreed to; empty for a control.
    pub consent_version: String,
}

/// Who the agent is now.
#[derive(Debug)]
pub struct Enrolled {
    /// The pseudonym.
    pub agent_id: String,
    /// The device key and its certificate.
    pub identity: Identity,
}

/// Enrols with an invite.
///
/// # Errors
/// Says what failed and what to do.
pub async fn enrol(invite: &Invite, enrolment: Enrolment) -> Result<Enrolled, EnrolError> {
    let (key_pem, certificate_request) = Identity::request().map_err(EnrolError::Key)?;
    let config = client_config(&invite.ca(), None).map_err(EnrolError::Authority)?;
    let channel = connector(invite.addresses.clone(), config, Arc::default());
    let request = wire::EnrolRequest {
        invite_token: invite.token.clone(),
        certificate_request,
        agent_version: crate::VERSION.to_owned(),
        check_kinds: enrolment.check_kinds,
        control: invite.control,
        budget: enrolment.budget.into(),
        consent_version: enrolment.consent_version,
    };
    let mut client = EnrolmentServiceClient::new(channel);
    let answered = timeout(ENROL_DEADLINE, client.enrol(request)).await;
    let answered = answered.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")));
    let response = answered.map_err(|status| refused(invite, &status))?.into_inner();
    if response.agent_id.is_empty() {
        return Err(EnrolError::Answer);
    }
    let certificate = CertificateDer::from(response.certificate);
    let identity = Identity::new(key_pem, &certificate).map_err(EnrolError::Key)?;
    // A certificate that cannot be shown would only be noticed at the first connection.
    client_config(&invite.ca(), Some(&identity)).map_err(|_| EnrolError::Answer)?;
    Ok(Enrolled { agent_id: response.agent_id, identity })
}

fn refused(invite: &Invite, status: &Status) -> EnrolError {
    match status.code() {
        Code::Unauthenticated
        | Code::PermissionDenied
        | Code::InvalidArgument
        | Code::NotFound
        | Code::FailedPrecondition
        | Code::AlreadyExists => EnrolError::Refused(status.message().to_owned()),
        _ => EnrolError::Unreachable { addresses: invite.addresses.join(", "), reason: explain(status) },
    }
}
