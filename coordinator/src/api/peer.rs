//! Who calls, and whether the caller's role allows it.

use super::ApiError;
use crate::coordinator::Coordinator;
use crate::store::AgentRecord;
use faultline_model::{AgentId, Asn};
use faultline_runtime::Sensitive;
use faultline_runtime::tls::{PeerIdentity, PeerRole};
use std::net::IpAddr;
use tonic::{Request, Status};

/// What is known of a connection. Its address is told to the peer itself and to nobody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) identity: Option<PeerIdentity>,
    pub(crate) network: Option<Asn>,
    pub(crate) address: Option<Sensitive<IpAddr>>,
}

/// Returns the caller of a request.
pub(crate) fn caller<T>(request: &Request<T>) -> Caller {
    request.extensions().get::<Caller>().cloned().unwrap_or_default()
}

/// Lets only one role through. The one place in which roles are checked.
pub(crate) fn only(role: PeerRole) -> impl Fn(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |request| match caller(&request).identity {
        None => Err(ApiError::Unauthenticated("this call needs a client certificate; enrol first").into()),
        Some(identity) if identity.role == role => Ok(request),
        Some(_) => Err(ApiError::Role(role.as_str()).into()),
    }
}

/// Returns the enrolled agent that calls.
pub(crate) fn agent<T>(
    coordinator: &Coordinator,
    request: &Request<T>,
) -> Result<(AgentRecord, Caller), ApiError> {
    let unknown = || ApiError::Unauthenticated("this agent is not enrolled here; join with a new invite");
    let caller = caller(request);
    let name =
        caller.identity.as_ref().filter(|peer| peer.role == PeerRole::Agent).map(|peer| peer.name.clone());
    let id = AgentId::new(name.unwrap_or_default()).map_err(|_| unknown())?;
    let record = coordinator.fleet.record(&id).ok_or_else(unknown)?;
    Ok((record, caller))
}
