//! The stable codes of refusals. docs/errors has a page for each; codes of denials and of effects are listed where they are made
//! (`permit::DenialCode`, `worker::EffectError`), and are pages there too.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* pub const $name: &str = stringify!($name);)*
        /// Every code of this list.
        pub const ALL: &[&str] = &[$($name),*];
    };
}

codes! {
    /// What was asked for does not exist, or may not be seen.
    NOT_FOUND,
    /// The name is in use.
    NAME_TAKEN,
    /// The request is not well formed.
    INVALID_REQUEST,
    /// The body is larger than the limit.
    BODY_TOO_LARGE,
    /// No key, or none that is known.
    UNAUTHENTICATED,
    /// The key was revoked.
    KEY_REVOKED,
    /// The key has ended.
    KEY_EXPIRED,
    /// The key was good for one request, and was used.
    KEY_USED,
    /// A key that is good for one request cannot be used to read.
    KEY_SINGLE_USE,
    /// The key's holder is disabled.
    HOLDER_DISABLED,
    /// The agent was revoked, and no person reinstated it.
    AGENT_REVOKED,
    /// A revoked agent does not begin a run.
    AGENT_PREVIOUSLY_REVOKED,
    /// A run does not begin without its packet.
    NO_INSTRUCTION_PACKET,
    /// The agent has a run already.
    CANNOT_ACQUIRE_LOCK,
    /// The packet does not fit the agent, the task or this node.
    PREFLIGHT_FAILED,
    /// The run lost its execution lock.
    LOCK_LOST,
    /// The run reached an end.
    RUN_OVER,
    /// The agent is in no run, and acts within one only.
    NO_RUN,
    /// The key is not one of an agent.
    NOT_AN_AGENT,
    /// The successor of a revoked agent does not go on before it says that it read the handoff.
    HANDOFF_NOT_ACKNOWLEDGED,
    /// The plan wants what the packet does not give.
    PLAN_OUTSIDE_PACKET,
    /// A child wants more than its parent has.
    WIDER_THAN_PARENT,
    /// Children of children of children …
    RUN_TOO_DEEP,
    /// A run has as many children as it may.
    TOO_MANY_CHILDREN,
    /// There is no plan to approve.
    NO_PLAN,
    /// The agent's process ended before it said that it was finished.
    AGENT_EXITED,
    /// The agent, or one of its tools, reached a limit of its sandbox.
    SANDBOX_LIMIT,
    /// A success criterion does not hold.
    CRITERION_FAILED,
    /// PACKAGE did not find a deliverable.
    MISSING_DELIVERABLE,
    /// A person stopped the run, or its parent ended.
    STOPPED,
    /// A rule of the packet stopped the run.
    ESCALATED,
    /// A person must decide first.
    NEEDS_REVIEW,
    /// A person was asked, and said no.
    REVIEW_REFUSED,
    /// The review was decided, or its time is over.
    REVIEW_OVER,
    /// A hook was not told: what it answered, how its command ended, or what it is signed with.
    HOOK_FAILED,
    /// Spans were not sent to the receiver of traces, or it did not take them.
    TRACES_NOT_SENT,
    /// The agent's record is not what a promotion asks for.
    RECORD_TOO_SHORT,
    /// The agent said what is not of its protocol.
    PROTOCOL,
    /// Too many calls in too short a time.
    RATE_LIMITED,
    /// The node runs as many agents as it may.
    TOO_MANY_RUNS,
    /// The agent reported a problem.
    REPORTED,
    /// What a tool's server says of it is not what was pinned.
    TOOL_CHANGED,
    /// The server of a tool cannot be reached.
    TOOL_SERVER_UNAVAILABLE,
    /// A secret that something needs is not there.
    NO_SECRET,
    /// The keystore does not open, so that no secret of it can be used.
    KEYSTORE_LOCKED,
    /// What is kept of a secret does not open.
    SECRET_DAMAGED,
    /// A secret is made for each lease, and its generator made none.
    SECRET_NOT_MADE,
    /// A generator did not end what it made for a lease.
    SECRET_NOT_ENDED,
    /// A secret names a generator that is not in the node's configuration.
    NO_GENERATOR,
    /// There is no such model, or it has no price while a budget is in money.
    NO_MODEL,
    /// A token of an issuer is not believed.
    TOKEN_REFUSED,
    /// A token that is good for one exchange was exchanged.
    TOKEN_USED,
    /// Nobody of this node is linked with whom a token is about.
    NOT_LINKED,
    /// An issuer's keys cannot be had.
    ISSUER_UNAVAILABLE,
    /// The key is not a log-in key.
    NOT_A_LOGIN_KEY,
    /// Three times in a row something else changed first.
    STALE,
    /// The permit expired before it could be used.
    PERMIT_EXPIRED,
    /// The store has no space left.
    STORE_FULL,
    /// The store takes no changes.
    STORE_CLOSED,
    /// Somebody keeps a head of a longer ledger: nothing is written until an administrator takes that knowingly.
    ROLLED_BACK,
    /// The body of this entry cannot be erased, or is erased already.
    CANNOT_REDACT,
    /// The action is permitted, and this node has no tool for it.
    NO_TOOL,
    /// The node was stopped or killed before the effect happened.
    INTERRUPTED,
    /// The node was killed at a moment that leaves open whether the effect happened.
    OUTCOME_UNKNOWN,
    /// The last administrator cannot be disabled.
    LAST_ADMIN,
    /// Too many requests at once.
    BUSY,
    /// A body that did not arrive in time, or a request that took too long.
    TIMEOUT,
    /// Something is broken inside; the log says what.
    INTERNAL,
}
