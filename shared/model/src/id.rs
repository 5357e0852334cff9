//! Identifiers: opaque, printable, bounded.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that cannot be an identifier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an id has 1 to 64 characters of a-z, A-Z, 0-9, '-', '_', '.' and ':'")]
pub struct IdError;

const MAX_ID_CHARS: usize = 64;

fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_ID_CHARS
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub struct $name(String);

        impl $name {
            /// Checks and keeps an identifier.
            ///
            /// # Errors
            /// Refuses empty, long and unprintable texts.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                if is_id(&text) { Ok(Self(text)) } else { Err(IdError) }
            }

            /// Makes an identifier from 16 random (or hashed) bytes, in hexadecimal.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
            }

            /// Returns the identifier's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// The pseudonym of a vantage point's agent, given at enrolment.
    AgentId
}
id! {
    /// A measurement's id, made by the agent; the same id is the same measurement.
    MeasurementId
}
id! {
    /// An incident's id, derived from what it first said, so that a replay gives the same.
    IncidentId
}
id! {
    /// An operator's note's id, derived from what it says.
    NoteId
}
id! {
    /// The token of one handed-out task; a result that carries it answers exactly that request.
    TaskToken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_refuses_what_could_break_a_log_or_a_path() {
        for bad in ["", "a b", "../x", "a\n", &"x".repeat(65)] {
            assert_eq!(AgentId::new(bad), Err(IdError), "{bad:?}");
        }
        assert_eq!(MeasurementId::from_bytes([0xab; 16]).as_str().len(), 32);
    }
}
