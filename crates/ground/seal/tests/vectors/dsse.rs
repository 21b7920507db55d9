//! DSSE envelopes: the protocol's example, golden bytes, and what the door refuses.

use expect_test::expect;
use proptest::prelude::*;
use serde_json::{Value, json};
use steward_seal::{
    KeyError, SigningKey,
    dsse::{self, DsseError},
};

use crate::{hex32, signing_key};

const TYPE: &str = "application/vnd.steward.test+json";

/// The key of RFC 8032's first test.
fn key() -> SigningKey {
    signing_key(&hex32("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
}

fn other() -> SigningKey {
    signing_key(&[2; 32])
}

fn written(envelope: &dsse::Envelope) -> Value {
    serde_json::to_value(envelope).expect("an envelope is JSON")
}

fn open(envelope: &Value, signer: &SigningKey) -> Result<Vec<u8>, DsseError> {
    let sealed = dsse::open(envelope.to_string().as_bytes(), TYPE, &signer.verifying_key())?;
    assert_eq!(*sealed.signer(), signer.verifying_key().fingerprint());
    Ok(sealed.into_inner())
}

#[track_caller]
fn refused_as_malformed(envelope: &Value) {
    let refused = open(envelope, &key()).expect_err("refused");
    assert!(matches!(refused, DsseError::Malformed(_)), "{refused}");
}

#[test]
fn the_protocols_example_of_the_encoding() {
    let encoded = dsse::pre_authentication_encoding("http://example.com/HelloWorld", b"hello world");
    assert_eq!(encoded, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    // Lengths are of bytes, not of characters, and nothing is escaped.
    assert_eq!(dsse::pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
    assert_eq!(dsse::pre_authentication_encoding("ü", b" 1 "), "DSSEv1 2 ü 3  1 ".as_bytes());
}

#[test]
fn golden() {
    let envelope = dsse::sign(TYPE, b"{\"hello\":\"world\"}", &[&key(), &other()]);
    let bytes = serde_json::to_string(&envelope).expect("an envelope is JSON");
    expect![[r#"{"payload":"eyJoZWxsbyI6IndvcmxkIn0=","payloadType":"application/vnd.steward.test+json","signatures":[{"keyid":"sha256:06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9","sig":"rAvGizTzx8vfLSlURZBSM8gHS5DWb13Zl7qYV//FuqIv34gsbUFoOB/kf3wGZWfeoMyg7xsmKKPRfhNoAvLACQ=="},{"keyid":"sha256:47dea58ea00fae9417ee19d76755bfef690899021132effb04fe1f9e4f0c8059","sig":"Ghv2KeIlG1NMtTxo+L6S6+QXh3O6jespvLANsNEseBtdLWJxM7jqrFD823hYh/r4ckzoiqSlnSmDWiVyNB13Bw=="}]}"#]]
    .assert_eq(&bytes);
    for signer in [key(), other()] {
        assert_eq!(open(&written(&envelope), &signer).expect("signed by both"), b"{\"hello\":\"world\"}");
    }
}

/// An envelope made by `securesystemslib` 1.6.0 with the same key; it also verified ours.
#[test]
fn golden_of_another_implementation() {
    let theirs = r#"{"payload":"Z3LDvMOfIEdvdHQK+//+","payloadType":"application/vnd.steward.test+json","signatures":[{"keyid":"74c181c7ad8a0855d4b55e44d2ba87aabdddb196832571f15f92fece332e4916","sig":"DXTjTp5hECf80788QrTUurkFxyQSLgnyWODVmOmwpyb9extj9jHj3oFTXdEj4bGAWVZuVgm0cIqKTQavp7WHCg=="}]}"#;
    let sealed = dsse::open(theirs.as_bytes(), TYPE, &key().verifying_key()).expect("it verifies");
    assert_eq!(sealed.get(), b"gr\xc3\xbc\xc3\x9f Gott\n\xfb\xff\xfe");
    let ours = written(&dsse::sign(TYPE, sealed.get(), &[&key()]));
    let theirs: Value = serde_json::from_str(theirs).expect("JSON");
    assert_eq!(ours["payload"], theirs["payload"]);
    assert_eq!(ours["signatures"][0]["sig"], theirs["signatures"][0]["sig"]);
}

#[test]
fn another_signer_or_type_or_payload_is_refused() {
    let envelope = written(&dsse::sign(TYPE, b"payload", &[&key()]));
    assert!(matches!(open(&envelope, &other()), Err(DsseError::Signature(KeyError::Signature(_)))));

    let refused = dsse::open(envelope.to_string().as_bytes(), "application/other", &key().verifying_key());
    let refused = refused.expect_err("another type").to_string();
    assert_eq!(refused, format!("the envelope holds a `{TYPE}`, and a `application/other` is needed"));

    let tricky = written(&dsse::sign("text/\u{202e}nialp", b"payload", &[&key()]));
    let refused = open(&tricky, &key()).expect_err("another type").to_string();
    assert!(refused.is_ascii(), "a refusal shows no tricks: {refused}");

    let mut altered = envelope.clone();
    altered["payload"] = json!("cGF5bG9hZA=="); // the same payload: the test's own check
    assert!(open(&altered, &key()).is_ok());
    altered["payload"] = json!("cGF5bG9hZB==");
    assert!(open(&altered, &key()).is_err(), "bits beyond the end are not payload");
    altered["payload"] = json!("UGF5bG9hZA==");
    assert!(matches!(open(&altered, &key()), Err(DsseError::Signature(_))));

    // The type is signed: an envelope cannot be relabelled.
    let mut relabelled = written(&dsse::sign("application/other", b"payload", &[&key()]));
    relabelled["payloadType"] = json!(TYPE);
    assert!(matches!(open(&relabelled, &key()), Err(DsseError::Signature(_))));

    // Nor does a signature over the bare payload count.
    let mut bare = envelope.clone();
    bare["signatures"][0]["sig"] = json!(base64_of(&key().sign(b"payload")));
    assert!(matches!(open(&bare, &key()), Err(DsseError::Signature(_))));
}

#[test]
fn the_key_id_is_only_a_hint() {
    let mut envelope = written(&dsse::sign(TYPE, b"payload", &[&key()]));
    for id in ["", "of somebody else", "sha256:00"] {
        envelope["signatures"][0]["keyid"] = json!(id);
        assert!(open(&envelope, &key()).is_ok(), "{id}");
    }
    envelope["signatures"][0].as_object_mut().expect("an object").remove("keyid");
    assert!(open(&envelope, &key()).is_ok());
    // And naming a key does not make a signature its own.
    let mut forged = written(&dsse::sign(TYPE, b"payload", &[&other()]));
    forged["signatures"][0]["keyid"] = json!(key().verifying_key().fingerprint().to_string());
    assert!(matches!(open(&forged, &key()), Err(DsseError::Signature(_))));
}

#[test]
fn several_signatures() {
    let both = written(&dsse::sign(TYPE, b"payload", &[&other(), &key()]));
    let [theirs, ours] = [&both["signatures"][0], &both["signatures"][1]];
    let with =
        |signatures: Vec<&Value>| json!({"payload": both["payload"], "payloadType": TYPE, "signatures": signatures});
    for good in [vec![ours], vec![ours, theirs], vec![theirs, ours], vec![ours, ours], vec![theirs, theirs, ours]] {
        assert!(open(&with(good), &key()).is_ok());
    }
    assert!(matches!(open(&with(vec![theirs]), &key()), Err(DsseError::Signature(_))));
    refused_as_malformed(&with(vec![]));
    assert!(open(&with(vec![ours; dsse::MAX_SIGNATURES]), &key()).is_ok());
    refused_as_malformed(&with(vec![ours; dsse::MAX_SIGNATURES + 1]));
    // What is not base 64 is refused wherever it stands; a signature of a wrong length is only a wrong one.
    let bad = json!({"sig": "*"});
    refused_as_malformed(&with(vec![ours, &bad]));
    refused_as_malformed(&with(vec![&bad, ours]));
    let short = json!({"sig": "AAAA"});
    assert!(open(&with(vec![&short, ours]), &key()).is_ok());
    assert!(open(&with(vec![ours, &short]), &key()).is_ok());
}

#[test]
fn either_alphabet_with_padding_is_read() {
    let payload = [0xfb, 0xff, 0xfe, 0xff];
    let standard = written(&dsse::sign(TYPE, &payload, &[&key()]));
    assert_eq!(standard["payload"], "+//+/w==");
    let in_alphabet = |payload: &str| {
        let mut envelope = standard.clone();
        envelope["payload"] = json!(payload);
        envelope
    };
    assert_eq!(open(&in_alphabet("-__-_w=="), &key()).expect("URL-safe"), payload);
    for text in
        ["-//+/w==", "+__+_w==", "+//+/w", "-__-_w", "+//+/w=", " +//+/w==", "+//+/w==\n", "+//+/x==", "+//+ /w=="]
    {
        refused_as_malformed(&in_alphabet(text));
    }
    let mut url_safe = standard.clone();
    let sig = standard["signatures"][0]["sig"].as_str().expect("text").replace('+', "-").replace('/', "_");
    url_safe["signatures"][0]["sig"] = json!(sig);
    assert!(open(&url_safe, &key()).is_ok());
    url_safe["signatures"][0]["sig"] = json!(sig.trim_end_matches('='));
    refused_as_malformed(&url_safe);
}

#[test]
fn what_is_not_an_envelope_is_refused() {
    let good = written(&dsse::sign(TYPE, b"payload", &[&key()])).to_string();
    let open = |text: &str| dsse::open(text.as_bytes(), TYPE, &key().verifying_key());
    assert!(open(&good).is_ok());
    assert!(open(&good.replacen('{', "{\"note\":\"fields of others are passed over\",", 1)).is_ok());
    for text in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!("{good}{good}"),
        good.replace("payloadType", "payloadtype"),
        good.replacen('{', "{\"payload\":\"\",", 1),
        good.replacen('{', "{\"pay\\u006coad\":\"\",", 1),
        good.replace("\"sig\":", "\"sig\":\"\",\"sig\":"),
        good.replace("\"sig\":", "\"signature\":"),
        good.replace("\"keyid\":\"", "\"keyid\":1,\"was\":\""),
    ] {
        assert!(matches!(open(&text), Err(DsseError::Malformed(_))), "{text}");
    }
    assert!(matches!(open(&" ".repeat((4 << 20) + 1)), Err(DsseError::Malformed(_))));
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

proptest! {
    #[test]
    fn what_one_signs_is_what_the_other_opens(payload in any::<Vec<u8>>(), kind in any::<String>(), seed in any::<[u8; 32]>()) {
        let key = signing_key(&seed);
        let envelope = serde_json::to_vec(&dsse::sign(&kind, &payload, &[&key])).expect("an envelope is JSON");
        let sealed = dsse::open(&envelope, &kind, &key.verifying_key()).expect("just signed");
        prop_assert_eq!(sealed.into_inner(), payload);
    }

    /// Type and payload cannot flow into each other: equal bytes mean equal type and payload.
    #[test]
    fn the_encoding_is_injective(a in "[a0-9 ]{0,6}", b in "[a0-9 ]{0,6}", c in "[a0-9 ]{0,6}", d in "[a0-9 ]{0,6}") {
        let same = dsse::pre_authentication_encoding(&a, b.as_bytes()) == dsse::pre_authentication_encoding(&c, d.as_bytes());
        prop_assert_eq!(same, (a, b) == (c, d));
    }
}
