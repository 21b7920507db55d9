//! The policy in force.
