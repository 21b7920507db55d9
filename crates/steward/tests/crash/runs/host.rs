//! A host outside of the node that counts who asked it for what, by idempotency key.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

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
        let mut piece = [0; 1024];
        match line.read(&mut piece).await {
            Ok(read) if read > 0 && bytes.len() < MAX_REQUEST_BYTES => bytes.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
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
