//! Traces: where spans are sent, and how that goes.

use serde::{Deserialize, Serialize};

/// Where what agents did is sent as spans, and how that goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TracesRecord {
    /// The receiver's host; none: nothing is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// How many spans it took.
    pub sent: u64,
    /// When it took some last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    /// How many entries of the ledger were not looked at yet.
    pub behind: u64,
    /// Since when nothing is sent, if sending fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<String>,
    /// How many spans were dropped: the receiver did not take them, or they had waited for more than a day.
    pub dropped: u64,
    /// When some were dropped last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_at: Option<String>,
    /// Why spans were not sent, or not taken, last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
