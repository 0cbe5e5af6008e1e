//! Resolves host names.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use tokio::sync::oneshot;

use super::super::error::said;
use super::super::threads::start;

/// All addresses of a host, in the resolver's order.
///
/// The C library's look-up cannot be cancelled. So it runs in a thread of its own, which is
/// abandoned after a timeout. Tokio's own look-up panics if the system can start no thread.
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (answer, answered) = oneshot::channel();
    let host = host.to_owned();
    let look_up = move || {
        let found = (host.as_str(), port).to_socket_addrs();
        let _ = answer.send(found.map(Iterator::collect));
    };
    start("mqtt-resolve", look_up).map_err(|error| {
        io::Error::new(error.kind(), format!("there is no thread for it: {}", said(&error)))
    })?;
    answered.await.map_err(io::Error::other)?
}
