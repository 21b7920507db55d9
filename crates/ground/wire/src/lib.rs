//! What crosses a socket: versioned shapes without behaviour.
