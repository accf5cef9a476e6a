//! Shard streams: raw bytes between members, many beside each other.
//!
//! libp2p-stream drops an inbound stream when the one before it was not taken yet, so several
//! opened at once lose some. Therefore the accepting side says one byte first ([`ADMITTED`] or
//! [`BUSY`]), and the opening side tries again when it hears anything else.
//!
//! Rules for users (rust-libp2p #5410, a yamux stall): one direction at a time on each stream, read
//! while writing where both are needed, and put [`Progress`] around every transfer.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::PeerId;
use libp2p::swarm::Stream;
use libp2p_stream::{Control, IncomingStreams, OpenStreamError};
use safelight_proto::id::NodeId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, Sleep};
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};

use super::address::{node_id, peer_id};
use super::behaviour::SHARD_PROTOCOL;
use super::event::NetEvent;
use super::handle::Views;
use super::limits;

const ADMITTED: u8 = 1;
const BUSY: u8 = 2;
/// How often "I do not speak this protocol" is asked again: about a second in all.
const REFUSALS: u32 = 5;

/// Why no shard stream could be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// This node does not take the other for a member.
    #[error("the node is no member")]
    NotMember,
    /// There is no connection.
    #[error("the node is not connected")]
    NotConnected,
    /// The other node does not take this one for a member, or speaks another version.
    #[error("the node does not accept shard streams from here")]
    NotAccepted,
    /// The other node has too many streams open already.
    #[error("the node is busy with other transfers")]
    Busy,
    /// It took longer than [`limits::STREAM_OPENING`].
    #[error("the node did not answer in time")]
    Timeout,
    /// The connection broke.
    #[error("opening a stream: {0}")]
    Io(#[from] io::Error),
}

/// A stream of raw bytes to or from a member.
#[derive(Debug)]
pub struct ShardStream {
    inner: Compat<Stream>,
    /// The member's share of streams here; none for streams opened by this node.
    _place: Option<OwnedSemaphorePermit>,
}

impl ShardStream {
    /// Ends the stream with an error when no byte moves for [`limits::PROGRESS_TIMEOUT`].
    pub fn with_progress_timeout(self) -> Progress<Self> {
        Progress::new(self, limits::PROGRESS_TIMEOUT)
    }
}

impl AsyncRead for ShardStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for ShardStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A stream that fails with [`io::ErrorKind::TimedOut`] when someone waits on it and no byte moved
/// in either direction for the timeout. Time in which nobody waits does not count.
pub struct Progress<S> {
    inner: S,
    timeout: Duration,
    moved: Instant,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Progress<S> {
    /// Watches `inner`.
    pub fn new(inner: S, timeout: Duration) -> Self {
        Self { inner, timeout, moved: Instant::now(), reading: None, writing: None }
    }

    /// Passes a result on, or waits for it no longer than the timeout.
    fn watch<T>(
        polled: Poll<io::Result<T>>,
        waiting: &mut Option<Pin<Box<Sleep>>>,
        moved: &mut Instant,
        timeout: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            *waiting = None;
            *moved = Instant::now();
            return polled;
        }
        let sleep = waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        while sleep.as_mut().poll(cx).is_ready() {
            // The other direction may have moved since this one began to wait.
            let until = *moved + timeout;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the transfer stands still",
                )));
            }
            sleep.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        Self::watch(polled, &mut this.reading, &mut this.moved, this.timeout, cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        Self::watch(polled, &mut this.writing, &mut this.moved, this.timeout, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        Self::watch(polled, &mut this.writing, &mut this.moved, this.timeout, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_shutdown(cx);
        Self::watch(polled, &mut this.writing, &mut this.moved, this.timeout, cx)
    }
}

/// Opens shard streams.
#[derive(Clone)]
pub(super) struct Streams(pub Control);

impl Streams {
    /// Opens a stream and waits until the other side admitted it. The caller bounds the time.
    pub async fn open(&self, node: NodeId, views: &Views) -> Result<ShardStream, OpenError> {
        let peer = peer_id(&node).map_err(|_| OpenError::NotMember)?;
        let mut pause = Duration::from_millis(20);
        let mut refusals = 0;
        loop {
            if !views.members.borrow().contains(&node) {
                return Err(OpenError::NotMember);
            }
            // Without a connection libp2p-stream would dial, and wait for good.
            if !views.connected.borrow().get(&node).is_some_and(|connection| connection.member) {
                return Err(OpenError::NotConnected);
            }
            match self.0.clone().open_stream(peer, SHARD_PROTOCOL).await {
                Ok(mut stream) => match answer(&mut stream).await {
                    Some(ADMITTED) => return Ok(ShardStream { inner: stream.compat(), _place: None }),
                    Some(_) => return Err(OpenError::Busy),
                    None => {}
                },
                // It may just be learning that this node was admitted, and replacing a connection.
                Err(OpenStreamError::UnsupportedProtocol(_)) if refusals < REFUSALS => refusals += 1,
                Err(OpenStreamError::UnsupportedProtocol(_)) => return Err(OpenError::NotAccepted),
                Err(OpenStreamError::Io(error)) => return Err(error.into()),
                Err(other) => return Err(io::Error::other(other).into()),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}

/// The other side's first byte; none when the stream was dropped.
async fn answer(stream: &mut Stream) -> Option<u8> {
    let mut byte = [0];
    stream.read_exact(&mut byte).await.ok().map(|()| byte[0])
}

/// Takes inbound streams the moment they come, and admits them beside each other.
pub(super) async fn accept(
    mut incoming: IncomingStreams,
    members: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    events: mpsc::Sender<NetEvent>,
) {
    let mut places: HashMap<NodeId, Arc<Semaphore>> = HashMap::new();
    while let Some((peer, stream)) = incoming.next().await {
        let Some(node) = member(&peer, &members) else { continue };
        places.retain(|node, places| {
            places.available_permits() < limits::SHARD_STREAMS_PER_PEER || members.borrow().contains(node)
        });
        let places = places
            .entry(node)
            .or_insert_with(|| Arc::new(Semaphore::new(limits::SHARD_STREAMS_PER_PEER)))
            .clone();
        let place = places.try_acquire_owned().ok();
        tokio::spawn(admit(node, stream, place, events.clone()));
    }
}

fn member(peer: &PeerId, members: &watch::Receiver<Arc<BTreeSet<NodeId>>>) -> Option<NodeId> {
    // The handlers of strangers do not know the protocol; a member may be removed meanwhile.
    let node = node_id(peer).ok()?;
    members.borrow().contains(&node).then_some(node)
}

/// Hands the stream to the shell when it has room, and tells the other side. The number of these
/// tasks is bounded by [`limits::STREAMS_PER_CONNECTION`].
async fn admit(
    node: NodeId,
    mut stream: Stream,
    place: Option<OwnedSemaphorePermit>,
    events: mpsc::Sender<NetEvent>,
) {
    let room = match place {
        Some(place) => match tokio::time::timeout(limits::STREAM_ADMISSION, events.reserve()).await {
            Ok(Ok(room)) => Some((place, room)),
            _ => None,
        },
        None => None,
    };
    let byte = if room.is_some() { ADMITTED } else { BUSY };
    let told = tokio::time::timeout(limits::STREAM_ADMISSION, async {
        stream.write_all(&[byte]).await?;
        stream.flush().await
    });
    match (told.await, room) {
        (Ok(Ok(())), Some((place, room))) => {
            let stream = ShardStream { inner: stream.compat(), _place: Some(place) };
            room.send(NetEvent::Stream { from: node, stream });
        }
        (Ok(Ok(())), None) => {
            tracing::debug!(node = %node.short(), "too many shard streams, one is refused");
            let _ = tokio::time::timeout(limits::STREAM_ADMISSION, stream.close()).await;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_transfer_that_stands_still_is_ended() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Progress::new(near, Duration::from_secs(30));
        far.write_all(b"ab").await.expect("room");
        assert_eq!(near.read_u16().await.expect("two bytes"), u16::from_be_bytes(*b"ab"));
        let before = Instant::now();
        let error = near.read_u8().await.expect_err("nothing more comes");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_secs(), 30);
        let error = near.write_all(&[0; 17]).await.expect_err("16 bytes of room");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn one_direction_keeps_the_other_alive() {
        let (near, mut far) = tokio::io::duplex(16);
        let (mut read, mut write) = tokio::io::split(Progress::new(near, Duration::from_secs(30)));
        let writer = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                write.write_u8(1).await.expect("room");
                far.read_u8().await.expect("a byte");
            }
            far.write_u8(2).await.expect("room");
        };
        let (byte, ()) = tokio::join!(read.read_u8(), writer);
        assert_eq!(byte.expect("200 s later"), 2);
    }
}
