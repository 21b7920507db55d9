//! A ledger in memory, and a node that shows it: what the tests of this crate ask.

pub(crate) mod story;

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use steward_caller::Caller;
use steward_clock::{Clock, Dice, Timestamp};
use steward_ledger::{
    Edge, Hash, Leaf, Salt, TreeHead, kind, leaf_hash,
    proof::{ProveError, prove_consistency, prove_inclusion},
    tlog_proof::TlogProof,
};
use steward_seal::{SigningKey, note::NoteKey};
use steward_wire::{Consistency, InclusionProof, LedgerHead, VerifierKey};

use crate::{globals::Globals, session::Session};

const ORIGIN: &str = "acme.internal";

struct Fixed(u8);

impl Dice for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0);
    }
}

/// At most 256 entries (one tile), a second apart.
#[derive(Clone)]
pub(crate) struct Ledger {
    /// Kind and body.
    entries: Vec<(String, String)>,
    seed: u8,
}

impl Ledger {
    /// Entries that are all alike but for their number.
    pub(crate) fn of(size: usize) -> Self {
        Self::holding((0..size).map(|n| (kind::ACTION_INTENDED.to_owned(), format!(r#"{{"n":{n}}}"#))).collect())
    }

    /// Entries of these kinds, with these bodies.
    pub(crate) fn holding(entries: Vec<(String, String)>) -> Self {
        assert!(entries.len() <= 256);
        Self { entries, seed: 1 }
    }

    /// The same with another entry at `seq`.
    pub(crate) fn rewritten_at(mut self, seq: usize) -> Self {
        self.entries[seq].1 = r#"{"n":"rewritten"}"#.to_owned();
        self
    }

    /// The same with another key.
    pub(crate) fn signed_by(self, seed: u8) -> Self {
        Self { seed, ..self }
    }

    pub(crate) fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    pub(crate) fn key(&self) -> NoteKey {
        NoteKey::new(ORIGIN, self.signer().verifying_key()).unwrap()
    }

    pub(crate) fn head(&self) -> TreeHead {
        TreeHead { origin: ORIGIN.to_owned(), size: self.size(), root: self.root(self.entries.len()) }
    }

    pub(crate) fn note(&self) -> String {
        self.head().sign(&self.signer()).unwrap()
    }

    pub(crate) fn consistency(&self, from: u64, to: u64) -> Consistency {
        let hashes = prove_consistency(from, to, |tile| self.tile(tile.width)).unwrap();
        let root = |size| self.root(usize::try_from(size).unwrap()).to_base64();
        Consistency {
            from,
            from_root: root(from),
            to,
            to_root: root(to),
            hashes: hashes.iter().map(Hash::to_base64).collect(),
        }
    }

    pub(crate) fn prove(&self, seq: usize) -> InclusionProof {
        let index = seq as u64;
        let path = prove_inclusion(self.size(), index, |tile| self.tile(tile.width)).unwrap();
        InclusionProof {
            seq: index,
            proof: TlogProof { extra: Vec::new(), index, path, head: self.note() }.encode(),
            leaf: String::from_utf8(self.leaf(seq).encode()).unwrap(),
            salt: Some(hex::encode(salt(seq).0)),
            body: Some(self.entries[seq].1.clone()),
            vkey: self.key().to_string(),
        }
    }

    fn signer(&self) -> SigningKey {
        SigningKey::generate(&Fixed(self.seed))
    }

    fn leaf(&self, seq: usize) -> Leaf {
        let (kind, body) = &self.entries[seq];
        let first: Timestamp = "2026-11-20T20:14:27.123Z".parse().unwrap();
        let time = first.plus_ms(1000 * seq as u64);
        Leaf { time, kind: kind.clone(), body: salt(seq).mac(body.as_bytes()) }
    }

    fn root(&self, size: usize) -> Hash {
        let mut edge = Edge::new();
        (0..size).for_each(|seq| edge.append(leaf_hash(&self.leaf(seq).encode()), &mut Vec::new()));
        edge.root()
    }

    fn tile(&self, width: u16) -> Result<Vec<u8>, ProveError<std::io::Error>> {
        Ok((0..usize::from(width)).flat_map(|seq| leaf_hash(&self.leaf(seq).encode()).0).collect())
    }
}

fn salt(seq: usize) -> Salt {
    Salt([u8::try_from(seq % 256).unwrap(); 32])
}

/// A session of nobody, with a clock that stands.
pub(crate) fn session() -> Session {
    session_at(None)
}

/// The same, with a home.
pub(crate) fn session_at(home: Option<std::path::PathBuf>) -> Session {
    struct Stands;

    impl Clock for Stands {
        fn now(&self) -> Timestamp {
            Timestamp::MIN
        }
    }

    Session::new(Globals { home, ..Globals::default() }, Arc::new(Stands), Arc::new(Fixed(7)), "0.0.0".to_owned())
}

/// A node of which only the ledger can be seen. It shows what it is told to.
pub(crate) struct FakeNode {
    address: String,
    shown: Shown,
    server: tokio::task::JoinHandle<()>,
}

/// The ledger, and what was asked about it.
type Shown = Arc<Mutex<(Ledger, Vec<&'static str>)>>;

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeNode {
    pub(crate) async fn showing(ledger: Ledger) -> Self {
        let shown: Shown = Arc::new(Mutex::new((ledger, Vec::new())));
        let router = Router::new()
            .route("/v1/ledger/vkey", get(vkey))
            .route("/v1/ledger/head", get(head))
            .route("/v1/ledger/consistency", get(consistency))
            .with_state(shown.clone());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, shown, server }
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::new(&self.address, None).unwrap()
    }

    /// Shows another ledger from now on.
    pub(crate) fn show(&self, ledger: Ledger) {
        self.shown.lock().unwrap().0 = ledger;
        self.asked();
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.shown.lock().unwrap().1)
    }
}

fn ask(shown: &Shown, what: &'static str) -> Ledger {
    let mut shown = shown.lock().unwrap();
    shown.1.push(what);
    shown.0.clone()
}

async fn vkey(State(shown): State<Shown>) -> Json<VerifierKey> {
    let ledger = ask(&shown, "vkey");
    Json(VerifierKey { vkey: ledger.key().to_string(), fingerprint: ledger.key().key().fingerprint().to_string() })
}

async fn head(State(shown): State<Shown>) -> Json<LedgerHead> {
    let ledger = ask(&shown, "head");
    let TreeHead { origin, size, root } = ledger.head();
    Json(LedgerHead { origin, size, root: root.to_base64(), note: ledger.note() })
}

#[derive(serde::Deserialize)]
struct Sizes {
    from: u64,
    to: u64,
}

async fn consistency(State(shown): State<Shown>, Query(sizes): Query<Sizes>) -> Json<Consistency> {
    Json(ask(&shown, "consistency").consistency(sizes.from, sizes.to))
}
