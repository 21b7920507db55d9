//! Runs whose node dies: of what it had begun nothing goes on unseen, nothing is done twice, and nothing is left.

mod check;
mod host;
mod house;
mod known;
mod load;
mod remains;
mod snapshot;

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::{chance::Chance, runs::house::House};

/// Killed from outside after a number of answers.
pub(crate) const ANY_MOMENT: &str = "any moment";

/// Killed while a run is at work, and then by this point while the next node recovers.
pub(crate) const WHILE_RECOVERING: &str = "recover.run";

/// Every named point of a run, of its tools, and of what people do with it.
pub(crate) const POINTS: &[&str] = &[
    "run.begun",
    "run.preflight",
    "run.plan",
    "run.agent_recorded",
    "run.agent_started",
    "run.planned",
    "run.execute",
    "tool.run.before",
    "tool.run.after",
    "tool.fetch.before",
    "tool.fetch.after",
    "tool.call.before",
    "tool.call.after",
    "run.verify",
    "run.agent_ended",
    "run.package",
    "run.report",
    "run.ended",
    "run.followed",
    "run.revoked",
    "run.child_to_stop",
    "agent.revoked",
    "agent.reinstated",
    "halt.recorded",
    "halt.processes_ended",
    "halt.lifted",
    WHILE_RECOVERING,
];

/// Points of commits and of writing, of which the other test has all.
const OF_OTHERS: [&str; 4] =
    ["commit.before_commit", "commit.after_commit", "effect.publish.before_rename", "effect.publish.after_rename"];

/// How nodes end, in turn: at each point, at some that other things than runs reach too, and a few at any moment.
pub(crate) const ENDS: &[&str] = {
    const N: usize = POINTS.len() + OF_OTHERS.len() + 4;
    const ALL: [&str; N] = {
        let mut all = [ANY_MOMENT; N];
        let mut n = 0;
        while n < POINTS.len() {
            all[n] = POINTS[n];
            n += 1;
        }
        while n < POINTS.len() + OF_OTHERS.len() {
            all[n] = OF_OTHERS[n - POINTS.len()];
            n += 1;
        }
        all
    };
    &ALL
};

/// Rounds of one home.
const ROUNDS_OF_HOUSE: u64 = 6;

/// Homes at a time: what a round does is mostly starting and waiting.
const HOUSES_AT_ONCE: usize = 3;

/// So many rounds from this seed. Tells where nodes died, and how often.
pub(crate) async fn go(rounds: u64, seed: u64) -> BTreeMap<&'static str, u64> {
    let places = Arc::new(Semaphore::new(HOUSES_AT_ONCE));
    let mut houses = JoinSet::new();
    for first in (0..rounds).step_by(ROUNDS_OF_HOUSE as usize) {
        let places = Arc::clone(&places);
        houses.spawn(async move {
            let _place = places.acquire().await.expect("it is never closed");
            let mut house = House::begin(Chance::new(seed).fork(first)).await;
            for round in first..rounds.min(first + ROUNDS_OF_HOUSE) {
                house.round(round).await;
            }
            let acknowledged = house.known(|known| known.acknowledged);
            (house.died, acknowledged)
        });
    }
    let (mut died, mut acknowledged) = (BTreeMap::new(), 0);
    while let Some(house) = houses.join_next().await {
        let (of_house, answers) =
            house.unwrap_or_else(|error| panic!("STEWARD_SEED={seed} STEWARD_ROUNDS={rounds}: {error}"));
        of_house.into_iter().for_each(|(at, times)| *died.entry(at).or_insert(0) += times);
        acknowledged += answers;
    }
    eprintln!("crash: {acknowledged} answers about runs were acknowledged and hold; died at {died:#?}");
    died
}
