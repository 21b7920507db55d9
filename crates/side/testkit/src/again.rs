//! What stands on record can be had again from the record: every run is lived again, and every decision asked again.

use steward_app_flows::runs::live_again;
use steward_app_node::{Context, Error};
use steward_app_policies::{Unasked, asked_again};
use steward_app_runs::{RunFilter, runs};

/// Asserts it.
///
/// # Panics
/// A run's record does not lead to what it says, or a decision comes out otherwise under the policy that made it.
pub(crate) fn assert_had_again(context: &Context) {
    let policy = context.policy();
    let checked = context.store.read(|reader| {
        let filter = RunFilter { limit: u32::MAX, ..RunFilter::default() };
        for run in runs(reader, &filter)? {
            // One of which something was erased says so, and is not lived again.
            if !reader.entries("WHERE trace = ?1 AND body IS NULL LIMIT 1", &[&run.trace.as_str()])?.is_empty() {
                continue;
            }
            let (_, lived) = live_again(reader, &run)?;
            assert!(lived.agrees(), "the record of {} does not lead to what it says: {lived:#?}", run.id());
        }
        for entry in reader.entries("WHERE decision IS NOT NULL ORDER BY seq", &[])? {
            let Some(body) = entry.read_body()? else { continue };
            let by_this = body.decision.as_ref().is_some_and(|d| d.policy_version == policy.engine.version());
            match asked_again(&policy.engine, &body) {
                Ok(Some(other)) if by_this => panic!("entry {} would be decided otherwise: {other:?}", entry.seq),
                Ok(_) | Err(Unasked::BeyondPolicy) => {}
                Err(why) => panic!("the decision of entry {} cannot be asked again: {why}", entry.seq),
            }
        }
        Ok::<_, Error>(())
    });
    checked.expect("the record can be read");
}
