//! Policies with mistakes: all of them are shown, where they are, and one hides none of the others.

use expect_test::{Expect, expect};

use super::{shown, source, with};
use crate::{
    engine::Engine,
    sources::{MAX_SOURCES_BYTES, Sources},
};

fn check(policies: &[(&str, &str)], expected: Expect) {
    check_sources(&with(policies), expected);
}

fn check_sources(sources: &Sources, expected: Expect) {
    expected.assert_eq(&shown(&Engine::compile(sources).expect_err("mistakes")));
}

#[test]
fn three_mistakes_in_one_policy_file() {
    check(
        &[(
            "mine.cedar",
            r#"// Three policies, three mistakes.
@id("mine/write")
permit (principal in Tier::"T7", action == Action::"fs.write", resource);

@id("mine/read")
permit (principal, action == Action::"fs.raed", resource is File);

@id("mine/own")
permit (principal, action == Action::"fs.write", resource is File)
when { resource.onwer == principal.id };
"#,
        )],
        expect![[r#"
            mine.cedar:3:22: for policy `mine/write`: entity `Tier::"T7"` is of an enumerated entity type, but `"T7"` is not declared as a valid eid
              help: valid entity eids: "T0", "T1", "T2", "T3", "T4"
            mine.cedar:6:30: for policy `mine/read`, unrecognized action `Action::"fs.raed"`
              help: did you mean `Action::"fs.read"`?
            mine.cedar:10:8: for policy `mine/own`, attribute `onwer` on entity type `File` not found
              help: did you mean `owner`?
        "#]],
    );
}

#[test]
fn a_syntax_error_hides_no_other_mistake() {
    check(
        &[(
            "mine.cedar",
            r#"@id("mine/a")
permit (principal, action == Action::"fs.reed", resource);

@id("mine/b")
permit (principal, action resource);

@id("mine/c")
forbid (principal, action == Action::"fs.write", resource is File)
when { resource.path == 3 };
"#,
        )],
        expect![[r#"
            mine.cedar:2:30: for policy `mine/a`, unrecognized action `Action::"fs.reed"`
              help: did you mean `Action::"fs.read"`?
            mine.cedar:5:27: unexpected token `resource`
              help: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`
            mine.cedar:9:8: the types Long and String are not compatible
              help: for policy `mine/c`, both operands to a `==` expression must have compatible types. Types must be exactly equal to be compatible
        "#]],
    );
}

#[test]
fn a_lost_semicolon_or_quotation_mark_costs_one_policy() {
    check(
        &[
            (
                "a.cedar",
                "@id(\"a/1\") permit (principal, action, resource)\n@id(\"a/2\") permit (principal, action in Action::\"x\", resource);",
            ),
            (
                "b.cedar",
                "@id(\"b/1) permit (principal, action, resource);\n@id(\"b/2\") permit (principal, action in Action::\"y\", resource);",
            ),
        ],
        expect![[r#"
            a.cedar:1:48: unexpected end of input
              help: expected `;` or identifier
            a.cedar:2:41: for policy `a/2`, unrecognized action `Action::"x"`
              help: the schema lists all actions
            b.cedar:1:5: invalid token
              help: try checking that all strings are closed properly
            b.cedar:2:41: for policy `b/2`, unrecognized action `Action::"y"`
              help: the schema lists all actions
        "#]],
    );
}

#[test]
fn names_are_needed_and_are_one_policys_own() {
    check(
        &[
            ("a.cedar", "permit (principal, action, resource);\n@id(\"x\") permit (principal, action, resource);"),
            (
                "b.cedar",
                "\n  @id(\"x\") forbid (principal, action, resource);\n@id(\"a b\") forbid (principal, action, resource);",
            ),
            ("b.cedar", ""),
        ],
        expect![[r#"
            a.cedar:1:1: a policy without a name
              help: write `@id("file/what-it-does")` before it
            b.cedar:1:1: two files have this name
              help: rename one of them
            b.cedar:2:3: a second policy with the name `x`; the first is at a.cedar:2:1
              help: rename one of them
            b.cedar:3:1: `a b` cannot be the name of a policy
              help: use 1 to 128 plain letters, digits and marks, without spaces
        "#]],
    );
}

#[test]
fn what_can_never_apply_is_a_mistake() {
    check(
        &[(
            "a.cedar",
            "@id(\"a\") permit (principal is Person, action == Action::\"fs.write\", resource);\n\
             @id(\"b\") permit (principal, action == Action::\"fs.write\", resource is File) when { resource.path == \"a\" && false };\n\
             @id(\"c\") permit (principal == ?principal, action, resource);",
        )],
        expect![[r#"
            a.cedar:1:1: for policy `a`, unable to find an applicable action given the policy scope constraints
            a.cedar:2:1: for policy `b`, policy is impossible: the policy expression evaluates to false for all valid requests
            a.cedar:3:31: expected a static policy, got a template containing the slot ?principal
              help: try removing the template slot(s) from this policy
        "#]],
    );
}

#[test]
fn schemas_have_mistakes_too() {
    let mut sources = with(&[("a.cedar", "@id(\"a\") permit (principal, action, resource)")]);
    sources.schema = source(
        Sources::SCHEMA_FILE,
        "entity File;\nentity Agent in [Tiger];\naction a appliesTo { principal: [Agent], resource: [Flie] };",
    );
    check_sources(
        &sources,
        expect![[r#"
        a.cedar:1:46: unexpected end of input
          help: expected `;` or identifier
        schema.cedarschema:2:18: failed to resolve types: Tiger, Flie
          help: `Tiger` has not been declared as an entity type
    "#]],
    );
    sources.schema = source(Sources::SCHEMA_FILE, "entity File;\nentity;");
    check_sources(
        &sources,
        expect![[r#"
        a.cedar:1:46: unexpected end of input
          help: expected `;` or identifier
        schema.cedarschema:2:7: error parsing schema: unexpected token `;`
          help: expected identifier
    "#]],
    );
}

#[test]
fn a_schema_for_other_entities_than_ours_is_a_mistake() {
    let mut sources = Sources::shipped();
    sources.schema.text = sources
        .schema
        .text
        .replace(
            "entity File { namespace: String, path: String,",
            "entity File { namespace: String, path: String, size: Long,",
        )
        .replace("approved: Bool,", "approved: Bool, mood: String,");
    let mistakes = Engine::compile(&sources).expect_err("mistakes");
    assert!(mistakes.iter().all(|m| m.file == Sources::SCHEMA_FILE && m.line > 1), "{}", shown(&mistakes));
    assert!(mistakes.iter().any(|m| m.message.contains("fs.write")), "{}", shown(&mistakes));
}

#[test]
fn too_much_is_refused_unread() {
    let huge = " ".repeat(MAX_SOURCES_BYTES);
    check(
        &[("a.cedar", &huge)],
        expect![[r#"
            schema.cedarschema:1:1: all policies together have 4208769 bytes; at most 4194304 are read
              help: remove policies that nobody needs
        "#]],
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    /// Whatever is cut out of a shipped file or put into it, compiling ends with an engine or with mistakes inside the file.
    #[test]
    fn damaged_files_are_told_of(at in 0_usize..2000, cut in 0_usize..30, put in "[ \"@(){};,a/\n]{0,3}", file in 0_usize..10) {
        let mut sources = Sources::shipped();
        let text = &mut sources.policies[file].text;
        let from = at % text.len();
        text.replace_range(from..(from + cut).min(text.len()), &put);
        let lines = text.lines().count() + 1;
        let name = sources.policies[file].name.clone();
        if let Err(mistakes) = Engine::compile(&sources) {
            for mistake in mistakes {
                proptest::prop_assert!(mistake.file == name && mistake.line <= lines && mistake.line > 0, "{}", mistake);
            }
        }
    }
}
