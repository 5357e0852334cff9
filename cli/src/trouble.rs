//! What can go wrong, in the words of somebody who has to mend it, with the exit code for programs.

use anstream::eprintln;
use owo_colors::OwoColorize;
use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

/// Exit codes, those of `sysexits.h` where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It worked.
    Success = 0,
    /// Something else failed.
    Failure = 1,
    /// A file or an argument's content is wrong (`EX_DATAERR`).
    Data = 65,
    /// A file is not there (`EX_NOINPUT`).
    Missing = 66,
    /// The coordinator or a download cannot be reached (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// The coordinator refuses, or a safeguard wants an explicit flag (`EX_NOPERM`).
    Refused = 77,
    /// Key, root or credential is missing or damaged (`EX_CONFIG`).
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with an exit code and, where there is one, the next thing to do.
#[derive(Debug)]
pub(crate) struct Trouble {
    exit: Exit,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Trouble {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, source: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Turns a coordinator's answer into trouble. This is the one place where statuses are read.
    pub(crate) fn from_status(doing: &str, status: &tonic::Status) -> Self {
        use tonic::Code;
        let (exit, hint) = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                (Exit::Unavailable, Some("is the coordinator running and reachable? try again"))
            }
            Code::Unauthenticated | Code::PermissionDenied => (
                Exit::Refused,
                Some(
                    "the credential is not an operator's of this coordinator; run `faultline init --from DATA/operator.json`",
                ),
            ),
            Code::Unimplemented => {
                (Exit::Unavailable, Some("this is no Faultline coordinator, or an older one; check --api"))
            }
            Code::InvalidArgument | Code::OutOfRange => (Exit::Data, None),
            Code::FailedPrecondition | Code::AlreadyExists | Code::ResourceExhausted | Code::Aborted => {
                (Exit::Refused, None)
            }
            _ => (Exit::Failure, None),
        };
        let said = if status.message().is_empty() { status.code().description() } else { status.message() };
        let trouble = Self::new(exit, format!("{doing}: {}", crate::output::printable(said)));
        match hint {
            Some(hint) => trouble.hint(hint),
            None => trouble,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Trouble {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// Prints an error with its causes and its remedy, and returns the exit code.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        // The reader has seen enough, as in `faultline watch | head`.
        return Exit::Success.into();
    }
    eprintln!("{} {error}", "error:".red().bold());
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // tonic's own layers say nothing that the error below them does not say better.
        if !said.contains(&cause) && !matches!(cause.as_str(), "transport error" | "tcp connect error") {
            eprintln!("  because: {cause}");
        }
        said = cause;
    }
    let trouble = error.chain().find_map(|cause| cause.downcast_ref::<Trouble>());
    if let Some(hint) = trouble.and_then(|trouble| trouble.hint.as_deref()) {
        eprintln!("  {} {hint}", "hint:".cyan());
    }
    trouble.map_or(Exit::Failure, Trouble::exit).into()
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_the_coordinators_words_without_control_characters() {
        let status = tonic::Status::failed_precondition("too dear\u{1b}[2J");
        let trouble = Trouble::from_status("pushing the list", &status);
        assert_eq!(trouble.exit(), Exit::Refused);
        assert_eq!(trouble.to_string(), "pushing the list: too dear[2J");
    }

    #[test]
    fn a_reader_who_left_is_no_failure() {
        let gone = io::Error::from(io::ErrorKind::BrokenPipe);
        assert!(is_broken_pipe(&anyhow::Error::new(gone).context("printing")));
        assert!(!is_broken_pipe(&anyhow::anyhow!("something else")));
    }
}
