//! Frames: a big-endian `u32` length, then so many bytes.

use std::io;

use bytes::Bytes;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::StreamProtocol;
use libp2p::request_response;

/// The other side announced a frame above the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes, at most {bound} are taken")]
pub(super) struct TooLong {
    pub length: usize,
    pub bound: usize,
}

/// What came: a frame, or the announcement of one that is too long. The latter is a value and not
/// an I/O error because libp2p keeps read errors of requests to itself, and we cut the peer off.
pub(super) type Incoming = Result<Bytes, TooLong>;

/// Reads and writes frames of at most `bound` bytes.
#[derive(Debug, Clone)]
pub(super) struct FrameCodec {
    pub bound: usize,
}

impl FrameCodec {
    async fn read(&self, io: &mut (impl AsyncRead + Unpin + Send)) -> io::Result<Incoming> {
        let mut prefix = [0; 4];
        io.read_exact(&mut prefix).await?;
        let length = u32::from_be_bytes(prefix) as usize;
        if length > self.bound {
            return Ok(Err(TooLong { length, bound: self.bound }));
        }
        // Memory grows with the bytes that really come, not with what was announced.
        let mut bytes = Vec::with_capacity(length.min(16 << 10));
        io.take(length as u64).read_to_end(&mut bytes).await?;
        if bytes.len() < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Ok(bytes.into()))
    }

    async fn write(&self, io: &mut (impl AsyncWrite + Unpin + Send), frame: Incoming) -> io::Result<()> {
        let frame = frame.map_err(io::Error::other)?;
        if frame.len() > self.bound {
            return Err(io::Error::other(TooLong { length: frame.len(), bound: self.bound }));
        }
        io.write_all(&(frame.len() as u32).to_be_bytes()).await?;
        io.write_all(&frame).await?;
        io.flush().await
    }
}

impl request_response::Codec for FrameCodec {
    type Protocol = StreamProtocol;
    type Request = Incoming;
    type Response = Incoming;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Incoming>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Incoming>
    where
        T: AsyncRead + Unpin + Send,
    {
        self.read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, frame: Incoming) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write(io, frame).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, frame: Incoming) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        self.write(io, frame).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::io::Cursor;

    const CODEC: FrameCodec = FrameCodec { bound: 1000 };

    #[tokio::test]
    async fn frames_there_and_back_up_to_the_bound() {
        for length in [0, 1, 999, 1000] {
            let frame = Bytes::from(vec![7; length]);
            let mut wire = Cursor::new(Vec::new());
            CODEC.write(&mut wire, Ok(frame.clone())).await.expect("written");
            wire.set_position(0);
            assert_eq!(CODEC.read(&mut wire).await.expect("read"), Ok(frame));
        }
        let mut wire = Cursor::new(Vec::new());
        assert!(CODEC.write(&mut wire, Ok(Bytes::from(vec![7; 1001]))).await.is_err());
    }

    #[tokio::test]
    async fn too_long_is_a_value_and_cut_short_an_error() {
        let mut wire = Cursor::new(1001u32.to_be_bytes().to_vec());
        assert_eq!(CODEC.read(&mut wire).await.expect("read"), Err(TooLong { length: 1001, bound: 1000 }));
        let mut wire = Cursor::new([&5u32.to_be_bytes()[..], &[1, 2, 3]].concat());
        assert!(CODEC.read(&mut wire).await.is_err());
        assert!(CODEC.read(&mut Cursor::new(vec![0, 0])).await.is_err());
    }
}
