//! Traces: what agents did, as spans of OpenTelemetry, sent to a receiver of OTLP/HTTP.
//!
//! ```text
//! let traces = Traces::new(Some(receiver));
//! traces.round(&context, &keeper).await?      // reads the ledger on from the receiver's cursor, sends what ended since
//! traces.view(&context)?                      // where it is, and how it goes
//! ```
//!
//! Nothing is instrumented: the ledger already holds who did what, when, and what came of it, so spans are made from entries. They have the ids
//! of what they are about: the trace is the 128 bits of `trc_…` (or the caller's own, if a `traceparent` came with the request), the span the last
//! 64 of `run_…`, `act_…`, `rvw_…`. Whatever is sent twice is the same span, a node that was killed sends what it had not sent, and
//! from a span one finds the entry.
//!
//! A span says what a stranger's dashboard may know: names, tiers, phases, codes, counts. Deliberately absent: resources, paths, arguments, prompts,
//! answers, messages and reasons, which stand behind policy in the ledger; metrics (Prometheus reads them) and logs.

mod otlp;
mod read;
mod rows;
mod span;
mod traceparent;
mod verbs;

pub use rows::{ExportRow, MIGRATIONS};
pub use verbs::{MAX_ENTRIES, MAX_HEADERS, MAX_REQUEST_BYTES, Receiver, Round, Traces, TracesView};
