//! What is decided, and what makes it so.

use expect_test::{Expect, expect};
use steward_permit::{Action, ActionName, Actor, DenialCode, Resource, ResourceKind, Role, Scope, Tier};

use super::{agent, engine, home, key, now, person, question, with, without, write};
use crate::{
    engine::{Engine, Verdict},
    question::Question,
    sources::Sources,
};

fn check(engine: &Engine, question: &Question, expected: Expect) {
    let Verdict { allowed, code, policies, errors, .. } = engine.weigh(question);
    assert_eq!(allowed, code.is_none());
    let ids: Vec<&str> = policies.iter().map(|p| p.id.as_str()).collect();
    let outcome = code.map_or("allowed".to_owned(), |c| c.to_string());
    let errors: String = errors.iter().map(|e| format!("\n{e}")).collect();
    expected.assert_eq(&format!("{outcome} by [{}]{errors}", ids.join(", ")));
}

#[test]
fn a_permit_names_what_permitted_it() {
    let engine = engine(&Sources::shipped());
    let asked = Question { key: Some(key(&[Scope::Act])), ..write("/reports/a.md") };
    let permit = engine.decide(asked.clone(), now()).expect("permitted");
    let ruling = permit.ruling();
    assert_eq!((&ruling.id, &ruling.actor, &ruling.action), (&asked.id, &asked.actor, &asked.action));
    assert_eq!(
        (ruling.key.as_ref(), ruling.policy_version, ruling.at),
        (asked.key.as_ref().map(|k| &k.id), engine.version(), now())
    );
    expect![[r#"
        [
            Matched {
                id: "T1/write-reports",
                file: "tiers/T1.cedar",
                description: Some(
                    "An operator agent may write reports: in its own folder, beneath /reports.",
                ),
            },
            Matched {
                id: "T2/write-files",
                file: "tiers/T2.cedar",
                description: Some(
                    "A builder agent may write anywhere in its own folder.",
                ),
            },
        ]
    "#]]
    .assert_debug_eq(&ruling.policies);
}

#[test]
fn a_denial_says_why() {
    let engine = engine(&Sources::shipped());
    let denied = |question: Question| engine.decide(question, now()).expect_err("denied").to_string();
    let observer = question(agent("scribe", Tier::T0), "fs.write", ResourceKind::File, "/reports/a.md");
    expect![[r#"no policy permits agent scribe.acme.internal to do fs.write on file /reports/a.md"#]]
        .assert_eq(&denied(observer));
    let architect = question(agent("scribe", Tier::T4), "governance.write", ResourceKind::Policy, "current");
    expect!["a person must approve that agent scribe.acme.internal does governance.write on policy current; `steward review list` shows what waits"]
        .assert_eq(&denied(architect));
    let strange = question(agent("scribe", Tier::T3), "fs.shred", ResourceKind::File, "/a");
    expect![[r#"agent scribe.acme.internal asked for fs.shred on file /a, an action that no policy knows"#]]
        .assert_eq(&denied(strange));
}

#[test]
fn names_are_normal_before_policies_see_them() {
    // A policy about `drop`, and everything that people write to get round it.
    let schema =
        "action \"drop\" in [\"act\"] appliesTo { principal: [Agent], resource: [File], context: Circumstances };";
    let mut sources = with(&[(
        "p.cedar",
        "@id(\"all\") permit (principal, action, resource);\n\
         @id(\"no-drop\") forbid (principal, action == Action::\"drop\", resource);",
    )]);
    sources.schema.text.push_str(schema);
    let engine = engine(&sources);
    let ask = |written: &str| match ActionName::parse(written) {
        Err(_) => "malformed".to_owned(),
        Ok(name) => {
            let asked = write("/a");
            let action = Action::new(home(), name, asked.action.resource().clone());
            let verdict = engine.weigh(&Question { action, ..asked });
            verdict.code.map_or("allowed".to_owned(), |c| c.to_string())
        }
    };
    for (written, outcome) in [
        ("drop", "FORBIDDEN"),
        ("DROP", "FORBIDDEN"),
        ("Drop", "FORBIDDEN"),
        ("ＤＲＯＰ", "FORBIDDEN"),
        ("ｄrop", "FORBIDDEN"),
        (" drop", "malformed"),
        ("drop ", "malformed"),
        ("drop\0", "malformed"),
        ("dr\u{043e}p", "malformed"),
        ("\u{0501}r\u{043e}\u{0440}", "malformed"),
        ("dr\u{200b}op", "malformed"),
        ("dr\u{00ad}op", "malformed"),
        ("drop;", "malformed"),
        ("dröp", "malformed"),
        ("drops", "UNKNOWN_ACTION"),
        ("fs.write", "allowed"),
    ] {
        assert_eq!(ask(written), outcome, "{written:?}");
    }
}

#[test]
fn what_is_malformed_is_refused_without_policies() {
    let engine = engine(&Sources::shipped());
    let id = write("/a").id;
    let denial = engine.refuse_malformed(person(&[]), None, home(), "dr\u{200b}op\n", id.clone(), now());
    assert_eq!((denial.code(), denial.is_incident()), (DenialCode::Malformed, false));
    assert_eq!(denial.ruling().policy_version, engine.version());
    expect![[r#"malformed on command dr\u{200b}op\u{a}"#]].assert_eq(&denial.ruling().action.to_string());
    for written in ["", " ", "\0", &"x".repeat(10_000), &"\u{10ffff}".repeat(5000)] {
        let denial = engine.refuse_malformed(person(&[]), None, home(), written, id.clone(), now());
        let shown = denial.ruling().action.resource().id();
        assert!(!shown.is_empty() && shown.len() < 100 && shown.is_ascii(), "{shown}");
    }
}

#[test]
fn a_policy_in_error_denies_what_another_permits() {
    let broken = "@id(\"broken\")\npermit (principal, action, resource)\nwhen { 9223372036854775807 + 1 > 0 };";
    let mut sources = Sources::shipped();
    sources.policies.push(super::source("broken.cedar", broken));
    let engine = engine(&sources);
    check(
        &engine,
        &write("/reports/a.md"),
        expect![[r#"
        POLICY_ERROR by [broken]
        broken: integer overflow while attempting to add the values `9223372036854775807` and `1`"#]],
    );
    let denial = engine.decide(write("/reports/a.md"), now()).expect_err("denied");
    assert!(denial.is_incident());
    assert_eq!(denial.errors().len(), 1);
    // It is the broken policy that denies: without it the same is permitted.
    check(
        &super::engine(&Sources::shipped()),
        &write("/reports/a.md"),
        expect!["allowed by [T1/write-reports, T2/write-files]"],
    );
    // What is forbidden anyway is an incident as well, and a broken policy elsewhere is none.
    check(
        &engine,
        &write("/../a"),
        expect![[r#"
        POLICY_ERROR by [broken]
        broken: integer overflow while attempting to add the values `9223372036854775807` and `1`"#]],
    );
    let elsewhere = broken.replace("action,", "action == Action::\"shell\",");
    let mut sources = Sources::shipped();
    sources.policies.push(super::source("broken.cedar", &elsewhere));
    check(&super::engine(&sources), &write("/a"), expect!["allowed by [T2/write-files]"]);
}

#[test]
fn forbid_beats_permit_and_nothing_permits_nothing() {
    let permit = ("a.cedar", "@id(\"yes\") permit (principal, action, resource);");
    let forbid = ("b.cedar", "@id(\"no\") forbid (principal, action, resource is File);");
    check(&engine(&with(&[permit])), &write("/a"), expect!["allowed by [yes]"]);
    check(&engine(&with(&[permit, forbid])), &write("/a"), expect!["FORBIDDEN by [no]"]);
    check(&engine(&with(&[forbid])), &write("/a"), expect!["FORBIDDEN by [no]"]);
    check(&engine(&with(&[])), &write("/a"), expect!["NOT_PERMITTED by []"]);
}

#[test]
fn the_guard_of_namespaces_guards() {
    let stranger = Actor::Person {
        namespace: "other.internal".parse().expect("valid"),
        name: "olivia".parse().expect("valid"),
        roles: vec![Role::Admin],
    };
    let asked = question(stranger, "person.add", ResourceKind::Person, "max");
    check(&engine(&Sources::shipped()), &asked, expect!["FORBIDDEN by [namespaces/own]"]);
    check(&engine(&without("namespaces.cedar")), &asked, expect!["allowed by [roles/admin-manages]"]);
}

#[test]
fn a_full_name_cannot_hide_its_namespace() {
    let engine = engine(&Sources::shipped());
    for (action, kind, id, allowed) in [
        ("agent.act", ResourceKind::Agent, "scribe.acme.internal", true),
        ("agent.act", ResourceKind::Agent, "scribe", true),
        ("agent.act", ResourceKind::Agent, "scribe.other.internal", false),
        ("agent.act", ResourceKind::Agent, "scribe.sub.acme.internal", false),
        ("person.add", ResourceKind::Person, "max@acme.internal", true),
        ("person.add", ResourceKind::Person, "max@other.internal", false),
    ] {
        let verdict = engine.weigh(&question(person(Role::ALL), action, kind, id));
        assert_eq!(verdict.allowed, allowed, "{action} {id}");
        assert_eq!(verdict.policies.iter().any(|p| p.id == "namespaces/own"), !allowed, "{action} {id}");
    }
    // Nor the other way round: an agent of ours, asked about in a namespace that is not.
    let asked = question(person(Role::ALL), "agent.act", ResourceKind::Agent, "scribe.acme.internal");
    let elsewhere = "other.internal".parse().expect("valid");
    let action = Action::new(elsewhere, asked.action.name().clone(), asked.action.resource().clone());
    check(&engine, &Question { action, ..asked }, expect!["FORBIDDEN by [namespaces/own]"]);
}

#[test]
fn the_guard_of_keys_guards() {
    let asked = question(person(&[Role::Admin]), "person.add", ResourceKind::Person, "max");
    let asked = Question { key: Some(key(&[Scope::Read])), ..asked };
    check(&engine(&Sources::shipped()), &asked, expect!["FORBIDDEN by [keys/people]"]);
    check(&engine(&without("keys.cedar")), &asked, expect!["allowed by [roles/admin-manages]"]);
}

#[test]
fn the_guard_of_paths_guards() {
    let asked = question(agent("scribe", Tier::T0), "fs.write", ResourceKind::File, "/plans/../reports/a.md");
    check(&engine(&Sources::shipped()), &asked, expect!["FORBIDDEN by [files/plain-paths]"]);
    check(&engine(&without("files.cedar")), &asked, expect!["allowed by [T0/write-plans]"]);
}

#[test]
fn the_guard_of_approval_guards() {
    let asked = question(agent("scribe", Tier::T4), "fs.write", ResourceKind::File, "/plans/a.md");
    check(&engine(&Sources::shipped()), &asked, expect!["NEEDS_REVIEW by [T4/approval]"]);
    check(&engine(&without("tiers/T4.cedar")), &asked, expect!["allowed by [T0/write-plans]"]);
}

#[test]
fn whoever_asks_about_themselves_is_one_entity() {
    let engine = engine(&Sources::shipped());
    for (actor, action, kind, allowed) in [
        (person(&[Role::Viewer]), "person.read", ResourceKind::Person, true),
        (person(&[]), "key.create", ResourceKind::Person, true),
        (person(&[]), "person.read", ResourceKind::Person, false),
        (Actor::Node { namespace: home() }, "node.start", ResourceKind::Node, true),
    ] {
        let asked = question(actor.clone(), action, kind, &actor.full_name());
        assert_eq!(engine.weigh(&asked).allowed, allowed, "{asked:?}");
    }
    // By the short name a person is the same one.
    let asked = question(person(&[]), "key.create", ResourceKind::Person, "olivia");
    check(&engine, &asked, expect!["allowed by [roles/own-keys]"]);
}

#[test]
fn whatever_is_asked_no_shipped_policy_is_in_error() {
    let engine = engine(&Sources::shipped());
    let mut asked = 0;
    for (name, _) in engine.actions() {
        for kind in ResourceKind::ALL {
            for actor in [
                agent("scribe", Tier::T3),
                agent("scribe", Tier::T4),
                person(Role::ALL),
                Actor::Node { namespace: home() },
            ] {
                for scopes in [None, Some(key(&[])), Some(key(Scope::ALL))] {
                    let owned = question(actor.clone(), &name, *kind, "/x");
                    let owned = Question { key: scopes, ..owned };
                    for asks in [Question { owner: None, ..owned.clone() }, owned] {
                        asked += 1;
                        assert_ne!(engine.weigh(&asks).code, Some(DenialCode::PolicyError), "{asks:?}");
                    }
                }
            }
        }
    }
    assert!(asked > 5000, "{asked}");
}

#[test]
fn kinds_that_an_action_does_not_know_are_not_permitted() {
    let engine = engine(&with(&[("a.cedar", "@id(\"yes\") permit (principal, action, resource);")]));
    let resource = Resource::new(ResourceKind::Key, "k").expect("valid");
    let asked = write("/a");
    let asked = Question { action: Action::new(home(), asked.action.name().clone(), resource), ..asked };
    check(&engine, &asked, expect!["NOT_PERMITTED by []"]);
    check(&engine, &question(person(Role::ALL), "fs.write", ResourceKind::File, "/a"), expect!["NOT_PERMITTED by []"]);
}

#[test]
fn policies_are_listed_for_people() {
    let engine = engine(&Sources::shipped());
    for listed in engine.listed() {
        let description = listed.description.as_deref().unwrap_or_default();
        assert!(description.ends_with('.') && description.len() > 20, "{listed:?}");
        let stem = listed.file.trim_end_matches(".cedar").trim_start_matches("tiers/");
        assert_eq!(listed.id.split_once('/').map(|(file, _)| file), Some(stem), "{listed:?}");
    }
    let lines: String =
        engine.listed().iter().take(3).map(|l| format!("{}:{} {} {}\n", l.file, l.line, l.effect, l.id)).collect();
    expect![[r#"
        files.cedar:3 forbid files/plain-paths
        keys.cedar:4 forbid keys/read
        keys.cedar:16 forbid keys/act
    "#]]
    .assert_eq(&lines);
}
