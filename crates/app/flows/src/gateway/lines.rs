//! What a server of the stdio transport says, and how it ended.
//!
//! Deliberately absent: what its lines mean (`steward-upstream`).

use steward_seal::secret::Secrets;
use steward_worker::{EndedBy, Line, MAX_STDERR_TAIL_BYTES};
use tokio::sync::mpsc;

/// How many lines of a server wait to be read.
const LINES_WAITING: usize = 32;

/// The most characters of the last line that a server said on its standard error.
const MAX_LAST_LINE: usize = 300;

/// What a process writes, as lines. One that is none ends the connection: what follows it could be anything.
pub(super) fn bridge(mut from: mpsc::Receiver<Line>) -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel(LINES_WAITING);
    tokio::spawn(async move {
        loop {
            // Nobody reads any more: dropping `from` ends whoever writes.
            let line = tokio::select! {
                line = from.recv() => line,
                () = to.closed() => return,
            };
            let Some(line) = line else { return };
            let line = match line {
                Line::Text(text) => text,
                Line::TooLong => "(a line that is too long)".to_owned(),
                Line::NotText => "(a line that is not UTF-8)".to_owned(),
            };
            if to.send(line).await.is_err() {
                return;
            }
        }
    });
    lines
}

/// Tells the log how a server ended; and who waits for it, in words, if it did so by itself.
pub(super) fn tell_end(
    server: String,
    exit: tokio::sync::oneshot::Receiver<steward_worker::Exit>,
    known: Secrets,
) -> tokio::task::JoinHandle<Option<String>> {
    tokio::spawn(async move {
        if let Ok(exit) = exit.await {
            let (ended_by, code) = (exit.ended_by.as_str(), exit.code);
            // A line that was cut may begin with half of a secret.
            let tail = match exit.stderr_tail.split_once('\n') {
                Some((_, whole)) if exit.stderr_tail.len() >= MAX_STDERR_TAIL_BYTES => whole,
                None if exit.stderr_tail.len() >= MAX_STDERR_TAIL_BYTES => "",
                _ => exit.stderr_tail.as_str(),
            };
            let tail = known.scrub(tail.trim()).into_owned();
            tracing::info!(server, ended_by, code, tail, "a server of tools ended");
            let code = code.filter(|_| exit.ended_by == EndedBy::Itself)?;
            let last: String = tail.lines().next_back().unwrap_or_default().chars().take(MAX_LAST_LINE).collect();
            let said = if last.is_empty() { "nothing on standard error".to_owned() } else { format!("last: {last}") };
            return Some(format!("it ended with exit code {code}, and said {said}"));
        }
        None
    })
}
