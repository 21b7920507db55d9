//! Traces: where spans are sent.

use std::sync::Arc;

use axum::Json;
use steward_app_traces::TracesView;
use steward_wire::{Problem, TracesRecord};

use super::status::may_read;
use crate::{answer::Refused, door::Visit};

/// Where what agents did is sent as spans, and how that goes.
#[utoipa::path(get, path = "/v1/traces", tag = "node", responses((status = 200, body = TracesRecord), (status = 403, body = Problem)))]
pub(crate) async fn show(visit: Visit) -> Result<Json<TracesRecord>, Refused> {
    let runner = visit.runner();
    let TracesView { to, row, behind } = visit
        .read(|context, caller| {
            let runner = Arc::clone(&runner);
            async move {
                may_read(&context, &caller).await?;
                runner.traces.view(&context)
            }
        })
        .await?;
    let Some(row) = row else { return Ok(Json(TracesRecord { to, ..TracesRecord::default() })) };
    let text = |at: Option<steward_clock::Timestamp>| at.map(|at| at.to_string());
    Ok(Json(TracesRecord {
        to,
        sent: row.sent,
        sent_at: text(row.sent_at),
        behind,
        failing_since: text(row.failing_since),
        // While a batch is under way, it is there for a node that dies.
        next_at: text(row.next_at.filter(|_| row.failing_since.is_some())),
        dropped: row.dropped,
        dropped_at: text(row.dropped_at),
        why: row.why,
    }))
}
