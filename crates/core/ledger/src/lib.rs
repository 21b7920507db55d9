//! The Merkle log, and proofs that anyone can check off-line.
