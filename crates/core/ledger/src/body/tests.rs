//! Golden bytes, and what is refused.

use proptest::prelude::*;
use serde_json::{Value, json};
use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, KeyId, RunId, TraceId};
use steward_permit::{
    Action, ActionName, Actor, Circumstances, DenialCode, Issuer, Matched, Resource, ResourceKind, Role, Ruling,
    RunTold, Scope, Tier,
};
use steward_seal::{Digest, json};

use super::{Body, BodyError, BodyOutcome, Columns, MAX_BODY_BYTES};
use crate::row::{Cell, RowDigest};

struct Sevens;

impl Dice for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn time() -> Timestamp {
    "2026-11-20T20:14:27.123Z".parse().expect("a time")
}

fn ruling(actor: Actor) -> Ruling {
    let resource = Resource::new(ResourceKind::File, "/reports/a.md").expect("valid");
    let home = "acme.internal".parse().expect("valid");
    Ruling {
        id: ActionId::new(time(), &Sevens),
        actor,
        key: Some(KeyId::new(time(), &Sevens)),
        action: Action::new(home, ActionName::parse("fs.write").expect("valid"), resource)
            .with_arguments(Digest::of(b"a")),
        circumstances: None,
        policies: vec![
            Matched {
                id: "scribes-write".into(),
                file: "a.cedar".into(),
                description: Some("scribes may write".into()),
            },
            Matched { id: "other".into(), file: "b.cedar".into(), description: None },
        ],
        policy_version: Digest::of(b"policy"),
        at: time(),
    }
}

fn scribe() -> Actor {
    Actor::Agent {
        name: "scribe.acme.internal".parse().expect("valid"),
        version: "1.2.0".to_owned(),
        tier: Tier::T2,
        via: Some("olivia".parse().expect("valid")),
    }
}

fn olivia() -> Actor {
    Actor::Person {
        namespace: "acme.internal".parse().expect("valid"),
        name: "olivia".parse().expect("valid"),
        roles: vec![Role::Operator, Role::Admin],
    }
}

fn whole() -> Body {
    let permit = Issuer::for_policy_engine().permit(ruling(scribe()));
    let mut body = Body::permitted(&permit, "scribe.acme.internal");
    body.trace = Some(TraceId::new(time(), &Sevens));
    body.confidence_bp = Some(9_950);
    body.outcome = Some(BodyOutcome {
        success: false,
        error_type: Some("DISK_FULL".into()),
        error_message: Some("no space".into()),
    });
    let key = |n| [("id".to_owned(), Cell::Int(n))].into();
    let row = [("id".to_owned(), Cell::Int(1)), ("entry_seq".to_owned(), Cell::Int(42))].into();
    body.rows = vec![RowDigest::of("effect", key(1), Some(&row)), RowDigest::of("effect", key(2), None)];
    body.blobs = vec![Digest::of(b"a")];
    // Keys that UTF-8 and UTF-16 sort differently, and everything that is escaped.
    body.detail = json!({"\u{ff5e}": 1, "\u{1f980}": {"b": [true, null, -5], "a": "\u{0}\n\"\\/\u{7f}\u{2028}ä"}})
        .as_object()
        .expect("an object")
        .clone();
    body
}

#[test]
fn golden_bytes() {
    let bytes = whole().encode().expect("encodes");
    // Frozen: every leaf's keyed hash is over bytes like these.
    expect_test::expect![[r#"
        {"actor":{"kind":"agent",
        "name":"scribe.acme.internal",
        "tier":"T2",
        "version":"1.2.0"},
        "blobs":["sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"],
        "confidence_bp":9950,
        "decision":{"action":"fs.write",
        "arguments":"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        "digest":"sha256:0612e2b2227da98366747b42b351c7b6c6c415cebffcab4df03377e1ce1b1c08",
        "id":"act_01M7X9H69K0W3GE1R70W3GE1R7",
        "outcome":"allow",
        "policies":[{"description":"scribes may write",
        "file":"a.cedar",
        "id":"scribes-write"},{"file":"b.cedar",
        "id":"other"}],
        "policy_version":"sha256:823412d1eacb67956220e532959f0104603057c88704863ca38e7cd188fda812",
        "resource":{"id":"/reports/a.md",
        "kind":"file"}},
        "detail":{"🦀":{"a":"\u0000\n\"\\/ ä",
        "b":[true,null,-5]},
        "～":1},
        "key":"key_01M7X9H69K0W3GE1R70W3GE1R7",
        "namespace":"acme.internal",
        "outcome":{"error_message":"no space",
        "error_type":"DISK_FULL",
        "success":false},
        "rows":[{"digest":"sha256:7ed6c91405fcc47b4f2e9ae36724ae1f55dae351509fb91d444158166f12cf93",
        "key":{"id":{"i":"1"}},
        "table":"effect"},{"digest":null,
        "key":{"id":{"i":"2"}},
        "table":"effect"}],
        "subject":"scribe.acme.internal",
        "trace":"trc_01M7X9H69K0W3GE1R70W3GE1R7",
        "via":"olivia@acme.internal"}"#]]
    .assert_eq(&String::from_utf8_lossy(&bytes).replace(",\"", ",\n\""));
    assert_eq!(bytes, json::canonical(&whole()).expect("canonical"), "RFC 8785");
    assert_eq!(Body::decode(&bytes), Ok(whole()));
}

#[test]
fn what_else_a_policy_was_told_has_one_spelling() {
    let told = Circumstances {
        approved: false,
        review: None,
        gives_scopes: Some(vec![Scope::Read, Scope::Act]),
        gives_tier: Some(Tier::T1),
        key_scopes: Some(vec![]),
        needs_tier: Some(Tier::T2),
        owner: Some("scribe.acme.internal".to_owned()),
        run: Some(RunTold {
            id: RunId::new(time(), &Sevens),
            phase: "EXECUTE".to_owned(),
            task: "weekly".parse().expect("valid"),
        }),
    };
    let body = |circumstances| {
        let ruling = Ruling { circumstances: Some(circumstances), ..ruling(scribe()) };
        Body::permitted(&Issuer::for_policy_engine().permit(ruling), "scribe.acme.internal")
    };
    let part = |body: &Body| {
        let bytes = body.encode().expect("encodes");
        assert_eq!(bytes, json::canonical(body).expect("canonical"), "RFC 8785");
        assert_eq!(Body::decode(&bytes).as_ref(), Ok(body));
        let text = String::from_utf8(bytes).expect("text");
        let (_, from) = text.split_once("\"circumstances\":").expect("it is there");
        from.split_once(",\"digest\"").expect("it comes before").0.replace(",\"", ",\n\"")
    };
    // Frozen, as the rest of the body.
    expect_test::expect![[r#"
        {"gives_scopes":["read",
        "act"],
        "gives_tier":"T1",
        "key_scopes":[],
        "needs_tier":"T2",
        "owner":"scribe.acme.internal",
        "run":{"id":"run_01M7X9H69K0W3GE1R70W3GE1R7",
        "phase":"EXECUTE",
        "task":"weekly"}}"#]]
    .assert_eq(&part(&body(told)));
    expect_test::expect!["{}"].assert_eq(&part(&body(Circumstances::default())));
}

#[test]
fn the_smallest_body() {
    let bytes = Body::by_node("acme.internal", "acme.internal").encode().expect("encodes");
    let expected =
        r#"{"actor":{"kind":"node","name":"acme.internal"},"namespace":"acme.internal","subject":"acme.internal"}"#;
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
}

#[test]
fn a_refusal_says_why() {
    let denial =
        Issuer::for_policy_engine().denial(ruling(olivia()), DenialCode::PolicyError, vec!["no attribute".into()]);
    let body = Body::refused(&denial, "olivia@acme.internal");
    let text = String::from_utf8(body.encode().expect("encodes")).expect("text");
    for part in [
        r#""actor":{"kind":"person","name":"olivia@acme.internal","roles":["operator","admin"]}"#,
        r#""code":"POLICY_ERROR""#,
        r#""errors":["no attribute"]"#,
        r#""outcome":"deny""#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(body.via, None);
    assert_eq!(Body::decode(text.as_bytes()), Ok(body));
}

#[test]
fn the_actors_words_are_the_permits() {
    for actor in [scribe(), olivia(), Actor::Node { namespace: "acme.internal".parse().expect("valid") }] {
        let body = super::BodyActor::of(&actor);
        assert_eq!(serde_json::to_value(body.kind).expect("plain"), json!(actor.kind()));
        assert_eq!(body.name, actor.full_name());
    }
}

#[test]
fn columns_mirror_the_body() {
    let body = whole();
    let columns = Columns {
        time: time(),
        kind: "action.settled",
        namespace: "acme.internal",
        actor: "scribe.acme.internal",
        subject: "scribe.acme.internal",
        action: Some("fs.write"),
        decision: Some("allow"),
        decision_id: Some("act_01M7X9H69K0W3GE1R70W3GE1R7"),
        trace: Some("trc_01M7X9H69K0W3GE1R70W3GE1R7"),
    };
    assert_eq!(body.columns("action.settled", time()), columns);
    let node = Body::by_node("acme.internal", "x");
    let columns = node.columns("node.started", time());
    assert_eq!((columns.action, columns.decision, columns.decision_id, columns.trace), (None, None, None, None));
}

#[test]
fn other_spellings_are_refused() {
    let text = String::from_utf8(whole().encode().expect("encodes")).expect("text");
    for (from, to) in [
        ("{\"actor\"", " {\"actor\""),
        ("{\"actor\"", "{\"a\":1,\"actor\""),
        ("{\"kind\":\"agent\"", "{\"kind\":\"node\",\"kind\":\"agent\""),
        ("9950", "9950.0"),
        ("9950", "99.5e2"),
        ("9950", "10001"),
        ("-5", "-5.5"),
        ("-5", "-0"),
        ("-5", "9007199254740993"),
        ("-5", "123456789012345678901234567890"),
        ("true", "true,1e400"),
        ("\"T2\"", "\"T9\""),
        ("\"T2\"", "null"),
        ("\"allow\"", "\"Allow\""),
        ("{\"i\":\"1\"}", "{\"i\":\"01\"}"),
        ("{\"i\":\"1\"}", "{\"i\":\"1\",\"i\":\"1\"}"),
        ("{\"i\":\"1\"}", "1"),
        ("{\"i\":\"1\"}", "{}"),
        ("\"digest\":null,", ""),
        ("\"confidence_bp\":9950", "\"confidence_bp\":null"),
        ("\"b\":[", "\"b\":[],\"b\":["),
        ("\\\\/", "\\\\\\/"),
        ("no space", "no\\u0020space"),
        ("\"success\":false", "\"success\":false,\"extra\":1"),
        ("\"trace\":\"trc_", "\"trace\":\"act_"),
    ] {
        let other = text.replacen(from, to, 1);
        assert_ne!(other, text, "`{from}` is not in the body");
        assert!(Body::decode(other.as_bytes()).is_err(), "{from} -> {to}");
    }
    assert!(Body::decode(format!("{text}\n").as_bytes()).is_err());
    assert!(Body::decode(b"").is_err());
}

#[test]
fn what_cannot_be_exact_is_not_written() {
    let with = |value: Value| {
        let mut body = Body::by_node("a", "b");
        body.detail.insert("n".to_owned(), value);
        body.encode()
    };
    for value in [json!(0.5), json!([1.0]), json!({"a": u64::MAX}), json!(i64::MIN)] {
        assert_eq!(with(value), Err(BodyError::Number));
    }
    assert!(with(json!([9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64])).is_ok());
    assert!(matches!(with(json!("x".repeat(MAX_BODY_BYTES))), Err(BodyError::TooLong(_))));
    let sure = Body { confidence_bp: Some(10_001), ..Body::by_node("a", "b") };
    assert_eq!(sure.encode(), Err(BodyError::Confidence(10_001)));
}

fn details() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_body_is_canonical_json(detail in prop::collection::btree_map(any::<String>(), details(), 0..4), subject in any::<String>()) {
        let body = Body { detail: detail.into_iter().collect(), subject, ..whole() };
        let bytes = body.encode().expect("encodes");
        prop_assert_eq!(&bytes, &json::canonical(&body).expect("canonical"));
        prop_assert_eq!(Body::decode(&bytes), Ok(body));
    }

    #[test]
    fn whatever_is_read_is_written_the_same(at in any::<prop::sample::Index>(), cut in 0..3_usize, insert in "[\\x00-\\x7f]{0,2}") {
        let mut bytes = whole().encode().expect("encodes");
        let at = at.index(bytes.len());
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, insert.bytes());
        if let Ok(body) = Body::decode(&bytes) {
            prop_assert_eq!(body.encode(), Ok(bytes));
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Body::decode(&bytes).is_err());
    }
}
