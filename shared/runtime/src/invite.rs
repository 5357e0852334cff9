//! Invites: what an operator hands to a volunteer, in one line of text.
//!
//! `flt1-` and base64url of a JSON object: where the coordinator is, which authority signs its certificate,
//! the one-time token, and the operators whose task lists the agent shall obey.

use crate::OperatorRoot;
use data_encoding::BASE64URL_NOPAD;
use faultline_model::CountryCode;
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::fmt;

const PREFIX: &str = "flt1-";
const MAX_CHARS: usize = 16 * 1024;

/// Why a text is no invite.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// It does not begin with the prefix.
    #[error("an invite begins with {PREFIX:?}; was it copied whole?")]
    Prefix,
    /// It is damaged.
    #[error("the invite is damaged; ask for a new one")]
    Damaged,
}

/// An invite.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Where agents reach the coordinator, as `host:port`.
    pub addresses: Vec<String>,
    /// The coordinator's own certificate authority, DER in base64.
    ca: String,
    /// The one-time token.
    pub token: String,
    /// The country in which the agent will stand.
    pub country: CountryCode,
    /// The invite is for a control vantage point.
    pub control: bool,
    /// Whose task lists the agent obeys.
    pub operators: OperatorRoot,
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite({}, {:?})", self.country, self.addresses)
    }
}

impl Invite {
    /// Puts an invite together.
    #[must_use]
    pub fn new(
        addresses: Vec<String>,
        ca: &CertificateDer<'_>,
        token: String,
        (country, control): (CountryCode, bool),
        operators: OperatorRoot,
    ) -> Self {
        Self { addresses, ca: BASE64URL_NOPAD.encode(ca), token, country, control, operators }
    }

    /// Returns the coordinator's certificate authority.
    #[must_use]
    pub fn ca(&self) -> CertificateDer<'static> {
        CertificateDer::from(BASE64URL_NOPAD.decode(self.ca.as_bytes()).unwrap_or_default())
    }

    /// Reads an invite's text.
    ///
    /// # Errors
    /// Says whether it was cut or damaged.
    pub fn parse(text: &str) -> Result<Self, InviteError> {
        let body = text.trim().strip_prefix(PREFIX).ok_or(InviteError::Prefix)?;
        if body.len() > MAX_CHARS {
            return Err(InviteError::Damaged);
        }
        let json = BASE64URL_NOPAD.decode(body.as_bytes()).map_err(|_| InviteError::Damaged)?;
        let invite: Self = serde_json::from_slice(&json).map_err(|_| InviteError::Damaged)?;
        let sound =
            invite.operators.validate().is_ok() && !invite.addresses.is_empty() && !invite.ca().is_empty();
        if sound { Ok(invite) } else { Err(InviteError::Damaged) }
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| fmt::Error)?;
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode(&json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OperatorKey;

    #[test]
    fn an_invite_survives_being_sent_and_a_cut_one_is_recognised() {
        let key = OperatorKey::generate().expect("key");
        let invite = Invite::new(
            vec!["coordinator.example.org:7443".into()],
            &CertificateDer::from(vec![1, 2, 3]),
            "token".into(),
            ("PK".parse().expect("valid"), false),
            OperatorRoot::single(&key),
        );
        let text = invite.to_string();
        assert_eq!(Invite::parse(&format!(" {text}\n")).expect("whole"), invite);
        assert!(matches!(Invite::parse(&text[..text.len() - 9]), Err(InviteError::Damaged)));
        assert!(matches!(Invite::parse("hello"), Err(InviteError::Prefix)));
    }
}
