//! Builders and a real embedded node for tests.
//!
//! A [`TestNode`] is a node as it ships, opened by `flows::open` on a temporary folder with real SQLite and real files; only the
//! clock is moved by hand, chance comes from a seed, and agents' processes are played by the test. When it is dropped it asserts that ledger and state verify and that
//! nothing is left over: no effect on its way, nothing staged, a writer that still writes.
//!
//! ```text
//! let node = TestNode::new().await;
//! let olivia = node.person("olivia", &[Role::Operator]).await;
//! node.agent("scribe", Tier::T1).await;
//! let id = node.act(&olivia, "scribe", "fs.write", "/reports/a.md", b"text").await?;
//! ```
//!
//! Helpers panic where a test could not go on; whatever is being tested returns what the verb returned.
//!
//! A [`Provider`] is an issuer of tokens on loopback, as OpenID Connect has it, that also lies when it is told to.
//!
//! Deliberately absent: anything faked but time, chance and processes, and sockets of the node (the faces' own tests have them).

mod again;
mod chance;
mod collector;
mod earlier;
mod node;
mod provider;
mod scripted;
mod verbs;

pub use chance::{HandClock, SeededDice};
pub use collector::{Collector, Request, SpanSeen};
pub use earlier::{RELEASES, write_old};
pub use node::{Builder, HeldWriter, NAMESPACE, TestNode};
pub use provider::{Lie, Provider, SignsWith};
pub use scripted::{Played, Scripted, exit, output};
pub use verbs::Known;
