//! Country profiles drafted from tables that are given at run time.

mod draft;
mod tables;

pub(crate) use draft::{Draft, draft};
pub(crate) use tables::{Network, Share, Upstream, names, shares, upstreams};
