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
