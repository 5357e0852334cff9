//! What a site is: its name, its address, and what visitors find there.

use crate::country::world::dns::Answer;
use faultline_model::Asn;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// A site.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its host name.
    pub host: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// What it serves.
    pub content: Content,
    /// It serves over HTTP too, instead of moving visitors to HTTPS.
    pub clear: bool,
    /// Visitors from the country have to show that they are no robots, and get no further.
    pub challenge: bool,
    /// What kind of server it is.
    pub serves: Serves,
    /// What it proves its name with.
    pub certificate: Certificate,
    /// What every true resolver answers for its name, where that is not its address.
    pub dns: Option<Answer>,
    /// The network of the country that it stands in; `None` = outside.
    pub inside: Option<Asn>,
}

/// What a site serves over HTTPS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A page with a title; the body is filled up to a few kilobytes.
    Page {
        /// The title.
        title: String,
        /// The body's own text.
        body: Option<String>,
        /// Nothing is filled up.
        short: bool,
    },
    /// That many bytes, as hosts of pictures and video send them.
    Media(usize),
    /// A redirect to another URL.
    Redirect(String),
}

/// What kind of server stands at a site's address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Serves {
    /// The site itself.
    #[default]
    Itself,
    /// A proxy that passes connections on to the site that they name, untouched.
    Proxy,
    /// A proxy that ends TLS: it shows certificates of an authority that only the country's machines trust.
    Interceptor,
}

/// What a site proves its name with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certificate {
    /// A certificate that everybody accepts.
    #[default]
    Good,
    /// One that is past its time.
    Expired,
    /// One for another name.
    WrongName,
    /// One of an authority that nobody trusts.
    UnknownAuthority,
}
