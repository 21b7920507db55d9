//! A way in to a node into which nobody can log in any more: its home was restored elsewhere, or the administrator's keys are lost.
//!
//! Whoever holds the files of a home rules its node anyway. So they are given a log-in key for an administrator, as the first start gives
//! one, with the node stopped: on record, with a reason. `steward key rescue` is the command.
//!
//! Deliberately absent: making somebody an administrator, and enrolling anybody.

use std::sync::Arc;

use steward_app_node::{Error, Kind, code, home::write_private};
use steward_clock::{Clock, Dice, Timestamp};
use steward_naming::{KeyId, Label};

use crate::open::{Begun, OpenError, Settings, begin};

/// A log-in key that lies in the home, and is on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// The entry that says so.
    pub entry: u64,
    /// Which key it is.
    pub key: KeyId,
    /// Until when it is good.
    pub expires_at: Timestamp,
}

/// Makes a log-in key for an administrator, and writes it into the home's `login.key`.
///
/// # Errors
/// There is no node in the home, it runs, or it is behind a head that is known; there is no such administrator; or it cannot be recorded.
pub async fn rescue(
    settings: &Settings,
    name: &Label,
    reason: &str,
    clock: Arc<dyn Clock>,
    dice: Arc<dyn Dice>,
) -> Result<Rescued, OpenError> {
    if !settings.home.store().exists() {
        let message =
            format!("there is no node in `{}`; name another home with --home DIR", settings.home.path().display());
        return Err(Error::invalid(message).into());
    }
    let Begun { context, lock, .. } = begin(settings, clock, dice)?;
    let made = match context.store.behind() {
        // Nothing is written where nobody accepted that something was lost.
        Some(why) => Err(Error::new(Kind::Refused, code::ROLLED_BACK, format!("ROLLED BACK: {why}"))),
        None => steward_app_people::rescue(&context, name, reason).await,
    };
    context.store.close();
    let made = made?;
    write_private(&settings.home.login_key(), format!("{}\n", made.secret.reveal()).as_bytes())?;
    drop(lock);
    Ok(Rescued { entry: made.key.entry_seq, key: made.key.id, expires_at: made.key.expires_at })
}
