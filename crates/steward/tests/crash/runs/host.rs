//! A host outside of the node that counts who asked it for what, by idempotency key. It is also a server of tools, with one: `echo`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// The longest request that is read.
const MAX_REQUEST_BYTES: usize = 8 << 10;

/// What was asked for, by idempotency key: each time that it was.
pub(crate) type Asked = BTreeMap<String, Vec<String>>;

/// It answers while this lives.
pub(crate) struct Host {
    pub(crate) port: u16,
    asked: Arc<Mutex<Asked>>,
    serving: JoinHandle<()>,
}

impl Host {
    pub(crate) async fn begin() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("it listens").port();
        let asked = Arc::new(Mutex::new(Asked::new()));
        let all = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            loop {
                let (line, _) = listener.accept().await.expect("it listens");
                tokio::spawn(answer(line, Arc::clone(&all)));
            }
        });
        Self { port, asked, serving }
    }

    /// Where it is a server of tools.
    pub(crate) fn mcp(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.port)
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Asked {
        self.asked.lock().expect("no holder of this lock panics").clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A node that dies may hang up anywhere; a request counts once it is whole.
async fn answer(mut line: TcpStream, all: Arc<Mutex<Asked>>) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        // One at a time, so that what follows is left for whoever reads it.
        let mut piece = [0; 1];
        match line.read(&mut piece).await {
            Ok(read) if read > 0 && bytes.len() < MAX_REQUEST_BYTES => bytes.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.starts_with("POST /mcp ") || text.starts_with("GET /mcp ") || text.starts_with("DELETE /mcp ") {
        return serve(line, &text, all).await;
    }
    let target = text.split(' ').nth(1).unwrap_or_default().to_owned();
    let key = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("idempotency-key").then(|| value.trim().to_owned())
    });
    let key = key.unwrap_or_else(|| format!("none, of {target}"));
    all.lock().expect("no holder of this lock panics").entry(key).or_default().push(target);
    // Whoever asked may be gone.
    let _ = line.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
}

/// Answers a message of MCP. A call counts once it is whole.
async fn serve(mut line: TcpStream, head: &str, all: Arc<Mutex<Asked>>) {
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0).min(MAX_REQUEST_BYTES)];
    if line.read_exact(&mut body).await.is_err() {
        return;
    }
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let result = match asked["method"].as_str() {
        Some("initialize") => json!({"result": {
            "protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "echo", "version": "1"},
        }}),
        Some("tools/list") => json!({"result": {"tools": [{
            "name": "echo", "description": "Says it again.",
            "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}},
        }]}}),
        Some("tools/call") => {
            let key = asked["params"]["_meta"]["steward/effect"].as_str().unwrap_or("none, of a tool").to_owned();
            all.lock().expect("no holder of this lock panics").entry(key).or_default().push("echo/echo".to_owned());
            json!({"result": {"content": [{"type": "text", "text": asked["params"]["arguments"]["text"]}]}})
        }
        Some("server/discover") => json!({"error": {"code": -32601, "message": "what?"}}),
        _ => Value::Null,
    };
    let answer = match result {
        Value::Object(mut said) => {
            said.insert("jsonrpc".to_owned(), "2.0".into());
            said.insert("id".to_owned(), asked["id"].clone());
            let said = Value::Object(said).to_string();
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{said}",
                said.len()
            )
        }
        _ if head.starts_with("POST") => {
            "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
        }
        _ => "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
    };
    let _ = line.write_all(answer.as_bytes()).await;
}
