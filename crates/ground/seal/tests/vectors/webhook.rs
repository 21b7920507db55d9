//! Signatures of webhooks: the vector that the Standard Webhooks specification and its libraries publish, and further ones that were
//! computed with the official library for Python (standardwebhooks 1.0.1).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use steward_seal::{
    secret::Secret,
    webhook::{NoWebhookKey, WebhookKey},
};

/// Secret, id, second, body, signature.
const SIGNED: &[(&str, &str, i64, &str, &str)] = &[
    // The published one.
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1_614_265_330,
        r#"{"test": 2432232314}"#,
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    (
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "rvw_01KAHW5V8NQ4Z0M7C2R9T3XBYD_opened",
        1_795_000_000,
        r#"{"type":"review.opened","data":{"agent":"scrïbe"}}"#,
        "v1,zVn3AyBSBASZO+/cAPBh+5HCiYdxD+OPBUAolnYYGy0=",
    ),
    (
        "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==",
        "test_1",
        1,
        "",
        "v1,+5J9tck1f0iP0qDkDk3bLCVfEO9qod+ntwumnCKeLjI=",
    ),
];

#[test]
fn signatures_are_those_that_others_make() {
    for (secret, id, at, body, signature) in SIGNED {
        let key = WebhookKey::parse(&Secret::new(secret)).expect("a key");
        assert_eq!(key.sign(id, *at, body.as_bytes()), *signature, "{id}");
    }
}

#[test]
fn everything_that_is_signed_matters() {
    let (secret, id, at, body, signature) = SIGNED[0];
    let key = WebhookKey::parse(&Secret::new(secret)).expect("a key");
    assert_ne!(key.sign("msg_p5jXN8AQM9LWM0D4loKWxJeK", at, body.as_bytes()), signature);
    assert_ne!(key.sign(id, at + 1, body.as_bytes()), signature);
    assert_ne!(key.sign(id, at, br#"{"test": 2432232315}"#), signature);
    let other = WebhookKey::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx")).expect("a key");
    assert_ne!(other.sign(id, at, body.as_bytes()), signature);
}

#[test]
fn what_is_no_key_is_refused_and_not_shown() {
    let of = |bytes: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![7; bytes]));
    for good in [24, 32, 64] {
        assert!(WebhookKey::parse(&Secret::new(&of(good))).is_ok(), "{good} bytes");
    }
    let wrong = [
        of(23),
        of(65),
        of(24).replace("whsec_", ""),
        of(24).replace("whsec_", "WHSEC_"),
        "whsec_".to_owned(),
        "whsec_nonsense!".to_owned(),
        String::new(),
    ];
    for text in wrong {
        assert_eq!(WebhookKey::parse(&Secret::new(&text)).err(), Some(NoWebhookKey), "{text}");
    }
    let shown = NoWebhookKey.to_string();
    assert!(shown.contains("openssl") && !shown.contains("nonsense"), "{shown}");
    let key = WebhookKey::parse(&Secret::new(SIGNED[0].0)).expect("a key");
    assert_eq!(format!("{key:?}"), "***");
}
