//! Plain TCP.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;

use super::super::error::Error;
use super::super::options::ConnectOptions;

/// How long an address is waited for before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first address of the host that accepts. The families take turns, as in RFC 8305.
pub async fn connect(options: &ConnectOptions, host: &str, port: u16) -> Result<TcpStream, Error> {
    let unresolved =
        |error: io::Error| Error::Resolve { host: host.to_owned(), reason: error.to_string() };
    let found: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(unresolved)?.collect();
    let addresses = match options.bind_address {
        Some(local) => of_family(options, found, local, host)?,
        None => found,
    };
    let stream =
        race(interleave(addresses), options.bind_address).await.map_err(|failure| {
            match (failure, options.bind_address) {
                (Failure::Bind(source), Some(address)) => bind_error(options, address, source),
                (Failure::Bind(source) | Failure::Connect(source), _) => {
                    let broker =
                        if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                    Error::Connect { address: format!("{broker}:{port}"), source }
                }
            }
        })?;
    stream.set_nodelay(options.tcp_nodelay)?;
    Ok(stream)
}

enum Failure {
    Bind(io::Error),
    Connect(io::Error),
}

/// The addresses that can be reached from a local one.
fn of_family(
    options: &ConnectOptions,
    addresses: Vec<SocketAddr>,
    local: IpAddr,
    host: &str,
) -> Result<Vec<SocketAddr>, Error> {
    let (same, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == local.is_ipv4());
    if same.is_empty() && !other.is_empty() {
        let family = if local.is_ipv4() { "IPv4" } else { "IPv6" };
        let text = format!("{host} has no {family} address");
        let source = io::Error::new(io::ErrorKind::AddrNotAvailable, text);
        return Err(bind_error(options, local, source));
    }
    Ok(same)
}

fn bind_error(options: &ConnectOptions, address: IpAddr, source: io::Error) -> Error {
    Error::Bind { key: options.key("BIND_ADDRESS"), address, source }
}

/// The resolver's order, with the families taking turns.
fn interleave(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_family = addresses.first().is_some_and(SocketAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_family);
    let mut second = second.into_iter();
    let mut turns = VecDeque::new();
    for address in first {
        turns.push_back(address);
        turns.extend(second.next());
    }
    turns.extend(second);
    turns
}

/// Tries one address after the other: the next one at once after a failure, and after a head start
/// beside one that does not answer. The first that accepts wins; the rest ends with this call.
async fn race(
    mut addresses: VecDeque<SocketAddr>,
    local: Option<IpAddr>,
) -> Result<TcpStream, Failure> {
    let mut attempts = JoinSet::new();
    let mut failure = None;
    loop {
        if let Some(address) = addresses.pop_front() {
            attempts.spawn(attempt(address, local));
        }
        let outcome = tokio::select! {
            outcome = attempts.join_next() => outcome,
            () = tokio::time::sleep(HEAD_START), if !addresses.is_empty() => continue,
        };
        match outcome {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(Failure::Connect(error)))) => {
                if failure.as_ref().is_none_or(says_little) {
                    failure = Some(error);
                }
            }
            Some(Ok(Err(bind))) => return Err(bind),
            Some(Err(panic)) => return Err(Failure::Connect(panic.into())),
            None => {
                let nothing = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                return Err(Failure::Connect(failure.unwrap_or_else(nothing)));
            }
        }
    }
}

/// Whether an error says only that this machine has no way to an address, as for IPv6 in a network
/// without: what another address answered says more.
fn says_little(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), NetworkUnreachable | AddrNotAvailable | HostUnreachable)
}

async fn attempt(address: SocketAddr, local: Option<IpAddr>) -> Result<TcpStream, Failure> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(Failure::Connect)?;
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0)).map_err(Failure::Bind)?;
    }
    socket.connect(address).await.map_err(Failure::Connect)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails is to panic

    use super::*;

    #[test]
    fn the_families_take_turns_in_the_resolvers_order() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
        let turns = interleave(addresses.iter().map(|text| text.parse().unwrap()).collect());
        let turns: Vec<_> = turns.iter().map(ToString::to_string).collect();
        assert_eq!(turns, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    }
}
