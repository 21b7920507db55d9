//! libFuzzer's way in: fuzzes the target that `STEWARD_FUZZ` names. How it is called stands in the library's first lines.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::{Corpus, fuzz_target};

static TARGET: OnceLock<fn(&[u8]) -> bool> = OnceLock::new();

fuzz_target!(|data: &[u8]| -> Corpus {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("STEWARD_FUZZ").expect("set STEWARD_FUZZ to the name of a target");
        let found = steward_fuzz::TARGETS.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("`{name}` is not one of the targets in fuzz/src/lib.rs")).1
    });
    target(data);
    Corpus::Keep
});
