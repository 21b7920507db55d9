//! Runs, read.

use steward_app_node::{Caller, Context, Error};
use steward_naming::{Name, RunId, TraceId};
use steward_permit::ResourceKind;
use steward_store::{EntryRow, Reader, StoreError};

use crate::rows::{self, RunFilter, RunRow};

/// The most runs that one answer lists.
const MAX_LISTED: u32 = 1000;

/// The most entries of a run that are read at once: a run's actions are three each, and are bounded; this is more than twice that.
const MAX_EVENTS: usize = 20_000;

/// Runs, newest first.
///
/// # Errors
/// It is not allowed.
pub async fn list(context: &Context, caller: &Caller, filter: &RunFilter) -> Result<Vec<RunRow>, Error> {
    let action = context.action("run.read", ResourceKind::Node, context.namespace.as_str())?;
    context.allow(caller, action, None).await?;
    let agent = filter.agent.as_deref().map(|name| Name::resolve(name, &context.namespace)).transpose()?;
    let limit = if filter.limit == 0 { 100 } else { filter.limit.min(MAX_LISTED) };
    let filter = RunFilter { agent: agent.map(|name| name.to_string()), limit, ..filter.clone() };
    Ok(context.store.read(|reader| rows::runs(reader, &filter))?)
}

/// A run, for a verb that has asked already.
///
/// # Errors
/// There is none.
pub fn find(context: &Context, id: &RunId) -> Result<RunRow, Error> {
    let found = context.store.read(|reader| rows::run(reader, &context.namespace, id))?;
    found.ok_or_else(|| Error::not_found(format!("run `{id}`; `steward run list` shows them")))
}

/// Entries of a run, in order.
pub type Events = Vec<EntryRow>;

/// Every entry of a run, from `after` on: all that has its trace.
///
/// # Errors
/// The store cannot be read.
pub fn events(reader: &Reader<'_>, trace: &TraceId, after: Option<u64>) -> Result<Events, StoreError> {
    let after = after.map_or(-1, |seq| i64::try_from(seq).unwrap_or(i64::MAX));
    let condition = format!("WHERE trace = ?1 AND seq > ?2 ORDER BY seq LIMIT {MAX_EVENTS}");
    reader.entries(&condition, &[&trace.as_str(), &after])
}
