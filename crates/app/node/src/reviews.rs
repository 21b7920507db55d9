//! Asking a person: what policy permits once somebody approved exactly that.
//!
//! ```text
//! decide ──► NEEDS_REVIEW ──► none asked yet?  opened, and whoever asked waits or comes back
//!                             approved?        allowed; the review is used up by the same commit as what it allows
//!                             rejected?        refused, for as long as the review would have lasted
//! ```
//!
//! It stands here, and not with the verbs of reviews, because every noun's decision can need it.
//!
//! Deliberately absent: what people do with reviews (`app/reviews`), and who waits for them (`flows`).

use std::collections::BTreeSet;

use steward_ledger::kind;
use steward_naming::{Namespace, ReviewId};
use steward_permit::{Denial, ResourceKind, ReviewKind, Tier};
use steward_policy::Question;
use steward_review::{Asked, Asks, Review, Status, Step};
use steward_store::{Guard, Key, Row, key};

use crate::{
    caller::Caller,
    context::{Context, Granted},
    error::Error,
    policy::InForce,
    rows,
};

/// How long a review is good for that a run waits for, in milliseconds: an agent's process lasts an hour at most.
pub const IN_RUN_MS: u64 = 45 * 60 * 1000;

/// How long any other is good for, in milliseconds: a week.
const LIFETIME_MS: u64 = 7 * 24 * 3600 * 1000;

/// The most reviews of one asker that wait at once: what a person can be asked to look at.
const MAX_WAITING: u64 = 32;

/// The largest document that is kept with a review, in bytes: the largest file that an agent writes.
const MAX_DOCUMENT: usize = 8 << 20;

/// What a person is shown.
#[derive(Debug, Clone, Default)]
pub struct Case {
    /// What kind of decision; one action if nothing is said.
    pub kind: Option<ReviewKind>,
    /// Why it is asked, in words.
    pub why: String,
    /// What it is about, whole.
    pub document: Option<Vec<u8>>,
    /// What it would replace.
    pub before: Option<Vec<u8>>,
    /// The agent that it is about, if it is not who asks.
    pub agent: Option<String>,
    /// The tier that it is about, if it is not that of who asks.
    pub tier: Option<Tier>,
}

/// A review, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewRow {
    /// The namespace.
    pub namespace: Namespace,
    /// Its state.
    pub review: Review,
    /// The entry that wrote the row; 0 for one that is not written yet.
    pub entry_seq: u64,
}

impl ReviewRow {
    fn key(&self) -> Key {
        key([("namespace", self.namespace.as_str()), ("id", self.review.id.as_str())])
    }

    /// That it is still as it was loaded.
    pub fn guard(&self) -> Guard {
        Guard::unchanged("review", self.key(), self.entry_seq)
    }

    /// That there is none yet.
    pub fn absent(&self) -> Guard {
        Guard::absent("review", self.key())
    }

    /// Who approved it, by full names.
    pub fn approved_by(&self) -> Vec<String> {
        self.review.decisions.iter().filter(|decision| decision.approves).map(|decision| decision.by.clone()).collect()
    }

    /// The row as it will be.
    pub fn row(&self) -> Row {
        let review = &self.review;
        Row::put("review")
            .text("namespace", self.namespace.as_str())
            .text("id", review.id.as_str())
            .text("kind", review.kind.as_str())
            .text("status", review.status.as_str())
            .text("asker", review.asker.as_str())
            .optional_text("agent", review.agent.as_deref())
            .optional_text("run", review.run.as_ref().map(|run| run.as_str()))
            .text("asked", review.asked.digest.to_string())
            .text("policy", review.policy.to_string())
            .text("opened_at", review.opened_at.to_string())
            .text("expires_at", review.expires_at.to_string())
            .text("state", serde_json::to_string(review).expect("texts are JSON"))
    }
}

/// What asking comes to.
pub(crate) enum Answer {
    /// Somebody approved exactly this; the review as it will be, unless this action used it before.
    Allowed { guard: Guard, used: Option<Box<ReviewRow>> },
    /// It waits for a person.
    Waits(ReviewId),
    /// A person said no, or too much waits.
    Refused(String),
}

impl Context {
    /// Finds the review about exactly this, or opens one.
    pub(crate) async fn ask(
        &self,
        caller: &Caller,
        question: &Question,
        denial: &Denial,
        case: impl Future<Output = Result<Case, Error>> + Send,
        policy: &InForce,
    ) -> Result<Answer, Error> {
        let _turn = self.opening.lock().await;
        let now = self.now();
        let asker = question.actor.full_name();
        let (digest, version) = (question.action.digest(), policy.engine.version());
        let found = self.store.read(|reader| rows::review_of(reader, &asker, &digest))?;
        if let Some(found) = found.filter(|found| found.review.policy == version) {
            let review = &found.review;
            if review.allows(&digest, &version, &question.id, now) {
                let guard = found.guard();
                let used = match review.status {
                    Status::Approved => {
                        let step = Step::Use { digest, policy: version, action: question.id.clone() };
                        let review = review.step(step, now).map_err(Error::broken)?;
                        Some(Box::new(ReviewRow { review, ..found.clone() }))
                    }
                    _ => None,
                };
                return Ok(Answer::Allowed { guard, used });
            }
            let same_run = review.run.as_ref() == caller.run.as_ref().map(|run| &run.id);
            match review.status {
                Status::Pending if now < review.expires_at && same_run => return Ok(Answer::Waits(review.id.clone())),
                // A no stands for as long as the question would have.
                Status::Rejected if now < review.expires_at && same_run => return Ok(Answer::Refused(review.answer())),
                _ => {}
            }
        }
        if self.store.read(|reader| rows::waiting_of(reader, &asker, &version))? >= MAX_WAITING {
            let why = format!("{MAX_WAITING} reviews of `{asker}` wait already; they must be answered first");
            return Ok(Answer::Refused(why));
        }
        self.open(caller, question, denial, &case.await?, policy).await.map(Answer::Waits)
    }

    async fn open(
        &self,
        caller: &Caller,
        question: &Question,
        denial: &Denial,
        case: &Case,
        policy: &InForce,
    ) -> Result<ReviewId, Error> {
        let policies = denial.ruling().policies.iter().map(|policy| policy.id.clone()).collect();
        let because = if case.why.is_empty() { said_by(denial) } else { case.why.clone() };
        let asked = ToAsk {
            asker: question.actor.full_name(),
            asked: Asked::from(&question.action),
            tier: case.tier.or(question.gives.tier).or(question.actor.tier()).unwrap_or(Tier::T0),
            agent: case.agent.clone().or_else(|| question.actor.tier().map(|_| question.actor.full_name())),
            policies,
            case: Case { why: because, ..case.clone() },
        };
        Ok(self.open_review(caller, asked, policy).await?.review.id)
    }

    /// Opens a review that no policy asked for: a packet did, or what happened.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub async fn open_for(&self, caller: &Caller, case: Case, asked: Asked) -> Result<ReviewRow, Error> {
        let policy = self.policy();
        let (asker, agent, tier) = (caller.actor.full_name(), case.agent.clone(), case.tier.unwrap_or(Tier::T0));
        self.open_review(caller, ToAsk { asker, asked, tier, agent, policies: Vec::new(), case }, &policy).await
    }

    async fn open_review(&self, caller: &Caller, ask: ToAsk, policy: &InForce) -> Result<ReviewRow, Error> {
        let now = self.now();
        let ToAsk { asker, asked, tier, agent, policies, case } = ask;
        for document in case.document.iter().chain(&case.before) {
            if document.len() > MAX_DOCUMENT {
                return Err(Error::invalid("what a person must approve is larger than 8 MiB; ask for less at once"));
            }
        }
        let run = caller.run.as_ref().map(|run| run.id.clone());
        let mut chain: BTreeSet<String> = caller.chain.iter().cloned().collect();
        chain.extend(caller.actor.via().map(|person| format!("{person}@{}", caller.actor.namespace())));
        // Whoever gave an agent its key stands behind what it asks for with it.
        if let (Some(_), Some(key)) = (caller.actor.tier(), &caller.key) {
            chain.extend(self.store.read(|reader| rows::maker_of(reader, &key.id))?);
        }
        let review = Review::open(
            Asks {
                id: ReviewId::new(now, self.dice.as_ref()),
                kind: case.kind.unwrap_or(ReviewKind::Action),
                asker,
                chain,
                asked,
                policy: policy.engine.version(),
                tier,
                lifetime_ms: if run.is_some() { IN_RUN_MS } else { LIFETIME_MS },
                run,
                agent,
                why: case.why,
                document: case.document.as_ref().map(|bytes| steward_seal::Digest::of(bytes)),
                before: case.before.as_ref().map(|bytes| steward_seal::Digest::of(bytes)),
            },
            now,
        );
        let row = ReviewRow { namespace: self.namespace.clone(), review, entry_seq: 0 };
        let granted = self.own_leave("review.open", &row.review.id)?;
        let node = Caller { trace: caller.trace.clone(), ..Caller::node(&self.namespace) };
        let mut change = self
            .change(&node, granted, kind::REVIEW_OPENED, row.review.id.as_str())
            .guard(row.absent())
            .row(row.row())
            .detail("review", serde_json::to_value(&row.review).map_err(Error::broken)?);
        if !policies.is_empty() {
            change = change.detail("policies", policies);
        }
        for document in case.document.into_iter().chain(case.before) {
            change = change.blob(document);
        }
        let done = self.commit(change).await?;
        tracing::info!(
            review.id = row.review.id.as_str(),
            review.kind = row.review.kind.as_str(),
            asker = row.review.asker,
            "something waits for a person's decision"
        );
        Ok(ReviewRow { entry_seq: done.recorded.seq, ..row })
    }

    /// The node's own leave to open or end a review.
    ///
    /// # Errors
    /// Policy does not let it, which is broken.
    fn own_leave(&self, action: &'static str, id: &ReviewId) -> Result<Granted, Error> {
        let policy = self.policy();
        let node = Caller::node(&self.namespace);
        let question = self.question(&node, self.action(action, ResourceKind::Review, id.as_str())?, None);
        let permit = policy.engine.decide(question, self.now()).map_err(Error::broken)?;
        let guard =
            policy.entry_seq.map(|seq| Guard::unchanged("policy", key([("namespace", self.namespace.as_str())]), seq));
        Ok(Granted { permit, guards: guard.into_iter().collect(), uses: None })
    }

    /// Ends a review for which nothing waits any more. One that ended meanwhile is left alone.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub async fn void_review(&self, row: &ReviewRow, why: &str) -> Result<(), Error> {
        self.end_review(row, Step::Void { why: why.to_owned() }).await
    }

    /// Ends a review without a decision: its time is over, or nothing waits for it any more. One that ended meanwhile is left alone.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub async fn end_review(&self, row: &ReviewRow, step: Step) -> Result<(), Error> {
        let Ok(after) = row.review.step(step, self.now()) else { return Ok(()) };
        let node = Caller::node(&self.namespace);
        let granted = self.own_leave("review.end", &row.review.id)?;
        let after = ReviewRow { review: after, ..row.clone() };
        let change = self
            .change(&node, granted, kind::REVIEW_ENDED, row.review.id.as_str())
            .urgent()
            .guard(row.guard())
            .row(after.row())
            .detail("status", after.review.status.as_str())
            .detail("why", after.review.answer());
        match self.commit(change).await {
            Err(error) if error.kind == crate::Kind::Stale => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                self.tell_reviewed();
                Ok(())
            }
        }
    }
}

struct ToAsk {
    asker: String,
    asked: Asked,
    tier: Tier,
    agent: Option<String>,
    policies: Vec<String>,
    case: Case,
}

/// What the policies that want an approval say of themselves.
fn said_by(denial: &Denial) -> String {
    let said = denial.ruling().policies.iter().map(|policy| match &policy.description {
        Some(description) => format!("{}: {description}", policy.id),
        None => policy.id.clone(),
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { "policy permits it only once a person approved it".to_owned() } else { said.join(" ") }
}

/// A review that nothing waits for any more, with what must still hold of it: to be written with what ends it.
pub fn void(row: &ReviewRow, why: &str, now: steward_clock::Timestamp) -> Option<(Row, Guard)> {
    let after = row.review.step(Step::Void { why: why.to_owned() }, now).ok()?;
    Some((ReviewRow { review: after, ..row.clone() }.row(), row.guard()))
}
