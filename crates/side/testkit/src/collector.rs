//! Somebody who is sent spans by OTLP/HTTP, and answers as it was scripted.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

use serde_json::Value;

/// Something that it was sent.
#[derive(Debug, Clone)]
pub struct Request {
    /// The request line and the headers, in lower case names.
    pub head: String,
    /// The body.
    pub body: Value,
}

/// One span of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanSeen {
    /// Its trace.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// What it is a part of; empty: of nothing.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// The whole of it.
    pub whole: Value,
}

impl SpanSeen {
    /// What is said of it: text, a number as text, or a list with commas.
    pub fn says(&self, attribute: &str) -> Option<String> {
        let all = self.whole["attributes"].as_array()?;
        let value = &all.iter().find(|known| known["key"] == attribute)?["value"];
        let text =
            |value: &Value| value["stringValue"].as_str().or_else(|| value["intValue"].as_str()).map(str::to_owned);
        text(value).or_else(|| {
            let list = value["arrayValue"]["values"].as_array()?;
            Some(list.iter().filter_map(text).collect::<Vec<_>>().join(","))
        })
    }
}

/// A receiver of spans.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Request>>>,
    script: Arc<Mutex<Vec<(u16, String)>>>,
}

impl Collector {
    /// One that says 200 to everything, until it is told otherwise.
    ///
    /// # Panics
    /// There is no port.
    pub fn new() -> Self {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// The same, there.
    ///
    /// # Panics
    /// Somebody else is there.
    pub fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sent, script) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
        let (keeps, scripted) = (Arc::clone(&sent), Arc::clone(&script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = converse(stream, &keeps, &scripted);
            }
        });
        Self { address, sent, script }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How it answers next, in this order: a status, and beside it headers, an empty line and a body; then 200 again. 0: it closes.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn answers<'a>(&self, script: impl IntoIterator<Item = (u16, &'a str)>) {
        let mut script: Vec<_> = script.into_iter().map(|(status, text)| (status, text.to_owned())).collect();
        script.reverse();
        *self.script.lock().expect("no holder panics") = script;
    }

    /// What it was sent since it was asked last.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.sent.lock().expect("no holder panics"))
    }

    /// The spans of what it was sent since it was asked last.
    pub fn spans(&self) -> Vec<SpanSeen> {
        self.requests().iter().flat_map(|request| Self::seen(&request.body)).collect()
    }

    /// The spans of one body.
    pub fn seen(body: &Value) -> Vec<SpanSeen> {
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        spans
            .into_iter()
            .map(|whole| SpanSeen {
                trace: text(&whole["traceId"]),
                id: text(&whole["spanId"]),
                parent: text(&whole["parentSpanId"]),
                name: text(&whole["name"]),
                whole,
            })
            .collect()
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self::new()
    }
}

fn converse(
    mut stream: TcpStream,
    sent: &Mutex<Vec<Request>>,
    script: &Mutex<Vec<(u16, String)>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    sent.lock().expect("no holder panics").push(Request { head, body });
    let (status, text) = script.lock().expect("no holder panics").pop().unwrap_or((200, String::new()));
    if status == 0 {
        return Ok(());
    }
    let (headers, body) = text.split_once("\n\n").unwrap_or(("", &text));
    let headers: String = headers.lines().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    stream.write_all(format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}").as_bytes())
}
