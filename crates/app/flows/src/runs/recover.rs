//! What a node does with the runs that an earlier process drove, and with those that gave no sign of life.
//!
//! An agent's process dies with its node (the kernel sees to it), so a run that had one ends; one that was past EXECUTE needs no
//! process, and goes on. Nothing is dispatched again: effects that were on their way were settled before.
//!
//! Deliberately absent: starting an agent again. A retry is a new run, which a person or a pipeline begins.

use std::{sync::Arc, time::Duration};

use steward_app_node::{Error, code};
use steward_app_runs::{RunRow, live_runs, locks_that_lapsed};
use steward_clock::Timestamp;
use steward_clock::mishap;
use steward_governor::{Command, Phase};
use steward_naming::RunId;

use super::{blocking::blocking, conclude, runner::Runner};

/// What was found when the node started.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Runs that ended, because their agents died with the node.
    pub ended: Vec<RunId>,
    /// Runs that go on.
    pub going_on: Vec<RunId>,
    /// What a dead node left of processes.
    pub swept: usize,
}

impl Runner {
    /// Ends or goes on with the runs that an earlier process left. Called once, before anybody is answered.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn recover(self: &Arc<Self>) -> Result<Recovered, Error> {
        let mut found = Recovered::default();
        if let Some(worker) = &self.worker {
            let worker = Arc::clone(worker);
            let swept = blocking(move || worker.sweep()).await?;
            found.swept = swept.unwrap_or_else(|error| {
                tracing::error!(%error, "what a dead node left of its sandboxes could not be removed");
                0
            });
        }
        let _ = std::fs::remove_dir_all(&self.scratch);
        if self.context.halt().is_halted {
            found.ended = self.stop_all().await?;
            return Ok(found);
        }
        for run in self.context.store.read(live_runs)? {
            mishap::at("recover.run").map_err(Error::broken)?;
            let id = run.id().clone();
            if matches!(run.state.phase, Phase::Verify | Phase::Package | Phase::Report) && self.conclude_later(&id) {
                found.going_on.push(id);
                continue;
            }
            let message = "the node stopped, and its agents with it; start another run of the task".to_owned();
            match self.end(&id, code::INTERRUPTED, message).await {
                Ok(()) => found.ended.push(id),
                // It is looked at again while the node runs.
                Err(error) => {
                    tracing::error!(run.id = id.as_str(), %error, context = error.context(), "a run could not be ended");
                }
            }
        }
        Ok(found)
    }

    /// Concludes a run in the background, unless as many are driven as may be.
    fn conclude_later(self: &Arc<Self>, id: &RunId) -> bool {
        let Some(live) = self.drive(id) else { return false };
        let (runner, id) = (Arc::clone(self), id.clone());
        tokio::spawn(async move {
            if let Err(error) = conclude::conclude(&runner, &id, &live).await {
                tracing::error!(run.id = id.as_str(), %error, context = error.context(), "a run could not be concluded");
                let (code, message) = (error.code.to_owned(), error.message);
                if let Err(error) = runner.step(&id, Command::Fail { code, message }).await {
                    tracing::error!(run.id = id.as_str(), %error, "its end could not be recorded");
                }
            }
            runner.leave(&id);
        });
        true
    }

    /// Renews the leases of runs whose agents are alive, and ends runs that gave no sign of life for as long as their tier allows, and
    /// those that nobody drives. Called now and then.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn look_after(&self) -> Result<(), Error> {
        let now = self.context.now();
        self.soft.sweep(now);
        // One that cannot be ended or renewed keeps no other from it.
        let mut failed = None;
        for lock in self.context.store.read(|reader| locks_that_lapsed(reader, now))? {
            let Some(id) = lock.run else { continue };
            let message = "the run gave no sign of life for as long as its tier's credentials last".to_owned();
            failed = failed.or(self.end(&id, code::LOCK_LOST, message).await.err());
        }
        let live_runs = self.context.store.read(live_runs)?;
        failed = failed.or(Box::pin(super::waiting::tend_held(self, &live_runs)).await.err());
        for run in &live_runs {
            failed = failed.or(self.look_at(run, now).await.err());
        }
        failed = failed.or(steward_app_secrets::end_left_over(&self.context).await.err());
        // A run that is over drives nothing, whatever kept that from being done when it ended.
        for id in self.drives() {
            if !live_runs.iter().any(|run| *run.id() == id)
                && let Some(live) = self.live(&id)
                && !steward_app_runs::find(&self.context, &id)?.is_live()
            {
                live.end();
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn look_at(&self, run: &RunRow, now: Timestamp) -> Result<(), Error> {
        let id = run.id();
        match self.live(id) {
            Some(live) if self.soft.is_alive(id.as_str(), now) => {
                let _turn = live.turn.lock().await;
                steward_app_runs::renew(&self.context, id).await
            }
            Some(_) => Ok(()),
            None if run.state.started_at.plus_ms(ORPHANED_AFTER_MS) < now => {
                let message = "nothing drives this run any more: its end could not be recorded before".to_owned();
                self.end(id, code::INTERRUPTED, message).await
            }
            None => Ok(()),
        }
    }

    async fn end(&self, id: &RunId, code: &str, message: String) -> Result<(), Error> {
        match self.step(id, Command::Fail { code: code.to_owned(), message }).await {
            Ok(_) => Ok(()),
            Err(error) if error.code == code::RUN_OVER => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends every process, because the node stops. Runs that need none any more have a moment to conclude, and else go on with the
    /// next start.
    pub async fn close(&self) {
        for id in self.drives() {
            let Ok(run) = steward_app_runs::find(&self.context, &id) else { continue };
            if run.state.phase > Phase::Execute {
                continue;
            }
            let reason = "the node was stopped".to_owned();
            if let Err(error) = self.end(&id, code::INTERRUPTED, reason).await {
                tracing::warn!(run.id = id.as_str(), %error, "a run could not be ended; the next start does it");
            }
            if let Some(live) = self.live(&id) {
                live.end();
            }
        }
        let looks = CONCLUDE_WITHIN_MS / LOOK_EVERY_MS;
        for _ in 0..looks {
            // Who waits for a person goes on with the next start.
            let waits = |id: &RunId| {
                self.live(id).is_none_or(|live| live.waiting.load(std::sync::atomic::Ordering::Relaxed) > 0)
            };
            if self.drives().iter().all(waits) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
        }
        for id in self.drives() {
            if let Some(live) = self.live(&id) {
                live.end();
            }
        }
    }
}

/// How long runs that are being verified, packaged or reported have to end when the node stops.
const CONCLUDE_WITHIN_MS: u64 = 5_000;

/// How often it is looked whether they have.
const LOOK_EVERY_MS: u64 = 10;

/// How old a run must be before one that nobody drives is taken for left behind: starting takes a moment.
const ORPHANED_AFTER_MS: u64 = 60_000;
