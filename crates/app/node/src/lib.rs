//! What every verb is given.
