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
}

impl Listener {
    /// Takes connections from `inner`: as many as the limit on open files leaves room for.
    pub(crate) fn new(inner: TcpListener) -> Self {
        let room = usize::try_from(open_files().saturating_sub(OTHER_FILES)).unwrap_or(MAX_CONNECTIONS);
        Self { inner, places: Arc::new(Semaphore::new(room.clamp(16, MAX_CONNECTIONS))) }
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
        let quiet = Box::pin(tokio::time::sleep(Duration::from_secs(QUIET_S)));
        (Connection { stream, quiet, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that ends when nothing has moved on it for a while.
pub(crate) struct Connection {
    stream: TcpStream,
    quiet: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Something moved, or it may go on waiting; else it has been quiet for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.quiet.as_mut().reset(Instant::now() + Duration::from_secs(QUIET_S));
            return moved;
        }
        ready!(self.quiet.as_mut().poll(cx));
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
