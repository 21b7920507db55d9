//! Soft state, which may be lost: who was heard of lately, and who asks too often. In memory, and gone with the process.
//!
//! ```
//! use steward_clock::Timestamp;
//! use steward_state::{Rate, Soft};
//! let (soft, now) = (Soft::new(), Timestamp::from_unix_ms(0));
//! soft.beat("acme.internal/agent:scribe:heartbeat", now, 30_000);
//! assert!(soft.is_alive("acme.internal/agent:scribe:heartbeat", now.plus_ms(29_999)));
//! assert!(soft.take("acme.internal/agent:scribe:asks", Rate { per_s: 10, burst: 1 }, now).is_ok());
//! ```
//!
//! Keys are the caller's, with the namespace in them. The time is always passed in. Whoever owns a [`Soft`] calls
//! [`Soft::sweep`] every second or so: nothing else makes room.
//!
//! Deliberately absent: facts (what must not be lost is in the store), leases (the fence of a run is a compare-and-set in the
//! store and never here), and a server to share it with other nodes: there is no second node yet.

mod beats;
mod buckets;
mod soft;

pub use buckets::{CLOCK_SET_BACK_MS, FULL_RETRY_MS, Rate, RetryAfter};
pub use soft::{MAX_KEY_BYTES, MAX_KEYS, Soft};
