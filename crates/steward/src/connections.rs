//! Connections: as many as there is room for, each for as long as something moves on it.

use std::{
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// The most connections at once; beyond, callers wait to be let in.
const MAX_CONNECTIONS: usize = 1024;

/// How long a connection may be quiet, in both directions: longer than a request is worked on.
const QUIET_S: u64 = 75;

/// Files that the node needs beside its connections.
const OTHER_FILES: u64 = 256;

/// Lets in as many connections as there is room for.
pub(crate) struct Listener {
    inner: TcpListener,
    places: Arc<Semaphore>,
    quiet: Duration,
}

impl Listener {
    /// Takes connections from `inner`: as many as the limit on open files leaves room for.
    pub(crate) fn new(inner: TcpListener) -> Self {
        let room = usize::try_from(open_files().saturating_sub(OTHER_FILES)).unwrap_or(MAX_CONNECTIONS);
        Self::with(inner, room.clamp(16, MAX_CONNECTIONS), Duration::from_secs(QUIET_S))
    }

    /// The same, for so many, each for so long.
    pub(crate) fn with(inner: TcpListener, places: usize, quiet: Duration) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(places)), quiet }
    }
}

/// Raises the limit on open files as far as it goes, and tells it.
fn open_files() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current }.unwrap_or(u64::MAX)
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the places are never closed");
        // axum's own listener takes care of errors of accepting: it waits, and tries again.
        let (stream, address) = axum::serve::Listener::accept(&mut self.inner).await;
        let until = Box::pin(tokio::time::sleep(self.quiet));
        (Connection { stream, quiet: self.quiet, until, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that ends when nothing has moved on it for a while.
pub(crate) struct Connection {
    stream: TcpStream,
    quiet: Duration,
    until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Something moved, or it may go on waiting; else it has been quiet for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            let until = Instant::now() + self.quiet;
            self.until.as_mut().reset(until);
            return moved;
        }
        ready!(self.until.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch(cx, moved)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{Router, routing::get};
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
    };

    use super::Listener;

    /// Without the guard the second would wait for ever: the one place is taken by somebody who says nothing.
    #[tokio::test]
    async fn who_says_nothing_makes_room_for_who_does() {
        let inner = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = inner.local_addr().expect("it is bound");
        let listener = Listener::with(inner, 1, Duration::from_millis(50));
        let serving =
            tokio::spawn(axum::serve(listener, Router::new().route("/", get(|| async { "here" }))).into_future());
        let mut silent = TcpStream::connect(address).await.expect("the system takes it");
        let mut other = TcpStream::connect(address).await.expect("the system takes it");
        other.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(20), other.read_to_string(&mut answer));
        read.await.expect("it gets its turn").expect("readable");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
        let mut nothing = Vec::new();
        silent.read_to_end(&mut nothing).await.expect("it was ended");
        assert!(nothing.is_empty());
        serving.abort();
    }
}
