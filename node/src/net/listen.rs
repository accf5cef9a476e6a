//! Where a node listens: QUIC and TCP on one port number.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use futures::StreamExt;
use libp2p::core::transport::ListenerId;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm};

use super::address::{ip_of, multiaddrs};
use super::behaviour::Behaviour;
use super::limits::{LISTEN_TIMEOUT, V6_PATIENCE};

/// The port where nothing else is said.
const DEFAULT_PORT: u16 = 3210;
/// How often another free port is tried when QUIC finds the one that TCP got taken.
const PORT_TRIES: u32 = 32;

/// Why an address is not listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program (or node) has the port.
    #[error("the port of {address} is in use by another program")]
    PortInUse {
        /// The address as asked for.
        address: SocketAddr,
    },
    /// The machine does not have the address, or forbids its use.
    #[error("cannot listen on {address}: {source}")]
    Unusable {
        /// The address as asked for.
        address: SocketAddr,
        /// The operating system's word.
        source: io::Error,
    },
    /// Nothing to listen on.
    #[error("no address to listen on")]
    Nowhere,
}

/// All interfaces, IPv4 and IPv6, on the port where nothing else is said.
pub fn everywhere() -> Vec<SocketAddr> {
    vec![(Ipv4Addr::UNSPECIFIED, DEFAULT_PORT).into(), (Ipv6Addr::UNSPECIFIED, DEFAULT_PORT).into()]
}

/// Listens on every address, by TCP and QUIC, and returns the multiaddrs that came of it.
pub(super) async fn listen(
    swarm: &mut Swarm<Behaviour>,
    wanted: &[SocketAddr],
) -> Result<Vec<Multiaddr>, ListenError> {
    // All are probed before the first is taken: the probe of [::] claims IPv4 too, and would find our own listener there.
    let mut free = Vec::new();
    for address in wanted {
        match probe(*address) {
            Ok(with_port) => free.push((*address, with_port)),
            // A machine without IPv6 still listens everywhere it can.
            Err(ListenError::Unusable { .. }) if is_any_v6(address) && wanted.len() > 1 => {
                tracing::warn!(%address, "no IPv6 here, not listening on it");
            }
            Err(error) => return Err(error),
        }
    }
    let mut listeners = Vec::new();
    for (address, with_port) in free {
        for place in multiaddrs(with_port) {
            let id = swarm.listen_on(place).map_err(|error| refused(address, io::Error::other(error)))?;
            listeners.push((id, address));
        }
    }
    if listeners.is_empty() {
        return Err(ListenError::Nowhere);
    }
    let (_, first) = listeners[0];
    let alone = wanted.len() == 1;
    let mut places = Vec::new();
    let mut waiting = listeners;
    let needed = |address: &SocketAddr| alone || !is_any_v6(address);
    match tokio::time::timeout(LISTEN_TIMEOUT, settle(swarm, &mut waiting, &mut places, needed)).await {
        Ok(settled) => settled?,
        Err(_) => return Err(refused(first, io::ErrorKind::TimedOut.into())),
    }
    // Where no interface has IPv6 (most containers), [::] is listened on and never has an address to tell.
    match tokio::time::timeout(V6_PATIENCE, settle(swarm, &mut waiting, &mut places, |_| true)).await {
        Ok(settled) => settled?,
        Err(_) => tracing::debug!("no IPv6 address here"),
    }
    Ok(places)
}

/// Waits until each listener that is `needed` has an address. Nothing else happens on the swarm yet.
async fn settle(
    swarm: &mut Swarm<Behaviour>,
    waiting: &mut Vec<(ListenerId, SocketAddr)>,
    places: &mut Vec<Multiaddr>,
    needed: impl Fn(&SocketAddr) -> bool,
) -> Result<(), ListenError> {
    while waiting.iter().any(|(_, address)| needed(address)) {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                waiting.retain(|(id, _)| *id != listener_id);
                places.push(address);
            }
            SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. }
            | SwarmEvent::ListenerError { listener_id, error } => {
                if let Some((_, address)) = waiting.iter().find(|(id, _)| *id == listener_id) {
                    return Err(refused(*address, error));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The address with a port on which both TCP and UDP can be bound now.
///
/// libp2p binds TCP with SO_REUSEPORT, so that a second node on the same port would start without
/// an error and take half of the first one's connections. Binding without it first finds out.
fn probe(address: SocketAddr) -> Result<SocketAddr, ListenError> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let tcp = TcpListener::bind(address).map_err(|error| refused(address, error))?;
        let bound = tcp.local_addr().map_err(|error| refused(address, error))?;
        match UdpSocket::bind(bound) {
            Ok(_) => return Ok(bound),
            Err(error) if tries == 0 => return Err(refused(address, error)),
            Err(_) => {}
        }
    }
}

fn refused(address: SocketAddr, source: io::Error) -> ListenError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::PortInUse { address },
        _ => ListenError::Unusable { address, source },
    }
}

fn is_any_v6(address: &SocketAddr) -> bool {
    address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

/// Which of the places listened on others are told. What was asked for by its IP is told as it is;
/// of "all interfaces" those that mean something elsewhere, or loopback when there is no other.
pub(super) fn announced(places: &[Multiaddr], wanted: &[SocketAddr]) -> Vec<Multiaddr> {
    let asked: Vec<IpAddr> = wanted.iter().map(SocketAddr::ip).collect();
    let chosen = |keep: fn(IpAddr) -> bool| -> Vec<Multiaddr> {
        let tell = |ip: IpAddr| asked.contains(&ip) || keep(ip);
        places.iter().filter(|place| ip_of(place).is_some_and(tell)).cloned().collect()
    };
    let elsewhere = chosen(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    });
    if elsewhere.is_empty() { chosen(|ip| ip.is_loopback()) } else { elsewhere }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().expect("a multiaddr")).collect()
    }

    #[test]
    fn what_was_asked_for_is_announced_as_it_is() {
        let all = places(&["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.2/tcp/1", "/ip6/fe80::1/tcp/1"]);
        let any: SocketAddr = "0.0.0.0:1".parse().expect("an address");
        let loopback: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        assert_eq!(announced(&all, &[any]), all[1..2]);
        assert_eq!(announced(&all, &[any, loopback]), all[..2]);
        assert_eq!(announced(&all[..1], &[any]), all[..1]);
        assert_eq!(announced(&all[..1], &[loopback]), all[..1]);
    }

    #[test]
    fn a_taken_port_is_found_by_name() {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let taken = udp.local_addr().expect("its address");
        assert!(matches!(probe(taken), Err(ListenError::PortInUse { address }) if address == taken));
        let elsewhere: SocketAddr = "192.0.2.1:1".parse().expect("an address");
        assert!(matches!(probe(elsewhere), Err(ListenError::Unusable { .. })));
    }
}
