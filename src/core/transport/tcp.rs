//! Plain TCP.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::super::error::{Error, said};
use super::super::options::ConnectOptions;
use super::resolve::resolve;

/// The delay before the next address is tried in parallel (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Connects to the first address of the host that accepts. Address families alternate, as in RFC
/// 8305.
pub async fn connect(options: &ConnectOptions, host: &str, port: u16) -> Result<TcpStream, Error> {
    let unresolved =
        |error: io::Error| Error::Resolve { host: host.to_owned(), reason: said(&error) };
    let found = resolve(host, port).await.map_err(unresolved)?;
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

/// The addresses that are reachable from a local one.
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

/// The resolver's order, with alternating address families.
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

/// Tries the addresses in order: the next one at once after a failure, and in parallel after a
/// delay if one does not respond. The first that accepts wins; the other attempts are cancelled.
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
                let more = |known| !is_answer(known) && is_answer(&error);
                if failure.as_ref().is_none_or(more) {
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

/// Whether an error came from the peer. That says more than a missing route, as for IPv6 in a
/// network without it.
fn is_answer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, TimedOut};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | TimedOut)
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

    use std::net::TcpListener as StdListener;
    use std::time::Instant;

    fn run<T>(work: impl Future<Output = T>) -> T {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(work)
    }

    fn listener() -> (StdListener, SocketAddr) {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn refusing() -> SocketAddr {
        listener().1
    }

    /// An address that does not respond: its listener's queue is full.
    fn stuck() -> (tokio::net::TcpListener, Vec<std::net::TcpStream>, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let fill = || std::net::TcpStream::connect_timeout(&address, HEAD_START).ok();
        (listener, std::iter::from_fn(fill).collect(), address)
    }

    fn connect_error(failure: Failure) -> io::Error {
        let (Failure::Connect(error) | Failure::Bind(error)) = failure;
        error
    }

    #[test]
    fn an_address_that_refuses_is_passed_over_at_once() {
        let (_listener, alive) = listener();
        let start = Instant::now();
        let stream = run(race([refusing(), refusing(), alive].into(), None)).ok().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        assert!(start.elapsed() < HEAD_START);
    }

    #[test]
    fn an_address_that_does_not_answer_has_a_head_start_only() {
        run(async {
            let (_stuck, _queue, dead) = stuck();
            let (_listener, alive) = listener();
            let start = Instant::now();
            let stream = race([dead, dead, alive].into(), None).await.ok().unwrap();
            assert_eq!(stream.peer_addr().unwrap(), alive);
            let elapsed = start.elapsed();
            assert!((HEAD_START * 2..HEAD_START * 8).contains(&elapsed), "{elapsed:?}");
        });
    }

    #[test]
    fn an_answer_counts_more_than_that_another_address_is_unreachable() {
        let unreachable = "255.255.255.255:9".parse().unwrap();
        for order in [[unreachable, refusing()], [refusing(), unreachable]] {
            let error = connect_error(run(race(order.into(), None)).err().unwrap());
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
        }
    }

    #[test]
    fn small_packets_go_out_at_once_if_wanted() {
        for wanted in [true, false] {
            let (_listener, address) = listener();
            let mut options = ConnectOptions::new("127.0.0.1", address.port());
            options.tcp_nodelay = wanted;
            let stream = run(async {
                connect(&options, "127.0.0.1", address.port()).await.unwrap().into_std().unwrap()
            });
            assert_eq!(stream.nodelay().unwrap(), wanted);
        }
    }

    #[test]
    fn the_families_take_turns_in_the_resolvers_order() {
        let addresses = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"];
        let turns = interleave(addresses.iter().map(|text| text.parse().unwrap()).collect());
        let turns: Vec<_> = turns.iter().map(ToString::to_string).collect();
        assert_eq!(turns, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
    }
}
