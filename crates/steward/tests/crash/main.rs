//! A node is killed anywhere, fills its disk, loses its callers, is told to stop: what it acknowledged is there, and nothing
//! happened twice.
//!
//! `STEWARD_ROUNDS` says how many times it is killed, `STEWARD_SEED` from which seed; a failure names both. A seed fixes what
//! is asked and where the node dies; how concurrent callers fall into each other's way is the machine's.

#[path = "../common/mod.rs"]
mod common;

mod chance;
mod check;
mod facts;
mod faults;
mod first;
mod hooks;
mod keystore;
mod life;
mod load;
mod made;
mod retention;
mod runs;
mod stopping;
mod traces;
mod upgrade;

use std::{collections::BTreeMap, sync::Arc};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::{chance::Chance, life::Life};

/// Rounds in `./test`: every end three times.
const ROUNDS: u64 = 3 * life::ENDS.len() as u64;

/// Rounds of one home.
const ROUNDS_OF_LIFE: u64 = 5;

/// Homes at a time: starting is work for a processor, and syncing is waiting for a disk.
const LIVES_AT_ONCE: usize = 3;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}: `{text}` is not a number")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_anywhere_loses_nothing_and_repeats_nothing() {
    let rounds = number("STEWARD_ROUNDS").unwrap_or(ROUNDS);
    let seed = number("STEWARD_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("crash: STEWARD_SEED={seed} STEWARD_ROUNDS={rounds}");
    let places = Arc::new(Semaphore::new(LIVES_AT_ONCE));
    let mut lives = JoinSet::new();
    for first in (0..rounds).step_by(ROUNDS_OF_LIFE as usize) {
        let places = Arc::clone(&places);
        lives.spawn(async move {
            let _place = places.acquire().await.expect("it is never closed");
            let mut life = Life::begin(Chance::new(seed).fork(first)).await;
            for round in first..rounds.min(first + ROUNDS_OF_LIFE) {
                life.round(round).await;
            }
            life.tally
        });
    }
    let mut died = BTreeMap::new();
    let mut acknowledged = 0;
    while let Some(tally) = lives.join_next().await {
        let tally = tally.unwrap_or_else(|error| panic!("STEWARD_SEED={seed} STEWARD_ROUNDS={rounds}: {error}"));
        acknowledged += tally.acknowledged;
        tally.died.into_iter().for_each(|(at, times)| *died.entry(at).or_insert(0) += times);
    }
    eprintln!("crash: {acknowledged} answers were acknowledged and found again; died at {died:#?}");
    if rounds >= 2 * life::ENDS.len() as u64 {
        for point in life::POINTS {
            assert!(died.contains_key(*point), "STEWARD_SEED={seed}: no node died at {point}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_node_dies_anywhere_ends_once_and_leaves_nothing() {
    let rounds = number("STEWARD_ROUNDS").unwrap_or(runs::ENDS.len() as u64);
    let seed = number("STEWARD_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("crash: STEWARD_SEED={seed} STEWARD_ROUNDS={rounds}");
    let died = runs::go(rounds, seed).await;
    if rounds >= runs::ENDS.len() as u64 {
        for point in runs::POINTS {
            assert!(died.contains_key(*point), "STEWARD_SEED={seed}: no node died at {point}");
        }
    }
}
