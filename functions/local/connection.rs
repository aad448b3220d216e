//! A connection of the HTTP server. It changes lanes: a long request is read, computed and answered
//! by threads of the [second](crate::lane), so that those of the first do not copy somebody's
//! megabytes while others wait for them. When its answer has been sent the connection comes back.
//!
//! Not guaranteed: that the first lane does nothing for a long request. It reads the head, what the
//! buffer takes together with that, and of a body whose length is not told the first bytes; and it
//! hears from the system that there is more to read.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use http::request::Parts;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::lane;
use crate::stop::Stop;
use crate::unread::Reader;

/// Most bytes that are read or written in one call of the system: on many systems a thread keeps
/// its processor until the last of them is copied, whoever else wants it.
pub(crate) const MOST_AT_ONCE: usize = 64 * 1024;

/// Where long requests go.
#[derive(Clone)]
pub(crate) struct Second {
    /// The second lane.
    pub(crate) lane: Handle,
    /// Whether a request takes little to compute, by its head; one with a long body is long in any
    /// case.
    pub(crate) is_short: fn(&Parts) -> bool,
}

/// Which lane a connection is in, and which it is to be in. Clones are of the same connection.
#[derive(Clone)]
pub(crate) struct WhichLane {
    second: Option<Second>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// It is to be in the second.
    is_long: AtomicBool,
    /// It is in the second: it follows what it is to be only when it is looked at the next time.
    is_in_second: AtomicBool,
    /// What is still to be sent is the rest of an answer.
    is_answered: AtomicBool,
}

impl WhichLane {
    /// Of a connection in the first lane, which can go to the second if there is one.
    pub(crate) fn first(second: Option<Second>) -> Self {
        Self { second, state: Arc::default() }
    }

    /// A request begins: returns in the lane that is right for it, which it tells by its head and
    /// by how many bytes of a body are to come.
    pub(crate) async fn begin(&self, head: &Parts, bytes: u64) {
        if let Some(Second { is_short, .. }) = &self.second {
            self.change(bytes > lane::LONG as u64 || !is_short(head)).await;
        }
    }

    /// So many bytes of a body have been read, which may be more than was to be expected: returns
    /// in the second lane if they are too many for the first.
    pub(crate) async fn has_read(&self, bytes: u64) {
        if self.second.is_some() && bytes > lane::LONG as u64 {
            self.change(true).await;
        }
    }

    /// The answer is there, and is to be sent.
    pub(crate) fn answered(&self) {
        self.state.is_answered.store(true, Ordering::Relaxed);
    }

    /// All that was to be sent has been.
    fn sent(&self) {
        if self.state.is_answered.swap(false, Ordering::Relaxed) {
            self.state.is_long.store(false, Ordering::Relaxed);
        }
    }

    async fn change(&self, is_long: bool) {
        self.state.is_long.store(is_long, Ordering::Relaxed);
        while self.is_elsewhere() {
            // The connection moves before this goes on.
            tokio::task::yield_now().await;
        }
    }

    /// Whether the connection is in the lane that it is not to be in.
    fn is_elsewhere(&self) -> bool {
        let State { is_long, is_in_second, .. } = &*self.state;
        is_long.load(Ordering::Relaxed) != is_in_second.load(Ordering::Relaxed)
    }
}

/// What a connection is read from and written to; it tells when all has been sent.
pub(crate) struct Stream {
    stream: TcpStream,
    lane: WhichLane,
    reader: Reader,
}

impl Stream {
    /// The stream of the connection that is in this lane.
    pub(crate) fn of(stream: TcpStream, lane: WhichLane, reader: Reader) -> Self {
        Self { stream, lane, reader }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let some = &bytes[..bytes.len().min(MOST_AT_ONCE)];
        let written = Pin::new(&mut self.stream).poll_write(context, some);
        self.reader.judge(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let (mut count, mut bytes) = (0, 0);
        while let Some(part) = parts.get(count).filter(|part| bytes + part.len() <= MOST_AT_ONCE) {
            (count, bytes) = (count + 1, bytes + part.len());
        }
        match parts.get(count) {
            // What was left out has to go alone.
            Some(long) if bytes == 0 => self.poll_write(context, long),
            _ => {
                let stream = Pin::new(&mut self.stream);
                let written = stream.poll_write_vectored(context, &parts[..count]);
                self.reader.judge(context, written)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Asked for when nothing is left in any buffer of this process.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.lane.sent();
        self.reader.has_read();
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// What serves a connection.
pub(crate) trait Serving: Future + Send + 'static {
    /// Closes it once the request that it has, if any, has been answered.
    fn end(self: Pin<&mut Self>);
}

/// Serves a connection until it is over.
pub(crate) async fn serve<S: Serving>(serving: S, lane: WhichLane, stop: Stop) {
    let second = lane.second.clone();
    let connection = Connection { serving: Box::pin(serving), lane, stop, is_ending: false };
    let mut here = connection.stay(false).await;
    while let (Some(connection), Some(second)) = (here, &second) {
        let Some(Some(back)) = lane::run(&second.lane, connection.stay(true)).await else { return };
        here = back.stay(false).await;
    }
}

struct Connection<S> {
    serving: Pin<Box<S>>,
    lane: WhichLane,
    stop: Stop,
    is_ending: bool,
}

impl<S: Serving> Connection<S> {
    /// Serves it where this is called, until it is to be elsewhere; `None` when it is over.
    async fn stay(mut self, in_second: bool) -> Option<Self> {
        self.lane.state.is_in_second.store(in_second, Ordering::Relaxed);
        loop {
            let Self { serving, lane, stop, is_ending } = &mut self;
            let changes = poll_fn(|context| match serving.as_mut().poll(context) {
                // One that breaks is its client's affair.
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending if lane.is_elsewhere() => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            });
            let goes_on = tokio::select! {
                goes_on = changes => goes_on,
                () = stop.asked(), if !*is_ending => {
                    *is_ending = true;
                    serving.as_mut().end();
                    continue;
                }
            };
            return goes_on.then_some(self);
        }
    }
}
