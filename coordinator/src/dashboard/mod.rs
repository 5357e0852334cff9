//! The live page.

use crate::api::ApiError;
use crate::coordinator::Coordinator;
use faultline_model::CountryCode;
use maud::{DOCTYPE, Markup, html};

pub(crate) const STYLE: &str = include_str!("style.css");
pub(crate) const SCRIPT: &str = include_str!("live.js");

pub(crate) async fn page(
    coordinator: &Coordinator,
    country: Option<CountryCode>,
) -> Result<Markup, ApiError> {
    let _ = (coordinator, country);
    Ok(html! { (DOCTYPE) html lang="en" { head { title { "Faultline" } } body {} } })
}
