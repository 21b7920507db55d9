//! Carries out effects that were permitted and journalled.
