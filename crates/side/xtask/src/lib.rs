//! Checks, soaks and benchmarks.
