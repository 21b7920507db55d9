//! Fetches over HTTP, from hosts that are allowed, as one permitted action: `http.get`; and posts letters and reports to whom an operator
//! configured ([`Poster`]).
//!
//! ```
//! use steward_fetch::{AllowList, Fetcher};
//! let allow = AllowList::parse(&["example.org/docs/**".to_owned()]).expect("an entry");
//! assert!(allow.covers("example.org/docs/a") && !allow.covers("example.org/docs/../admin"));
//! let fetcher = Fetcher::new(allow);
//! // fetcher.get(warrant, &action).await?   with the warrant of the record that it is intended
//! ```
//!
//! Whoever fetches is an agent, and what it asks for may have been put into its mouth. So four things hold, each alone enough
//! against one trick:
//!
//! - An address has one spelling, and every other is refused ([`Target`]). What policy read is what goes over the wire.
//! - Only what the operator listed is reached ([`AllowList`]).
//! - A name is resolved once, for the connection itself, and a name that has a single address inside a network leads nowhere,
//!   whatever the list says. Inside a network only a literal address in the list leads.
//! - Nothing is followed, decoded, cached or repeated, no proxy is asked, and nothing is sent that the agent chose but the
//!   address.
//!
//! A server may be hostile, too: each request has a thread of its own, a clock, and limits on what is kept.
//!
//! TLS is rustls with aws-lc-rs, as reqwest has it by default, 1.2 or newer, with the system's roots (`SSL_CERT_FILE` and
//! `SSL_CERT_DIR` name others), read when the first address asks for it.
//!
//! Deliberately absent: methods other than GET and that one POST, headers of the agent's own, credentials, redirects (the answer says where to,
//! and that is another action), HTTP/2, translation of IPv4 by DNS64 (such addresses are refused), and whether the agent
//! *may*: that was decided before the warrant was made.

mod address;
mod allow;
mod alone;
mod client;
mod error;
mod fetcher;
mod names;
mod post;
mod target;
#[cfg(test)]
mod tests;

pub use allow::{AllowList, MAX_ENTRIES, MAX_ENTRY_BYTES};
pub use alone::MAX_AT_ONCE;
pub use client::{CONNECT_TIMEOUT_MS, MAX_HEADERS, WHOLE_TIMEOUT_MS};
pub use error::FetchError;
pub use fetcher::{Fetched, Fetcher, MAX_BODY_BYTES, MAX_HEADER_TEXT_BYTES};
pub use names::MAX_ADDRESSES;
pub use post::{Letter, MAX_REPORTED_BYTES, POST_TIMEOUT_MS, Poster, Report, Reported, check_header};
pub use target::Target;
