//! May this actor do this to that, and why.
