//! Values that must not reach a log.

use std::fmt;

/// Wraps a value that prints as `[scrubbed]`: a volunteer's address, a target's name, a body.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sensitive<T>(pub T);

impl<T> fmt::Debug for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[scrubbed]")
    }
}

impl<T> fmt::Display for Sensitive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[scrubbed]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensitive_value_never_prints() {
        let address = Sensitive("203.0.113.7");
        assert_eq!(format!("{address} {address:?}"), "[scrubbed] [scrubbed]");
    }
}
