//! UDP to one peer: every datagram counted, every error of the socket named.

use super::{Meter, Purpose, Session, failure_of_io};
use faultline_model::Failure;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;

/// No datagram that a check reads is longer.
const MAX_DATAGRAM: usize = 2048;

/// A UDP socket that talks to one permitted peer.
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
    meter: Arc<Meter>,
}

impl Session {
    /// Opens a UDP socket to a permitted peer.
    ///
    /// # Errors
    /// Returns the failure's code; a denied address is one.
    pub async fn datagrams(&self, peer: SocketAddr, purpose: Purpose) -> Result<Datagrams, Failure> {
        let socket = self.udp(peer, purpose).await?;
        Ok(Datagrams { socket, meter: Arc::clone(&self.meter) })
    }
}

impl Datagrams {
    /// Sends one datagram.
    ///
    /// # Errors
    /// Returns the failure's code; an ICMP message about an earlier datagram is one.
    pub async fn send(&self, datagram: &[u8]) -> Result<(), Failure> {
        let sent = self.socket.send(datagram).await.map_err(|error| failure_of_io(&error))?;
        self.meter.add(sent);
        Ok(())
    }

    /// Waits for one datagram. Whatever has not come when the call is dropped comes to the next one.
    ///
    /// # Errors
    /// Returns the failure's code.
    pub async fn receive(&self) -> Result<Vec<u8>, Failure> {
        let mut buffer = vec![0; MAX_DATAGRAM];
        let length = self.socket.recv(&mut buffer).await.map_err(|error| failure_of_io(&error))?;
        self.meter.add(length);
        buffer.truncate(length);
        Ok(buffer)
    }
}
