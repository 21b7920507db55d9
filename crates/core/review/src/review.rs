//! The machine: a review, a step and now go in; the review after it comes out.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use steward_clock::Timestamp;
use steward_naming::{ActionId, ReviewId, RunId};
use steward_permit::{Action, ResourceKind, ReviewKind, Tier};
use steward_seal::Digest;

/// The longest reason of a person, in characters.
pub const MAX_REASON_CHARS: usize = 1_000;

/// The longest text that says why a review was opened, in characters.
pub const MAX_WHY_CHARS: usize = 2_000;

/// Where a review stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It waits for people.
    Pending,
    /// Enough people approved it, and it was not used yet.
    Approved,
    /// A person said no.
    Rejected,
    /// Nobody answered in time, or what was approved was not used in time.
    Expired,
    /// Nothing waits for it any more.
    Voided,
    /// What was approved was done, or is being done.
    Used,
}

impl Status {
    /// Every one, in order.
    pub const ALL: &[Self] = &[Self::Pending, Self::Approved, Self::Rejected, Self::Expired, Self::Voided, Self::Used];

    /// As it is written everywhere.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Voided => "voided",
            Self::Used => "used",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|status| status.as_str() == text).ok_or_else(|| {
            format!(
                "`{}` is no status of a review; they are pending, approved, rejected, expired, voided and used",
                steward_naming::visible(text)
            )
        })
    }
}

/// The exact action that is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// `fs.write`.
    pub action: String,
    /// The kind of its resource.
    pub kind: ResourceKind,
    /// What it would be done to.
    pub resource: String,
    /// The digest of its arguments, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Digest>,
    /// The digest of all of it: what an approval is bound to.
    pub digest: Digest,
}

impl From<&Action> for Asked {
    fn from(action: &Action) -> Self {
        Self {
            action: action.name().to_string(),
            kind: action.resource().kind(),
            resource: action.resource().id().to_owned(),
            arguments: action.arguments().copied(),
            digest: action.digest(),
        }
    }
}

/// What one person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Their full name.
    pub by: String,
    /// Yes or no.
    pub approves: bool,
    /// Why.
    pub reason: String,
    /// Whether they stand in the chain that asked, and policy let them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// When.
    #[serde(with = "crate::moment")]
    pub at: Timestamp,
}

/// What a review is opened with.
#[derive(Debug, Clone)]
pub struct Asks {
    /// Its id.
    pub id: ReviewId,
    /// What kind of decision.
    pub kind: ReviewKind,
    /// Who asks: a full name.
    pub asker: String,
    /// Everybody in the chain that asks, by full names, the asker among them.
    pub chain: BTreeSet<String>,
    /// What they ask for.
    pub asked: Asked,
    /// The version of the policy that wants a person's approval.
    pub policy: Digest,
    /// The tier of the agent that it is about, or the tier that it would get.
    pub tier: Tier,
    /// The run that waits for it.
    pub run: Option<RunId>,
    /// The agent that it is about: a full name.
    pub agent: Option<String>,
    /// Why it is asked, in words.
    pub why: String,
    /// What it is about, whole: a document.
    pub document: Option<Digest>,
    /// What it would replace.
    pub before: Option<Digest>,
    /// How long it is good for, in milliseconds.
    pub lifetime_ms: u64,
}

/// A decision that a person must make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// Its id.
    pub id: ReviewId,
    /// What kind of decision.
    pub kind: ReviewKind,
    /// Where it stands.
    pub status: Status,
    /// Who asks: a full name.
    pub asker: String,
    /// Everybody in the chain that asks, by full names.
    pub chain: BTreeSet<String>,
    /// What they ask for.
    pub asked: Asked,
    /// The version of the policy that it is bound to.
    pub policy: Digest,
    /// The tier of the agent that it is about, or the tier that it would get.
    pub tier: Tier,
    /// The run that waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The agent that it is about: a full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Why it is asked, in words.
    pub why: String,
    /// What it is about, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Digest>,
    /// What it would replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Digest>,
    /// When it was opened.
    #[serde(with = "crate::moment")]
    pub opened_at: Timestamp,
    /// From when on it is good for nothing.
    #[serde(with = "crate::moment")]
    pub expires_at: Timestamp,
    /// What people said, in order.
    pub decisions: Vec<Decision>,
    /// Why it was voided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided: Option<String>,
    /// The action that used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<ActionId>,
}

/// What can be said to a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A person says yes.
    Approve {
        /// Their full name.
        by: String,
        /// Whether policy let them though they stand in the chain that asked.
        own: bool,
        /// Whether those who approved are enough then, by policy.
        enough: bool,
        /// Why.
        reason: String,
    },
    /// A person says no.
    Reject {
        /// Their full name.
        by: String,
        /// Why.
        reason: String,
    },
    /// What was approved is about to be done.
    Use {
        /// The digest of what is about to be done.
        digest: Digest,
        /// The version of the policy in force.
        policy: Digest,
        /// The decision that uses it.
        action: ActionId,
    },
    /// Its time is over.
    Expire,
    /// Nothing waits for it any more.
    Void {
        /// Why.
        why: String,
    },
}

/// Why a step cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was decided, or is over.
    #[error("`{id}` is {status} already; whatever is asked anew is a review of its own")]
    Over {
        /// Which.
        id: ReviewId,
        /// Where it stands.
        status: Status,
    },
    /// Its time is over.
    #[error("`{0}` has expired, which is a denial; whoever asked may ask anew")]
    Expired(ReviewId),
    /// Its time is not over.
    #[error("`{0}` has not expired yet")]
    NotExpired(ReviewId),
    /// The same person twice.
    #[error("`{by}` approved this already; another person must, too")]
    Twice {
        /// Who.
        by: String,
    },
    /// Nobody approved it yet.
    #[error("`{0}` is not approved")]
    NotApproved(ReviewId),
    /// It is about something else.
    #[error("`{0}` is about another action: an approval is good for exactly what was asked, and for nothing else")]
    OtherAction(ReviewId),
    /// The policy is another one.
    #[error("`{0}` is of another policy than the one in force; whoever asked may ask anew")]
    OtherPolicy(ReviewId),
    /// A person who approves or rejects says why.
    #[error("the reason says why, on one line of at most {MAX_REASON_CHARS} characters")]
    NoReason,
}

impl Review {
    /// A review that waits for people.
    pub fn open(asks: Asks, now: Timestamp) -> Self {
        let Asks { id, kind, asker, mut chain, asked, policy, tier, run, agent, why, document, before, lifetime_ms } =
            asks;
        chain.insert(asker.clone());
        Self {
            id,
            kind,
            status: Status::Pending,
            asker,
            chain,
            asked,
            policy,
            tier,
            run,
            agent,
            why: why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WHY_CHARS).collect(),
            document,
            before,
            opened_at: now,
            expires_at: now.plus_ms(lifetime_ms),
            decisions: Vec::new(),
            voided: None,
            used_by: None,
        }
    }

    /// Whether somebody stands in the chain that asked.
    pub fn is_of(&self, name: &str) -> bool {
        self.chain.contains(name)
    }

    /// Whether a policy wanted it, whose version an approval is bound to: not what a packet or what happened wants a person for.
    pub fn is_of_policy(&self) -> bool {
        !matches!(self.kind, ReviewKind::Criterion | ReviewKind::Escalation | ReviewKind::Outcome)
    }

    /// How many people approved it.
    pub fn approvals(&self) -> usize {
        self.decisions.iter().filter(|decision| decision.approves).count()
    }

    /// Whether it still waits for people at `now`.
    pub fn is_pending(&self, now: Timestamp) -> bool {
        self.status == Status::Pending && now < self.expires_at
    }

    /// Whether it can still become something else: it waits, or is approved and not used.
    pub fn is_open(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Approved)
    }

    /// Whether it allows `action`, under this policy, at `now`: it was approved, or this very action used it.
    pub fn allows(&self, digest: &Digest, policy: &Digest, action: &ActionId, now: Timestamp) -> bool {
        let bound = self.asked.digest == *digest && self.policy == *policy;
        let good = match self.status {
            Status::Approved => now < self.expires_at,
            Status::Used => self.used_by.as_ref() == Some(action),
            _ => false,
        };
        bound && good
    }

    /// The review after a step.
    ///
    /// # Errors
    /// Why it cannot be taken. The review is as it was.
    pub fn step(&self, step: Step, now: Timestamp) -> Result<Self, Refusal> {
        let mut after = self.clone();
        match step {
            Step::Approve { by, own, enough, reason } => {
                self.waits(now)?;
                if self.decisions.iter().any(|decision| decision.by == by) {
                    return Err(Refusal::Twice { by });
                }
                after.decisions.push(Decision { by, approves: true, reason: why(&reason)?, own, at: now });
                if enough {
                    after.status = Status::Approved;
                }
            }
            Step::Reject { by, reason } => {
                self.waits(now)?;
                after.decisions.push(Decision { by, approves: false, reason: why(&reason)?, own: false, at: now });
                after.status = Status::Rejected;
            }
            Step::Use { digest, policy, action } => {
                match self.status {
                    Status::Approved => {}
                    Status::Pending => return Err(Refusal::NotApproved(self.id.clone())),
                    status => return Err(Refusal::Over { id: self.id.clone(), status }),
                }
                if now >= self.expires_at {
                    return Err(Refusal::Expired(self.id.clone()));
                }
                if self.asked.digest != digest {
                    return Err(Refusal::OtherAction(self.id.clone()));
                }
                if self.policy != policy {
                    return Err(Refusal::OtherPolicy(self.id.clone()));
                }
                after.status = Status::Used;
                after.used_by = Some(action);
            }
            Step::Expire => {
                self.open_still()?;
                if now < self.expires_at {
                    return Err(Refusal::NotExpired(self.id.clone()));
                }
                after.status = Status::Expired;
            }
            Step::Void { why } => {
                self.open_still()?;
                after.status = Status::Voided;
                after.voided =
                    Some(why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_WHY_CHARS).collect());
            }
        }
        Ok(after)
    }

    fn open_still(&self) -> Result<(), Refusal> {
        if self.is_open() { Ok(()) } else { Err(Refusal::Over { id: self.id.clone(), status: self.status }) }
    }

    fn waits(&self, now: Timestamp) -> Result<(), Refusal> {
        if self.status != Status::Pending {
            return Err(Refusal::Over { id: self.id.clone(), status: self.status });
        }
        if now >= self.expires_at { Err(Refusal::Expired(self.id.clone())) } else { Ok(()) }
    }

    /// Why it allows nothing, in words, if it does not.
    pub fn answer(&self) -> String {
        let last = self.decisions.last();
        match self.status {
            Status::Pending => format!("`{}` waits for a person", self.id),
            Status::Approved => format!("`{}` is approved", self.id),
            Status::Used => format!("`{}` was approved, and used", self.id),
            Status::Rejected => {
                let (by, reason) = last.map_or(("somebody", ""), |last| (last.by.as_str(), last.reason.as_str()));
                format!("`{}` was rejected by {by}: {reason}", self.id)
            }
            Status::Expired => format!(
                "`{}` expired at {} without being answered and used, which is a denial",
                self.id, self.expires_at
            ),
            Status::Voided => format!("`{}` was voided: {}", self.id, self.voided.as_deref().unwrap_or_default()),
        }
    }
}

/// A reason as it may stand in the record.
fn why(reason: &str) -> Result<String, Refusal> {
    let reason = reason.trim();
    let bad = reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS || reason.chars().any(char::is_control);
    if bad { Err(Refusal::NoReason) } else { Ok(reason.to_owned()) }
}
