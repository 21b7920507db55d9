//! The work that is done without being asked for: woken by a timer, without input, idempotent, and it says what it did.
//!
//! Runs that gave no sign of life are ended, and reviews that nobody answered in time. Effects whose end could not be recorded are settled; refusals that were only counted are recorded; policy files that changed
//! are put in force. What entries say that are older than it is kept is erased.
//!
//! Deliberately absent: a wake-up by signal (a look at a few small files every second costs less than watching
//! them).

use std::path::Path;

use steward_app_actions::settle_left_behind;
use steward_app_entries::retention;
use steward_app_node::{Context, Error};
use steward_app_policies::Loaded;
use steward_clock::Timestamp;
use steward_policy::Mistake;
use steward_seal::Digest;

use crate::{reviews, runs::Runner};

/// How often what is older than it is kept is looked for: rules count days.
const SWEEP_EVERY_MS: u64 = 3_600_000;

/// How often it is tried to fold the store's log back while somebody reads: whoever writes waits for a second each time.
const FOLD_EVERY_MS: u64 = 60_000;

/// What the background knows from one round to the next.
#[derive(Debug, Default)]
pub struct Tended {
    /// The files that were looked at last.
    seen: Option<Digest>,
    /// Whether nothing that was erased stands in the store's log any more.
    is_folded: bool,
    /// When it is tried again to have it so.
    fold_at: Option<Timestamp>,
    /// When what is older than it is kept was erased last.
    swept_at: Option<Timestamp>,
    /// Their mistakes, if they have any: what was in force still is.
    pub mistakes: Vec<Mistake>,
}

/// One round. Each of its works is done whatever became of the others.
///
/// # Errors
/// The first that failed: the store cannot write, or the files cannot be read. The next round tries again.
pub async fn tend(runner: &Runner, policies: &Path, tended: &mut Tended) -> Result<(), Error> {
    let context = &runner.context;
    // What is behind a head that is known writes nothing, until it is opened anew.
    if context.store.behind().is_some() {
        return Ok(());
    }
    let looked_after = runner.look_after().await;
    let settled = settle_left_behind(context).await.map(|_| ());
    let counted = context.record_counted_denials(false).await;
    let loaded = load(context, policies, tended).await;
    let ended = steward_app_reviews::end_due(context).await.map(|_| ());
    let decided = reviews::tend(runner).await;
    let swept = sweep(runner, tended).await;
    looked_after.and(ended).and(decided).and(settled).and(counted).and(loaded).and(swept)
}

/// Erases what is older than it is kept, once an hour: it reads the whole ledger. After a start the log is folded back in any case: a node that
/// died may have erased something that its log still has.
async fn sweep(runner: &Runner, tended: &mut Tended) -> Result<(), Error> {
    let now = runner.context.now();
    let is_due = tended.swept_at.is_none_or(|last| last.plus_ms(SWEEP_EVERY_MS) <= now);
    if runner.retention.is_for_ever() {
        return Ok(());
    }
    if is_due {
        // Before it is tried: one that fails is tried again when the next is due, and what it erased before that is folded back.
        (tended.swept_at, tended.is_folded, tended.fold_at) = (Some(now), false, None);
        match retention::sweep(&runner.context, &runner.retention).await {
            // Where there is more, the next round goes on.
            Ok(swept) if swept.more => tended.swept_at = Some(Timestamp::MIN),
            Ok(_) => {}
            // All else was done, and goes on.
            Err(error) => tracing::error!(%error, "what is older than it is kept could not be erased"),
        }
    }
    if !tended.is_folded && tended.fold_at.is_none_or(|at| at <= now) {
        // As long as somebody reads an older state it cannot be: whoever writes does not wait for that all the time.
        tended.fold_at = Some(now.plus_ms(FOLD_EVERY_MS));
        tended.is_folded = retention::fold(&runner.context).await?;
    }
    Ok(())
}

async fn load(context: &Context, policies: &Path, tended: &mut Tended) -> Result<(), Error> {
    let sources = steward_app_policies::read(policies).map_err(Error::broken)?;
    let version = sources.version();
    if tended.seen == Some(version) {
        return Ok(());
    }
    tended.mistakes = match steward_app_policies::reload(context, sources).await? {
        Loaded::Mistakes(mistakes) => {
            for mistake in &mistakes {
                tracing::error!(%mistake, "the policy files have a mistake; what was in force still is");
            }
            mistakes
        }
        Loaded::Unchanged | Loaded::InForce { .. } => Vec::new(),
    };
    tended.seen = Some(version);
    Ok(())
}
