//! Country profiles as files.

use crate::trouble::{Exit, Trouble};
use faultline_model::CountryProfile;
use std::path::Path;

const MAX_PROFILE_BYTES: u64 = 4 << 20;

/// Reads a profile and checks it.
pub(crate) fn read(path: &Path) -> Result<CountryProfile, Trouble> {
    let profile: CountryProfile = parse(path)?;
    profile.validate().map_err(|e| Trouble::new(Exit::Data, path.display().to_string()).source(e))?;
    Ok(profile)
}

/// Reads a profile whose contents are not checked yet.
pub(crate) fn parse(path: &Path) -> Result<CountryProfile, Trouble> {
    let bad = |e: String| Trouble::new(Exit::Data, format!("{}: {e}", path.display()));
    let length = std::fs::metadata(path).map_err(|e| bad(e.to_string()))?.len();
    if length > MAX_PROFILE_BYTES {
        return Err(bad("a profile has at most 4 MiB".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    toml::from_str(&text).map_err(|e| bad(e.to_string()))
}
