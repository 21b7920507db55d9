//! Connections: as many as there is room for, each for as long as something moves on it, in clear or with TLS.
//!
//! Whoever connects and says nothing, stops in the middle, or sends a request byte by byte, makes room again: by silence
//! ([`QUIET_S`]), by a handshake that does not end ([`HANDSHAKE_WITHIN_S`]), by a request that does not ([`REQUEST_WITHIN_S`]).

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
use tokio_rustls::{Accept, server::TlsStream};

use crate::tls::Tls;

/// The most connections at once; beyond, callers wait to be let in.
const MAX_CONNECTIONS: usize = 1024;

/// How long a connection may be quiet, in both directions: longer than a request is worked on.
const QUIET_S: u64 = 75;

/// How long a TLS handshake may take.
const HANDSHAKE_WITHIN_S: u64 = 15;

/// How long a request may take to arrive, its head and body together, from its first byte on.
const REQUEST_WITHIN_S: u64 = 30;

/// Files that the node needs beside its connections.
const OTHER_FILES: u64 = 256;

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) quiet: Duration,
    pub(crate) handshake: Duration,
    pub(crate) request: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self { quiet: s(QUIET_S), handshake: s(HANDSHAKE_WITHIN_S), request: s(REQUEST_WITHIN_S) }
    }
}

/// Lets in as many connections as there is room for.
pub(crate) struct Listener {
    inner: TcpListener,
    places: Arc<Semaphore>,
    patience: Patience,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    /// Takes connections from `inner`: as many as the limit on open files leaves room for; with TLS, if there is a certificate.
    pub(crate) fn new(inner: TcpListener, tls: Option<Arc<Tls>>) -> Self {
        let room = usize::try_from(open_files().saturating_sub(OTHER_FILES)).unwrap_or(MAX_CONNECTIONS);
        Self { tls, ..Self::with(inner, room.clamp(16, MAX_CONNECTIONS), Patience::default()) }
    }

    /// The same in clear, for so many, with so much patience.
    pub(crate) fn with(inner: TcpListener, places: usize, patience: Patience) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(places)), patience, tls: None }
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
        // The handshake is the connection's own: nobody waits for that of another.
        let (stream, first) = match &self.tls {
            Some(tls) => (Stream::Begun(Box::new(tls.acceptor().accept(stream))), self.patience.handshake),
            None => (Stream::Plain(stream), self.patience.quiet),
        };
        let until = Box::pin(tokio::time::sleep(first));
        (Connection { stream, patience: self.patience, until, request_until: None, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// What bytes go over.
enum Stream {
    Plain(TcpStream),
    /// The handshake is under way.
    Begun(Box<Accept<TcpStream>>),
    Secure(Box<TlsStream<TcpStream>>),
    /// The handshake failed.
    Failed,
}

impl Stream {
    /// Ready when bytes of a request can go over it.
    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self::Begun(accept) = self else {
            let is_open = !matches!(self, Self::Failed);
            return Poll::Ready(if is_open { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) });
        };
        let outcome = ready!(Pin::new(accept.as_mut()).poll(cx));
        let (stream, told) = match outcome {
            Ok(stream) => (Self::Secure(Box::new(stream)), Ok(())),
            Err(error) => (Self::Failed, Err(error)),
        };
        *self = stream;
        Poll::Ready(told)
    }
}

/// Does something with whatever bytes go over.
macro_rules! over {
    ($stream:expr, $inner:ident => $do:expr) => {
        match $stream {
            Stream::Plain($inner) => {
                let $inner = Pin::new($inner);
                $do
            }
            Stream::Secure($inner) => {
                let $inner = Pin::new($inner.as_mut());
                $do
            }
            Stream::Begun(_) | Stream::Failed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    };
}

/// A connection that ends when nothing has moved on it for a while, or a request does not end.
pub(crate) struct Connection {
    stream: Stream,
    patience: Patience,
    until: Pin<Box<Sleep>>,
    /// By when the request that began must be here; none between requests.
    request_until: Option<Instant>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// The handshake first, if there is one: it has its own time, which nothing that moves lengthens.
    fn open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let was_begun = matches!(self.stream, Stream::Begun(_));
        let opened = self.stream.poll_open(cx);
        if opened.is_pending() {
            ready!(self.until.as_mut().poll(cx));
            self.stream = Stream::Failed;
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        if was_begun {
            let until = Instant::now() + self.patience.quiet;
            self.until.as_mut().reset(until);
        }
        opened
    }

    /// Something moved, or it may go on waiting; else it has been quiet for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            let until = Instant::now() + self.patience.quiet;
            self.until.as_mut().reset(until);
            return moved;
        }
        ready!(self.until.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.open(cx))?;
        let before = buf.filled().len();
        let moved = over!(&mut self.stream, stream => stream.poll_read(cx, buf));
        if buf.filled().len() > before {
            let now = Instant::now();
            let until = now + self.patience.request;
            // Who drips a request byte by byte is never quiet, and is not waited for either.
            if *self.request_until.get_or_insert(until) < now {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        self.watch(cx, moved)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.open(cx))?;
        // An answer: the request before it is here.
        self.request_until = None;
        let moved = over!(&mut self.stream, stream => stream.poll_write(cx, bytes));
        self.watch(cx, moved)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.stream, Stream::Begun(_) | Stream::Failed) {
            return Poll::Ready(Ok(()));
        }
        over!(&mut self.stream, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.stream, Stream::Begun(_) | Stream::Failed) {
            return Poll::Ready(Ok(()));
        }
        // Who does not say goodbye is not waited for.
        let ended = over!(&mut self.stream, stream => stream.poll_shutdown(cx));
        self.watch(cx, ended)
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

    use super::{Listener, Patience};

    const SOON: Duration = Duration::from_millis(50);
    const LATE: Duration = Duration::from_secs(60);

    /// Without the guard the second would wait for ever: the one place is taken by somebody who says nothing.
    #[tokio::test]
    async fn who_says_nothing_makes_room_for_who_does() {
        let inner = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = inner.local_addr().expect("it is bound");
        let patience = Patience { quiet: SOON, handshake: LATE, request: LATE };
        let listener = Listener::with(inner, 1, patience);
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

    /// Without the guard it would go on for ever: something moves all the time.
    #[tokio::test]
    async fn who_drips_a_request_is_not_waited_for() {
        let inner = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = inner.local_addr().expect("it is bound");
        let listener = Listener::with(inner, 1, Patience { quiet: LATE, handshake: LATE, request: SOON });
        let serving =
            tokio::spawn(axum::serve(listener, Router::new().route("/", get(|| async { "here" }))).into_future());
        let (mut from, mut to) = TcpStream::connect(address).await.expect("the system takes it").into_split();
        to.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: ").await.expect("sent");
        let dripping = tokio::spawn(async move {
            // Until it is cut off.
            while to.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(20), from.read_to_end(&mut answer));
        // Whether it is told so or just cut off: it ends.
        let _ = read.await.expect("it ends");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
        dripping.await.expect("it was cut off");
        // A connection that asks several times, each in time, is not cut off by the sum of them.
        let mut patient = TcpStream::connect(address).await.expect("the system takes it");
        for _ in 0..4 {
            patient.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
            let mut answer = [0; 512];
            let read = patient.read(&mut answer).await.expect("readable");
            assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{:?}", &answer[..read]);
            tokio::time::sleep(SOON / 2).await;
        }
        serving.abort();
    }
}
