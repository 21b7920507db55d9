//! Builders and a real embedded node for tests.
