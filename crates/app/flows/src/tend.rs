//! The work that is done without being asked for: woken by a timer, without input, idempotent, and it says what it did.
//!
//! Runs that gave no sign of life are ended, and reviews that nobody answered in time. Effects whose end could not be recorded are settled; refusals that were only counted are recorded; policy files that changed
//! are put in force. Deliberately absent: a wake-up by signal (a look at a few small files every second costs less than watching
//! them).

use std::path::Path;

use steward_app_actions::settle_left_behind;
use steward_app_node::{Context, Error};
use steward_app_policies::Loaded;
use steward_policy::Mistake;
use steward_seal::Digest;

use crate::{reviews, runs::Runner};

/// What the background knows from one round to the next.
#[derive(Debug, Default)]
pub struct Tended {
    /// The files that were looked at last.
    seen: Option<Digest>,
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
    looked_after.and(ended).and(decided).and(settled).and(counted).and(loaded)
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
