//! Servers on loopback that speak by hand, and warrants for what is asked of them.

mod answers;
mod guards;
mod posts;
mod reports;
mod secure;
mod urls;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, Name};
use steward_permit::{Action, ActionName, Actor, Issuer, Resource, ResourceKind, Ruling, Tier, Warrant};
use steward_seal::Digest;

use crate::{AllowList, FetchError, Fetched, Fetcher, client::Terms};

/// What a server does after it has answered.
#[derive(Clone, Copy)]
enum Then {
    /// Closes.
    Close,
    /// Says no more, and waits for the other side to go.
    Wait,
    /// Says this again and again, until the other side goes.
    Repeat(&'static [u8]),
}

/// A server on loopback that answers whatever is asked with the same bytes.
struct Server {
    address: SocketAddr,
    asked: Receiver<String>,
}

impl Server {
    fn answering(answer: impl Into<Vec<u8>>, then: Then) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, asked) = channel();
        let answer = answer.into();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                converse(&mut stream.unwrap(), &sender, &answer, then);
            }
        });
        Self { address, asked }
    }

    /// A resource at this server, by its literal address.
    fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that was asked so far.
    fn asked(&self) -> Vec<String> {
        self.asked.try_iter().collect()
    }
}

/// Reads one request, tells of it, and answers. The other side may go at any time.
fn converse(stream: &mut (impl Read + Write), asked: &Sender<String>, answer: &[u8], then: Then) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return,
        }
    }
    let _ = asked.send(String::from_utf8(request).unwrap());
    if stream.write_all(answer).and_then(|()| stream.flush()).is_err() {
        return;
    }
    match then {
        Then::Close => {}
        Then::Wait => while stream.read(&mut [0; 64]).is_ok_and(|n| n > 0) {},
        Then::Repeat(bytes) => while stream.write_all(bytes).is_ok() {},
    }
}

/// A listener that nobody may connect to.
struct Trap(TcpListener);

impl Trap {
    fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// A connection to loopback is in the queue when connecting returns, so that there is nothing to wait for.
    fn is_untouched(&self) -> bool {
        self.0.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

fn allow(entries: &[&str]) -> AllowList {
    AllowList::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// One that fetches from exactly the host of the resource.
fn fetcher(resource: &str, terms: Terms) -> Fetcher {
    let host = resource.split('/').take(3).collect::<Vec<_>>().join("/");
    Fetcher::on_terms(allow(&[&host]), terms)
}

async fn get(resource: &str) -> Result<Fetched, FetchError> {
    ask(&fetcher(resource, Terms::default()), resource).await
}

/// For what is known not to come.
async fn get_soon(resource: &str) -> Result<Fetched, FetchError> {
    ask(&fetcher(resource, Terms { whole: Duration::from_millis(300), ..Terms::default() }), resource).await
}

async fn ask(fetcher: &Fetcher, resource: &str) -> Result<Fetched, FetchError> {
    let action = action("http.get", ResourceKind::Host, resource);
    fetcher.get(warrant(&action), &action).await
}

fn action(name: &str, kind: ResourceKind, id: &str) -> Action {
    Action::new(scribe().namespace().clone(), ActionName::parse(name).unwrap(), Resource::new(kind, id).unwrap())
}

fn scribe() -> Name {
    "scribe.acme.internal".parse().unwrap()
}

/// The warrant that the store would give for it.
fn warrant(action: &Action) -> Warrant {
    let ruling = Ruling {
        id: ActionId::new(Timestamp::from_unix_ms(0), &Counting),
        actor: Actor::Agent { name: scribe(), version: "1.0.0".to_owned(), tier: Tier::T2, via: None },
        key: None,
        action: action.clone(),
        circumstances: None,
        policies: Vec::new(),
        policy_version: Digest::of(b"policy"),
        at: Timestamp::from_unix_ms(0),
    };
    Issuer::for_policy_engine().permit(ruling).spend(1)
}

/// Dice that never fall the same way twice.
struct Counting;

impl Dice for Counting {
    fn fill(&self, bytes: &mut [u8]) {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let next = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        for (to, from) in bytes.iter_mut().rev().zip(next.iter().rev()) {
            *to = *from;
        }
    }
}
