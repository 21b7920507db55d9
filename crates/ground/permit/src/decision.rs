//! The answer.

use std::fmt;

use serde::{Deserialize, Serialize};
use steward_clock::Timestamp;
use steward_naming::{ActionId, KeyId};
use steward_seal::Digest;

use crate::{
    action::Action,
    actor::{Actor, words},
    circumstances::Circumstances,
};

/// How long a permit can be used, in milliseconds: long enough to commit under load, too short to be kept.
pub const PERMIT_LIFETIME_MS: u64 = 30_000;

/// A policy that made a decision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Matched {
    /// The policy's `@id`, or its file and number.
    pub id: String,
    /// The file that it stands in.
    pub file: String,
    /// Its `@description`: what it means to a person.
    pub description: Option<String>,
}

words!(
    /// Why something was refused. Stable; each has a page in docs/errors.
    DenialCode, "a denial code", {
        /// No policy permits it.
        NotPermitted = "NOT_PERMITTED",
        /// A policy forbids it.
        Forbidden = "FORBIDDEN",
        /// A policy could not be evaluated. Also an incident: somebody must look.
        PolicyError = "POLICY_ERROR",
        /// No such action is known.
        UnknownAction = "UNKNOWN_ACTION",
        /// The action's name or resource is malformed, or could be mistaken for another.
        Malformed = "MALFORMED_ACTION",
        /// The node is halted: nothing that agents ask for is done.
        Halted = "HALTED",
        /// The run that it was asked in is over.
        RunOver = "RUN_OVER",
        /// The run's phase does not allow it.
        WrongPhase = "WRONG_PHASE",
        /// The run's packet forbids it.
        ForbiddenAction = "FORBIDDEN_ACTION",
        /// The run's packet does not allow it.
        OutOfScope = "OUT_OF_SCOPE",
        /// What the tool's server says of it is not what a person pinned.
        ToolChanged = "TOOL_CHANGED",
        /// Something about the tool is suspicious, and nobody said that they saw it.
        ToolSuspicious = "TOOL_SUSPICIOUS",
        /// A budget for models has nothing left for it.
        OverBudget = "OVER_BUDGET",
        /// Policy permits it once a person approved exactly this, and nobody has.
        NeedsReview = "NEEDS_REVIEW",
        /// A person was asked and said no, or nobody answered in time.
        ReviewRefused = "REVIEW_REFUSED",
        /// The secret that it needs was revoked.
        SecretRevoked = "SECRET_REVOKED",
        /// The secret that it needs was granted to others.
        SecretNotGranted = "SECRET_NOT_GRANTED",
        /// A person took back that its run has the secret that it needs.
        LeaseRevoked = "LEASE_REVOKED",
        /// The values of the secret that it needs are made for the leases of runs, and it was asked in none.
        SecretNeedsRun = "SECRET_NEEDS_RUN",
    }
);

impl DenialCode {
    /// Whether it is no policy's decision but one of the run that it was asked in, of the halt, or of what was found in a tool; its
    /// reason stands in [`Denial::errors`].
    pub const fn is_of_run(self) -> bool {
        matches!(
            self,
            Self::Halted
                | Self::RunOver
                | Self::WrongPhase
                | Self::ForbiddenAction
                | Self::OutOfScope
                | Self::ToolChanged
                | Self::ToolSuspicious
                | Self::OverBudget
                | Self::ReviewRefused
                | Self::SecretRevoked
                | Self::SecretNotGranted
                | Self::LeaseRevoked
                | Self::SecretNeedsRun
        )
    }
}

/// What a decision was made about, and by what. Permits and denials share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The id of the decision and of the effect that it allows.
    pub id: ActionId,
    /// Who asked.
    pub actor: Actor,
    /// The key that they asked with.
    pub key: Option<KeyId>,
    /// What they asked for.
    pub action: Action,
    /// What else the policy was told; none if there was nothing that it could be asked.
    pub circumstances: Option<Circumstances>,
    /// The policies that made the decision.
    pub policies: Vec<Matched>,
    /// The version (digest) of the policy in force.
    pub policy_version: Digest,
    /// When it was decided.
    pub at: Timestamp,
}

/// Makes permits and denials. Only the policy engine holds one; `cargo xtask tidy` checks that nothing else names this type.
#[derive(Debug)]
pub struct Issuer(());

impl Issuer {
    /// The issuer of a policy engine.
    pub const fn for_policy_engine() -> Self {
        Self(())
    }

    /// A permit for what was ruled.
    pub fn permit(&self, ruling: Ruling) -> Permit {
        let expires_at = ruling.at.plus_ms(PERMIT_LIFETIME_MS);
        Permit { ruling, expires_at }
    }

    /// A denial of what was ruled. `errors` are messages of policies that could not be evaluated, or why the run does not allow
    /// it.
    pub fn denial(&self, ruling: Ruling, code: DenialCode, errors: Vec<String>) -> Denial {
        Denial { ruling, code, errors }
    }
}

/// Leave to do one exact thing, once, soon. Consumed by the store's commit.
#[derive(Debug)]
#[must_use = "a permit that is not committed permits nothing"]
pub struct Permit {
    ruling: Ruling,
    expires_at: Timestamp,
}

impl Permit {
    /// What was decided.
    pub fn ruling(&self) -> &Ruling {
        &self.ruling
    }

    /// When it can no longer be used.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Spends the permit. Called by the store when the permit's entry is durable, and by nothing else.
    pub fn spend(self, seq: u64) -> Warrant {
        Warrant {
            digest: self.ruling.action.digest(),
            actor: self.ruling.actor.full_name(),
            action: self.ruling.id,
            seq,
        }
    }
}

/// A refusal, to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    ruling: Ruling,
    code: DenialCode,
    errors: Vec<String>,
}

impl Denial {
    /// What was decided.
    pub fn ruling(&self) -> &Ruling {
        &self.ruling
    }

    /// Why.
    pub fn code(&self) -> DenialCode {
        self.code
    }

    /// Messages of policies that could not be evaluated, or why the run that it was asked in does not allow it.
    pub fn errors(&self) -> &[String] {
        &self.errors
    }

    /// Whether somebody must look: a policy is broken.
    pub fn is_incident(&self) -> bool {
        self.code == DenialCode::PolicyError
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ruling { actor, action, policies, .. } = &self.ruling;
        match self.code {
            DenialCode::NotPermitted => write!(f, "no policy permits {actor} to do {action}"),
            DenialCode::Forbidden => {
                let ids: Vec<&str> = policies.iter().map(|p| p.id.as_str()).collect();
                write!(f, "{} forbids {actor} to do {action}", ids.join(" and "))
            }
            DenialCode::NeedsReview => {
                write!(f, "a person must approve that {actor} does {action}; `steward review list` shows what waits")
            }
            DenialCode::PolicyError => {
                write!(f, "a policy could not be evaluated when {actor} asked for {action}, so it was refused")
            }
            DenialCode::UnknownAction => write!(f, "{actor} asked for {action}, an action that no policy knows"),
            DenialCode::Malformed => write!(f, "{actor} asked for something malformed"),
            DenialCode::Halted
            | DenialCode::RunOver
            | DenialCode::WrongPhase
            | DenialCode::ForbiddenAction
            | DenialCode::OutOfScope
            | DenialCode::ToolChanged
            | DenialCode::OverBudget
            | DenialCode::ReviewRefused
            | DenialCode::SecretRevoked
            | DenialCode::SecretNotGranted
            | DenialCode::LeaseRevoked
            | DenialCode::SecretNeedsRun
            | DenialCode::ToolSuspicious => f.write_str(&self.errors.join("; ")),
        }
    }
}

/// Proof that something was permitted and that its record is durable. Effects take one.
#[derive(Debug)]
#[must_use = "a warrant is for the effect that it was given for"]
pub struct Warrant {
    action: ActionId,
    actor: String,
    digest: Digest,
    seq: u64,
}

impl Warrant {
    /// The decision and effect.
    pub fn action(&self) -> &ActionId {
        &self.action
    }

    /// The full name of the actor that it was given to.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The digest of the exact action.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The ledger entry that recorded it.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}
