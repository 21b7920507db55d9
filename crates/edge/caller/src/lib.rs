//! Typed caller of the node's API.
