//! What joins two nouns.
