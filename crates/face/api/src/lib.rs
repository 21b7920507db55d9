//! HTTP in: the only crate that knows status codes.
