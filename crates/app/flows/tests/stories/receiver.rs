//! Somebody who is told by webhooks: it answers as it was scripted, and verifies each signature by itself.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use steward_seal::hmac_sha256;

/// What signs.
pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// How it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answers {
    Status(u16),
    /// Somewhere else.
    Redirect(u16),
    /// Nothing: it closes.
    Closes,
}

/// Something that it was told.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) at_s: i64,
    pub(crate) body: Value,
    /// As it came.
    pub(crate) text: String,
}

pub(crate) struct Receiver {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    script: Arc<Mutex<Vec<Answers>>>,
}

impl Receiver {
    /// One that says 204 to everything, until it is told otherwise.
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (told, script) = (Arc::default(), Arc::default());
        let (tells, scripted) = (Arc::clone(&told), Arc::clone(&script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                converse(stream.expect("a connection"), &tells, &scripted);
            }
        });
        Self { address, told, script }
    }

    /// Its address, which is a literal one: a name would not lead there.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How it answers next, in this order; then 204 again.
    pub(crate) fn answers(&self, script: impl IntoIterator<Item = Answers>) {
        let mut script: Vec<Answers> = script.into_iter().collect();
        script.reverse();
        *self.script.lock().expect("no holder panics") = script;
    }

    /// What it was told since it was asked last.
    pub(crate) fn told(&self) -> Vec<Told> {
        std::mem::take(&mut *self.told.lock().expect("no holder panics"))
    }
}

fn converse(mut stream: TcpStream, told: &Mutex<Vec<Told>>, script: &Mutex<Vec<Answers>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8(request).expect("text");
    let header = |name: &str| {
        let found = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("{name} in {head}")).to_owned()
    };
    let mut body = vec![0; header("content-length").parse().expect("a number")];
    stream.read_exact(&mut body).expect("the body");
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let key = BASE64_STANDARD.decode(&SECRET["whsec_".len()..]).expect("base 64");
    let signed = [id.as_bytes(), b".", at.as_bytes(), b".", &body].concat();
    let expected = format!("v1,{}", BASE64_STANDARD.encode(hmac_sha256(&key, &signed)));
    assert_eq!(header("webhook-signature"), expected, "the signature is that of what came");
    let text = String::from_utf8(body).expect("text");
    let body = serde_json::from_str(&text).expect("JSON");
    told.lock().expect("no holder panics").push(Told { id, at_s: at.parse().expect("a number"), body, text });
    let next = script.lock().expect("no holder panics").pop().unwrap_or(Answers::Status(204));
    let answer = match next {
        Answers::Status(status) => format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n"),
        Answers::Redirect(port) => {
            format!("HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n")
        }
        Answers::Closes => String::new(),
    };
    let _ = stream.write_all(answer.as_bytes());
}
