//! The lines of a process, as a connection of MCP.
//!
//! ```text
//! let (lines, bad) = Lines::new(to_process, from_process);     // then it is rmcp's
//! bad.get()                                                    // why it ended, if a line was the reason
//! ```
//!
//! A line is a message (the protocol's stdio transport). The first that is none ends the connection: a process that writes other
//! things among its messages may have its messages written by others.
//!
//! Deliberately absent: the process, and cutting what it writes into lines (that is `worker`).

use std::sync::{Arc, OnceLock};

use rmcp::{
    service::{RxJsonRpcMessage, ServiceRole, TxJsonRpcMessage},
    transport::Transport,
};
use tokio::sync::mpsc;

/// The longest line that is read, 4 MiB: a result with a picture. What an agent is given of it is bounded again.
pub const MAX_LINE_BYTES: usize = 4 * 1024 * 1024;

/// That the process reads no more.
#[derive(Debug, thiserror::Error)]
#[error("reads no more")]
pub(crate) struct Closed;

/// What was wrong with the line that ended the connection.
pub(crate) type BadLine = Arc<OnceLock<&'static str>>;

/// Lines to and from a process, of either side: tests are the other.
#[derive(Debug)]
pub(crate) struct Lines {
    to: Option<mpsc::Sender<String>>,
    from: mpsc::Receiver<String>,
    bad: BadLine,
}

impl Lines {
    pub(crate) fn new(to: mpsc::Sender<String>, from: mpsc::Receiver<String>) -> (Self, BadLine) {
        let bad = BadLine::default();
        (Self { to: Some(to), from, bad: Arc::clone(&bad) }, bad)
    }
}

impl<R: ServiceRole> Transport<R> for Lines {
    type Error = Closed;

    fn send(&mut self, message: TxJsonRpcMessage<R>) -> impl Future<Output = Result<(), Closed>> + Send + 'static {
        let to = self.to.clone();
        async move {
            // JSON has no line break but in strings, where it is escaped.
            let line = serde_json::to_string(&message).map_err(|_| Closed)?;
            to.ok_or(Closed)?.send(line).await.map_err(|_| Closed)
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<R>> {
        loop {
            let line = self.from.recv().await?;
            if line.trim().is_empty() {
                continue;
            }
            let bad = if line.len() > MAX_LINE_BYTES {
                "sent a line of more than 4 MiB"
            } else {
                match serde_json::from_str(&line) {
                    Ok(message) => return Some(message),
                    Err(_) => "sent a line that is no message of MCP",
                }
            };
            // Only the first counts.
            let _ = self.bad.set(bad);
            self.from.close();
            return None;
        }
    }

    async fn close(&mut self) -> Result<(), Closed> {
        self.to = None;
        self.from.close();
        Ok(())
    }
}
