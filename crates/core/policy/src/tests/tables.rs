//! The shipped table, and tables with mistakes.

use std::collections::HashSet;

use expect_test::expect;
use steward_permit::{Role, Tier};

use super::{engine, home, shown, without};
use crate::{sources::Sources, table::Table};

fn expected() -> Table {
    Table::parse(Sources::EXPECTED).unwrap_or_else(|mistakes| panic!("{}", shown(&mistakes)))
}

#[test]
fn the_shipped_policies_decide_as_their_table_says() {
    let results = expected().run(&engine(&Sources::shipped()), &home());
    let failed: String = results.iter().filter(|r| !r.passed()).map(|r| format!("{r}\n")).collect();
    assert!(failed.is_empty(), "{failed}");
    assert!(results.len() > 300);
}

#[test]
fn the_shipped_table_covers_every_tier_role_and_verb() {
    let asked: HashSet<(String, String)> = expected()
        .cases
        .iter()
        .filter_map(|case| case.question(&home()).ok())
        .flat_map(|question| {
            let ranks: Vec<String> = match &question.actor {
                steward_permit::Actor::Agent { tier, .. } => vec![tier.to_string()],
                steward_permit::Actor::Person { roles, .. } if roles.len() == 1 => vec![roles[0].to_string()],
                steward_permit::Actor::Person { .. } => vec![],
                steward_permit::Actor::Node { .. } => vec!["node".to_owned()],
            };
            let action = question.action.name().to_string();
            ranks.into_iter().map(move |rank| (rank, action.clone()))
        })
        .collect();
    let mut missing = Vec::new();
    for (action, kinds) in engine(&Sources::shipped()).actions() {
        for kind in kinds {
            let ranks: Vec<&str> = match kind {
                "agent" => Tier::ALL.iter().map(|t| t.as_str()).collect(),
                "person" => Role::ALL.iter().map(|r| r.as_str()).collect(),
                other => vec![other],
            };
            missing
                .extend(ranks.into_iter().map(|r| (r.to_owned(), action.clone())).filter(|pair| !asked.contains(pair)));
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_table_notices_when_a_file_is_missing() {
    for source in Sources::shipped().policies {
        let results = expected().run(&engine(&without(&source.name)), &home());
        assert!(results.iter().any(|r| !r.passed()), "nothing in the table depends on {}", source.name);
    }
}

#[test]
fn a_failure_says_what_differs() {
    let table = r#"
        case = [
            { actor = "agent:a", tier = "T0", action = "shell", resource = "command:sh", expect = "allow" },
            { name = "mine", actor = "node", action = "node.stop", resource = "node:n", expect = "allow", because = ["x"] },
            { actor = "node", action = "node.stop", resource = "node:n", expect = "deny", because = "FORBIDDEN" },
        ]
    "#;
    let results = Table::parse(table).expect("valid").run(&engine(&Sources::shipped()), &home());
    let text: String = results.iter().map(|r| format!("{r}\n")).collect();
    expect![[r#"
        FAIL agent:a (T0) shell command:sh (line 3): denied (NOT_PERMITTED) by no policy; expected allow
        FAIL mine (line 4): allowed by node/upkeep; expected allow by x
        FAIL node node.stop node:n (line 5): allowed by node/upkeep; expected deny (FORBIDDEN)
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_table_shows_all_its_mistakes() {
    let table = r#"[[case]]
name = "one"
actor = "robot:a"
action = "fs.read"
resource = "file"
expect = "maybe"

[[case]]
actor = "person:olivia"
tier = "T9"
roles = ["viewer", "king", 3]
key_scopes = "all"
action = "fs.read"
resource = "box:x"
because = "WHIM"
wat = 1

[[case]]
actor = "agent:b"
action = "fs.read"
resource = "file:/a"
expect = "allow"
because = "FORBIDDEN"

[cases]
"#;
    expect![[r#"
        table:3:9: `robot:a` is nobody
          help: write `agent:NAME`, `person:NAME` or `node`
        table:5:12: a resource is a kind and what names it
          help: write `file:/reports/a.md`
        table:6:10: `maybe` cannot be expected
          help: write `allow` or `deny`
        table:8:1: the case has no `expect`
        table:10:8: `T9` is not a tier; they are T0 (observer), T1 (operator), T2 (builder), T3 (executor) and T4 (architect)
        table:10:8: only agents have a tier
        table:11:20: `king` is not a role; they are viewer, operator, reviewer and admin
        table:11:28: a text is expected here
          help: put it into quotation marks
        table:12:14: a list of texts is expected here
          help: write `["…"]`
        table:14:12: `box` is not a kind of resource; they are file, command, host, plan, agent, person, key, policy, ledger, node, tool, model, secret and review
        table:15:11: `WHIM` is not a denial code
        table:16:1: `wat` is not a field of a case
          help: the fields are name, actor, tier, roles, key_scopes, action, resource, owner, needs_tier, gives_scopes, gives_tier, approved, review, expect, because
        table:18:1: an agent needs a `tier`
          help: write `tier = "T0"`
        table:23:11: what is allowed has no denial code
          help: name the policies that permit it, in a list
        table:25:2: `cases` is not known here
          help: write cases as `[[case]]`
    "#]].assert_eq(&shown(&Table::parse(table).expect_err("mistakes")));
    expect![[r#"
        table:2:13: invalid literal string, expected `'`
        table:4:5: extra `=`, expected nothing
        table:4:7: unexpected key or value, expected newline, `#`
    "#]]
    .assert_eq(&shown(&Table::parse("case = [\n  { actor = }\n]\nx = = 2").expect_err("mistakes")));
}
