//! The kinds of entries. A kind stands in the leaf, where strangers can read it, so it names what happened and to nobody.
//!
//! `kind::is_well_formed` says what a kind looks like; [`ALL`] lists those of this version. An audit accepts others that
//! are well formed: an older reader must be able to verify a newer ledger.
//!
//! Deliberately absent: what each kind's detail holds; that is said where the entry is made.

/// The most bytes of a kind.
pub const MAX_KIND_BYTES: usize = 64;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $text;)*

        /// Every kind of this version.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

kinds! {
    /// The ledger was made: its first entry, which names its origin.
    LEDGER_CREATED = "ledger.created";
    /// Policies were read and are in force from here on; the body names their version and files.
    POLICY_LOADED = "policy.loaded";
    /// A person was enrolled.
    PERSON_ADDED = "person.added";
    /// A person may no longer do anything.
    PERSON_DISABLED = "person.disabled";
    /// A person of the node was linked with somebody of an issuer: they log in by it, or their service's tokens are taken.
    PERSON_LINKED = "person.linked";
    /// A link was taken away, and with it every key that came from it.
    PERSON_UNLINKED = "person.unlinked";
    /// An issuer is asked for its keys.
    ISSUER_ASKED = "issuer.asked";
    /// A key was made for a person or an agent; only its digest is kept.
    KEY_CREATED = "key.created";
    /// A key no longer opens anything.
    KEY_REVOKED = "key.revoked";
    /// A key for logging in was exchanged for another, once.
    KEY_EXCHANGED = "key.exchanged";
    /// An agent was enrolled.
    AGENT_ADDED = "agent.added";
    /// An action was permitted and is about to be staged.
    ACTION_INTENDED = "action.intended";
    /// An action was permitted again and is about to be published; whoever finds this as the last entry must find out.
    ACTION_PUBLISHING = "action.publishing";
    /// How an action ended: it succeeded, failed, or nobody knows.
    ACTION_SETTLED = "action.settled";
    /// A decision that was asked for by itself, without an effect.
    ACTION_DECIDED = "action.decided";
    /// An action was refused: the first of its principal, action and minute, whole.
    ACTION_REFUSED = "action.refused";
    /// How many more refusals like the one before there were in that minute.
    DENIALS_COUNTED = "denials.counted";
    /// The node started, with this version and configuration.
    NODE_STARTED = "node.started";
    /// The node was stopped in order. If this is missing before the next start, it was killed.
    NODE_STOPPED = "node.stopped";
    /// The store's tables were brought to a newer version.
    STORE_MIGRATED = "store.migrated";
    /// A person started a run of an agent; the body names its packet.
    RUN_STARTED = "run.started";
    /// A run was asked for and did not come to be.
    RUN_REFUSED = "run.refused";
    /// A run went from one phase to the next; its lock and credential were renewed.
    RUN_PHASE = "run.phase";
    /// A run's lock and credential were renewed between two phases, because its agent is alive.
    RUN_RENEWED = "run.renewed";
    /// An agent submitted a plan.
    RUN_PLANNED = "run.planned";
    /// An error was charged to a run's budget.
    RUN_ERROR = "run.error";
    /// A person looked at a run that was held for them: it goes on, or stops.
    RUN_LOOKED = "run.looked";
    /// A child of a run began or ended.
    RUN_CHILD = "run.child";
    /// An agent's process was started in its sandbox.
    RUN_AGENT_STARTED = "run.agent_started";
    /// A run ended; its lock and credential were released, and whatever else the ending asks for.
    RUN_ENDED = "run.ended";
    /// How the process of a run's agent ended, and what it used.
    RUN_AGENT_ENDED = "run.agent_ended";
    /// An agent may do nothing any more until a person reinstates it.
    AGENT_REVOKED = "agent.revoked";
    /// A person reinstated a revoked agent, one tier lower.
    AGENT_REINSTATED = "agent.reinstated";
    /// A person said what became of an effect of which nobody knew.
    EFFECT_RESOLVED = "effect.resolved";
    /// A person halted the node: no run, no effect, until a person resumes.
    NODE_HALTED = "node.halted";
    /// A person let the node go on.
    NODE_RESUMED = "node.resumed";
    /// A person added a server of tools.
    TOOL_SERVER_ADDED = "tool.server_added";
    /// A person took a server of tools away, and what was pinned and allowed of it.
    TOOL_SERVER_REMOVED = "tool.server_removed";
    /// A person pinned what a server says of its tools.
    TOOL_PINNED = "tool.pinned";
    /// A person allowed tools from a tier on, or no longer.
    TOOL_ALLOWED = "tool.allowed";
    /// The process of a server of tools was started in its sandbox.
    TOOL_SERVER_STARTED = "tool.server_started";
    /// What a server says of its tools is not what was pinned: an incident. These tools are refused until a person pins them anew.
    TOOL_CHANGED = "tool.changed";
    /// A person added a language model.
    MODEL_ADDED = "model.added";
    /// A person took a language model away.
    MODEL_REMOVED = "model.removed";
    /// A person set a budget for models, or took it away.
    BUDGET_SET = "budget.set";
    /// Something waits for a person's decision; the body names the exact action, and the policy that wants it.
    REVIEW_OPENED = "review.opened";
    /// A person approved; the body says whether that is enough.
    REVIEW_APPROVED = "review.approved";
    /// A person said no.
    REVIEW_REJECTED = "review.rejected";
    /// A review ended without a decision, or without being used: its time was over, or nothing waits for it any more.
    REVIEW_ENDED = "review.ended";
    /// An agent got a tier more, by its record and a person's approval, or got one back.
    AGENT_PROMOTED = "agent.promoted";
    /// A person took a tier from an agent.
    AGENT_DEMOTED = "agent.demoted";
    /// A person put a secret into the keystore; its value stands nowhere in the record.
    SECRET_PUT = "secret.put";
    /// A person gave a secret another value; the one before was erased.
    SECRET_ROTATED = "secret.rotated";
    /// A person revoked a secret; its value was erased.
    SECRET_REVOKED = "secret.revoked";
    /// A person said for which agent a secret is, or took that back.
    SECRET_GRANTED = "secret.granted";
    /// A run was given the use of a secret, for a time.
    SECRET_LEASED = "secret.leased";
    /// The use of a secret ended, other than with the end of a run.
    SECRET_LEASE_ENDED = "secret.lease_ended";
    /// A generator is about to be told to make the value of a secret, for one lease.
    SECRET_MAKING = "secret.making";
    /// A generator made no value that can be used; what it may have made all the same is ended.
    SECRET_NOT_MADE = "secret.not_made";
    /// A generator is about to be told to end what it made for a lease.
    SECRET_ENDING = "secret.ending";
    /// Whether a generator ended what it made for a lease; if not, when it is told again.
    SECRET_ENDED = "secret.ended";
    /// An administrator had the body and salt of another entry erased: names that entry, and what is left of it.
    LEDGER_REDACTED = "ledger.redacted";
    /// Bodies and salts of entries that are older than the node keeps them were erased: names each, and what is left of it.
    LEDGER_SWEPT = "ledger.swept";
    /// The ledger goes on under a new origin although a longer one of the old origin is known: it was restored from an old copy, and somebody
    /// took that knowingly. Names the head that was lost.
    ROLLBACK_ACCEPTED = "node.rollback_accepted";
    /// There is news for a hook; the body names what is to be told.
    HOOK_QUEUED = "hook.queued";
    /// A hook is about to be told something, or tried by a person.
    HOOK_SENDING = "hook.sending";
    /// Whether a hook was told; if not, when it is tried again, or that it was given up.
    HOOK_SETTLED = "hook.settled";
    /// Spans are about to be sent to a receiver of traces; the body says how many, and of which entries.
    TRACES_SENDING = "traces.sending";
    /// Whether spans were sent and taken; if not, when it is tried again, or that they were dropped.
    TRACES_SETTLED = "traces.settled";
    /// Somebody read bodies of the ledger, or what a review is about: reading the audit is itself audited.
    LEDGER_READ = "ledger.read";
}

/// Whether `kind` can stand in a leaf: 1 to 64 of `a-z`, `0-9`, `_` and inner dots.
pub fn is_well_formed(kind: &str) -> bool {
    kind.len() <= MAX_KIND_BYTES
        && kind.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.'))
        && !kind.split('.').any(str::is_empty)
}

#[cfg(test)]
mod tests {
    use super::{ALL, is_well_formed};

    #[test]
    fn kinds_are_well_formed_and_different() {
        for (n, kind) in ALL.iter().enumerate() {
            assert!(is_well_formed(kind), "{kind}");
            assert!(!ALL[..n].contains(kind), "{kind} is there twice");
        }
        for kind in ["", ".", "a.", ".a", "a..b", "A", "a b", "ä", "a\"", &"a".repeat(65)] {
            assert!(!is_well_formed(kind), "{kind:?}");
        }
    }
}
