//! Governed actions and their effects.
