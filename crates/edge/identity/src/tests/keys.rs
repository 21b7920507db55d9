//! Sets of keys.

use expect_test::expect;
use serde_json::json;

use super::{b64, jwk, signer};
use crate::{KeySet, MAX_KEY_SET_BYTES};

fn read(text: &str) -> String {
    match KeySet::read(text.as_bytes()) {
        Ok(set) => format!("{} keys", set.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn keys_that_are_for_something_else_are_left_out() {
    let key = jwk("one", &signer(1));
    let but = |other: serde_json::Value| {
        let set = json!({"keys": [super::with(&key, other)]});
        KeySet::read(set.to_string().as_bytes()).expect("a set").len()
    };
    assert_eq!(but(json!({})), 1);
    assert_eq!(but(json!({"use": null, "key_ops": ["verify"], "alg": "EdDSA", "kid": null})), 1);
    for other in [
        json!({"use": "enc"}),
        json!({"key_ops": ["sign"]}),
        json!({"key_ops": "verify"}),
        json!({"alg": "RS256"}),
        json!({"alg": "HS256"}),
        json!({"alg": "none"}),
        json!({"crv": "Ed448"}),
        json!({"crv": "X25519"}),
        json!({"crv": null}),
        json!({"kty": "oct", "k": "c2VjcmV0"}),
        json!({"kty": "AKP"}),
        json!({"kty": null}),
        json!({"x": "AAAA"}),
        // Of small order: anything verifies under it.
        json!({"x": b64([0; 32])}),
        json!({"x": b64([&[1][..], &[0; 31]].concat())}),
        json!({"kty": "EC", "crv": "P-256", "x": b64([1; 31]), "y": b64([1; 32])}),
        json!({"kty": "EC", "crv": "secp256k1", "x": b64([1; 32]), "y": b64([1; 32])}),
        json!({"kty": "RSA", "crv": null, "n": b64([0xff; 128]), "e": "AQAB"}),
        json!({"kty": "RSA", "crv": null, "n": b64([0xff; 1025]), "e": "AQAB"}),
        json!({"kty": "RSA", "crv": null, "n": b64([0xff; 256]), "e": b64([0xff; 5])}),
        json!({"kty": "RSA", "crv": null, "n": b64([0xff; 256])}),
    ] {
        assert_eq!(but(other.clone()), 0, "{other}");
    }
}

#[test]
fn what_is_no_set_of_keys() {
    let key = jwk("one", &signer(1));
    let many = json!({"keys": vec![json!({"kty": "oct"}); 65]}).to_string();
    let lines = [
        read("{\"keys\": []}"),
        read(""),
        read("[]"),
        read("{\"keys\": {}}"),
        read("{\"keys\": [7]}"),
        read("{\"keys\": [], \"keys\": []}"),
        read(&many),
        read(&" ".repeat(MAX_KEY_SET_BYTES + 1)),
        read(&json!({"keys": [key, key]}).to_string()),
        read(&json!({"keys": [super::with(&key, json!({"d": "x"}))]}).to_string()),
    ];
    expect![[r#"
        0 keys
        line 1, column 1: EOF while parsing a value
        it has no list `keys`
        it has no list `keys`
        a key is not an object
        line 1, column 19: the key `keys` is written twice
        it has more than 64 keys
        the document has 262145 bytes; at most 262144 are read
        two of its keys have one `kid`
        it has a private key, so that anybody can sign with it; its issuer must replace it"#]]
    .assert_eq(&lines.join("\n"));
}
