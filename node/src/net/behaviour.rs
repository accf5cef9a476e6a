//! The protocols of a node and how they are set up.

use std::error::Error;

use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::identity::Keypair;
use libp2p::request_response::{self, ProtocolSupport};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    StreamProtocol, Swarm, SwarmBuilder, connection_limits, dcutr, identify, mdns, noise, ping, relay, tcp,
    upnp, yamux,
};
use safelight_proto::id::LibraryId;

use super::codec::FrameCodec;
use super::gate::{Door, Gate, Members};
use super::limits;

const REQUEST_PROTOCOL: StreamProtocol = StreamProtocol::new("/safelight/request/1");
const JOIN_PROTOCOL: StreamProtocol = StreamProtocol::new("/safelight/join/1");
/// Shard streams: raw bytes once the accepting side said yes (see [`super::stream`]).
pub(super) const SHARD_PROTOCOL: StreamProtocol = StreamProtocol::new("/safelight/shard/1");
const GOSSIP_PREFIX: &str = "/safelight/gossip";
const IDENTIFY_VERSION: &str = "/safelight/1";

/// What everyone meets, and behind the gate what members meet.
///
/// The order matters: what may deny a connection comes before what remembers it.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub limits: connection_limits::Behaviour,
    pub door: Door,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub join: request_response::Behaviour<FrameCodec>,
    pub mdns: Toggle<mdns::tokio::Behaviour>,
    pub upnp: Toggle<upnp::tokio::Behaviour>,
    pub relay_client: relay::client::Behaviour,
    pub relay: relay::Behaviour,
    pub gate: Gate<MemberProtocols>,
}

type Gossip = gossipsub::Behaviour<gossipsub::IdentityTransform, gossipsub::WhitelistSubscriptionFilter>;

/// What only members meet.
#[derive(NetworkBehaviour)]
pub(super) struct MemberProtocols {
    pub gossip: Gossip,
    pub requests: request_response::Behaviour<FrameCodec>,
    pub streams: libp2p_stream::Behaviour,
    pub hole_punching: dcutr::Behaviour,
}

/// The gossip topic of a library. The library's id is no secret.
pub(super) fn topic(library: LibraryId) -> IdentTopic {
    IdentTopic::new(format!("safelight/{library}"))
}

/// Which helpers on the local network are asked.
#[derive(Clone, Copy)]
pub(super) struct Find {
    pub mdns: bool,
    pub upnp: bool,
}

/// A swarm for this key, not listening yet.
pub(super) fn swarm(
    keypair: Keypair,
    library: LibraryId,
    members: Members,
    find: Find,
) -> Result<Swarm<Behaviour>, Box<dyn Error + Send + Sync>> {
    let multiplexer = || {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(limits::STREAMS_PER_CONNECTION);
        config
    };
    let quic = |mut config: libp2p::quic::Config| {
        config.max_concurrent_stream_limit = limits::STREAMS_PER_CONNECTION as u32;
        config
    };
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, multiplexer)?
        .with_quic_config(quic)
        .with_dns()?
        .with_relay_client(noise::Config::new, multiplexer)?
        .with_behaviour(|keypair, relay_client| behaviour(keypair, library, members, find, relay_client))
        .map_err(|error| error.to_string())?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(limits::STRANGER_IDLE)
                .with_max_negotiating_inbound_streams(limits::NEGOTIATING_STREAMS)
        })
        .build();
    Ok(swarm)
}

fn behaviour(
    keypair: &Keypair,
    library: LibraryId,
    members: Members,
    find: Find,
    relay_client: relay::client::Behaviour,
) -> Result<Behaviour, Box<dyn Error + Send + Sync>> {
    let limits = connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits::PENDING_INBOUND))
        .with_max_pending_outgoing(Some(limits::PENDING_OUTBOUND))
        .with_max_established_per_peer(Some(limits::CONNECTIONS_PER_PEER))
        .with_max_established(Some(limits::CONNECTIONS));
    let identify = identify::Config::new(IDENTIFY_VERSION.to_owned(), keypair.public())
        .with_agent_version(concat!("safelight/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_push_listen_addr_updates(true);
    let ping = ping::Config::new().with_interval(limits::PING_INTERVAL).with_timeout(limits::PING_TIMEOUT);
    let own = keypair.public().to_peer_id();
    let mdns = match find.mdns {
        true => Some(mdns::tokio::Behaviour::new(mdns::Config::default(), own)?),
        false => None,
    };
    let protocols = MemberProtocols {
        gossip: gossip(library)?,
        requests: frames(
            REQUEST_PROTOCOL,
            limits::MEMBER_FRAME,
            limits::REQUEST_STREAMS,
            limits::REQUEST_TIMEOUT,
        ),
        streams: libp2p_stream::Behaviour::new(),
        hole_punching: dcutr::Behaviour::new(own),
    };
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(limits),
        door: Door::new(members.clone()),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        join: frames(JOIN_PROTOCOL, limits::JOIN_FRAME, limits::JOIN_STREAMS, limits::STRANGER_LIFETIME),
        mdns: mdns.into(),
        upnp: find.upnp.then(upnp::tokio::Behaviour::default).into(),
        relay_client,
        relay: super::relay::server(own, members.clone()),
        gate: Gate::new(members, protocols),
    })
}

fn frames(
    protocol: StreamProtocol,
    bound: usize,
    streams: usize,
    timeout: std::time::Duration,
) -> request_response::Behaviour<FrameCodec> {
    let config = request_response::Config::default()
        .with_request_timeout(timeout)
        .with_max_concurrent_streams(streams);
    request_response::Behaviour::with_codec(FrameCodec { bound }, [(protocol, ProtocolSupport::Full)], config)
}

fn gossip(library: LibraryId) -> Result<Gossip, Box<dyn Error + Send + Sync>> {
    let topic = topic(library);
    let config = gossipsub::ConfigBuilder::default()
        .protocol_id_prefix(GOSSIP_PREFIX)
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| MessageId::new(blake3::hash(&message.data).as_bytes()))
        .max_transmit_size(limits::GOSSIP_TRANSMIT)
        .flood_publish(true)
        .build()?;
    let only_ours = gossipsub::WhitelistSubscriptionFilter([topic.hash()].into());
    let mut gossip = gossipsub::Behaviour::new_with_subscription_filter(
        MessageAuthenticity::Anonymous,
        config,
        only_ours,
    )?;
    gossip.subscribe(&topic)?;
    Ok(gossip)
}
