//! The ledger, read, searched, proved and exported.
