//! Bandwidth limits: whoever moves bytes asks first how long to wait.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes that may pass in one go after a pause, as time.
const BURST: Duration = Duration::from_millis(250);

/// Bytes that came without asking are made up for in pieces of this size.
const PIECE: u64 = 256 * 1024;

/// Both directions.
#[derive(Debug, Default)]
pub struct Pace {
    /// What comes in.
    pub down: Bucket,
    /// What goes out.
    pub up: Bucket,
}

/// A rate, shared by all who move bytes in one direction.
#[derive(Debug, Default)]
pub struct Bucket(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    bytes_a_second: Option<u64>,
    /// When all bytes that were let through so far have had their time.
    paid: Option<Instant>,
}

impl Bucket {
    /// Sets the rate; nothing for no limit.
    pub fn set(&self, bytes_a_second: Option<u64>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { bytes_a_second, paid: None };
    }

    /// Waits until bytes that have come already have had their time, piece by piece, so that others pass in between.
    pub async fn came(&self, mut bytes: u64) {
        while bytes > 0 {
            let piece = bytes.min(PIECE);
            bytes -= piece;
            if let Some(until) = self.pass(piece) {
                sleep_until(until).await;
            }
        }
    }

    /// Takes note of bytes that pass, and says until when to wait before the next.
    fn pass(&self, bytes: u64) -> Option<Instant> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = state.bytes_a_second?;
        let now = Instant::now();
        let from = state.paid.map_or(now, |paid| paid.max(now.checked_sub(BURST).unwrap_or(now)));
        let until = from + Duration::from_secs_f64(bytes as f64 / rate as f64);
        state.paid = Some(until);
        (until > now).then_some(until)
    }
}

/// A reader or writer that keeps the pace of a bucket.
pub struct Paced<'a, R> {
    inner: R,
    bucket: &'a Bucket,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<'a, R> Paced<'a, R> {
    /// `inner`, no faster than `bucket` allows.
    pub fn new(inner: R, bucket: &'a Bucket) -> Self {
        Self { inner, bucket, pause: None }
    }
}

impl<R> Paced<'_, R> {
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    fn pass(&mut self, bytes: usize) {
        self.pause = self.bucket.pass(bytes as u64).map(|until| Box::pin(sleep_until(until)));
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Paced<'_, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_pause(cx));
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.pass(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Paced<'_, W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_pause(cx));
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.pass(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn bytes_that_came_are_made_up_for_and_nobody_waits_for_all_of_them() {
        let bucket = Bucket::default();
        let begun = Instant::now();
        bucket.came(100_000_000).await;
        bucket.set(Some(2_000_000));
        let waiting = bucket.came(1_200_000);
        tokio::pin!(waiting);
        tokio::select! {
            () = &mut waiting => panic!("half a second's bytes and more"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        let until = bucket.pass(1).expect("there is a limit");
        assert!(until < Instant::now() + Duration::from_millis(200), "one piece ahead at most");
        waiting.await;
        assert!(begun.elapsed() >= Duration::from_millis(340), "less the burst");
    }

    #[tokio::test]
    async fn bytes_take_their_time() {
        let bucket = Bucket::default();
        bucket.set(Some(20_000));
        let begun = Instant::now();
        for _ in 0..2 {
            Paced::new(&[0u8; 5_000][..], &bucket).read_to_end(&mut Vec::new()).await.expect("memory reads");
        }
        assert!(begun.elapsed() >= Duration::from_millis(240), "half a second's bytes, less the burst");
    }
}
