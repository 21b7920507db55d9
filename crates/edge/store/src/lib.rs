//! The durable store: one writer with group commit, many readers.
