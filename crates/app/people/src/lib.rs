//! People and their keys.
