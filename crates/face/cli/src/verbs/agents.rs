//! `steward agent`.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::Value;
use steward_naming::{Label, Name, is_semantic_version, visible};
use steward_seal::json::{self, Limits};
use steward_wire::{AddAgent, AgentList, AgentRecord};

use crate::{
    failure::Failure,
    home::read_small,
    session::Session,
    show::{Ink, Looks, Word, facts, table},
};

/// What can be done about agents.
#[derive(Debug, Subcommand)]
pub enum AgentVerb {
    /// Register an agent from a file: name, version, tier, description, capabilities
    Add {
        /// TOML or JSON
        file: PathBuf,
    },
    /// List all agents
    List,
    /// Show one
    Show {
        /// Its name, short or full
        name: String,
    },
}

pub(crate) async fn carry_out(session: &mut Session, verb: AgentVerb) -> Result<(), Failure> {
    match verb {
        AgentVerb::Add { file } => {
            let agent = read_file(&file)?;
            let added = session.caller()?.add_agent(&agent).await.map_err(|error| {
                let failure = Failure::from(error);
                let details = failure.details.iter().map(|d| format!("{}: {d}", file.display())).collect();
                failure.details(details)
            })?;
            session.show.answer(&added, agent_view)
        }
        AgentVerb::List => {
            let agents = session.caller()?.agents().await?;
            session.show.answer(&agents, list_view)
        }
        AgentVerb::Show { name } => {
            let agent = session.caller()?.agent(&name).await?;
            session.show.answer(&agent, agent_view)
        }
    }
}

fn read_file(file: &Path) -> Result<AddAgent, Failure> {
    let bytes = read_small(file, Limits::BODY.bytes).map_err(|e| Failure::file("read", file, &e))?;
    let is_json = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    parse(&bytes, is_json).map_err(|problems| {
        let at_file = |problem: String| format!("{}:{problem}", file.display());
        Failure::misused(format!("`{}` is not an agent as this node registers them", file.display()))
            .details(problems.into_iter().map(at_file).collect())
            .hint("it needs name, version and tier (T0 to T4), and may have description and capabilities")
    })
}

/// Reads an agent, or gives everything that is wrong with it, each with its place.
fn parse(bytes: &[u8], is_json: bool) -> Result<AddAgent, Vec<String>> {
    let value =
        if is_json { json::value(bytes, Limits::BODY).map_err(|e| vec![format!(" {e}")])? } else { from_toml(bytes)? };
    let Value::Object(fields) = &value else { return Err(vec![" it is no table of names and values".to_owned()]) };
    let mut problems = Vec::new();
    for (name, form, is_needed) in FIELDS {
        match fields.get(*name) {
            None if *is_needed => problems.push(format!(" `{name}` is missing; it is {}", form.what())),
            None => {}
            Some(value) => problems.extend(form.mistake(value).map(|mistake| format!(" `{name}`: {mistake}"))),
        }
    }
    for name in fields.keys().filter(|name| !FIELDS.iter().any(|(known, ..)| known == name)) {
        problems.push(format!(" `{}` is not known; take it out", name.escape_debug()));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    serde_json::from_value(value).map_err(|e| vec![format!(" {e}")])
}

/// The fields of [`AddAgent`]; a test keeps them equal.
const FIELDS: &[(&str, Form, bool)] = &[
    ("name", Form::Name, true),
    ("version", Form::Version, true),
    ("tier", Form::Tier, true),
    ("description", Form::Text, false),
    ("capabilities", Form::Texts, false),
];

#[derive(Clone, Copy)]
enum Form {
    Text,
    Texts,
    Name,
    Version,
    Tier,
}

impl Form {
    fn what(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Texts => "a list of texts",
            Self::Name => "a name, such as `scribe`",
            Self::Version => "a semantic version, such as `1.0.0`",
            Self::Tier => "one of T0, T1, T2, T3 and T4",
        }
    }

    /// What is wrong with a value: everything that can be known without the node, so that it is said at once.
    fn mistake(self, value: &Value) -> Option<String> {
        let text = value.as_str();
        let fits = match self {
            Self::Text => text.is_some(),
            Self::Texts => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            Self::Name => match text {
                Some(text) if text.contains('.') => return text.parse::<Name>().err().map(|e| e.to_string()),
                Some(text) => return text.parse::<Label>().err().map(|e| e.to_string()),
                None => false,
            },
            Self::Version => text.is_some_and(is_semantic_version),
            Self::Tier => matches!(text, Some("T0" | "T1" | "T2" | "T3" | "T4")),
        };
        let said = || text.map_or_else(|| "this".to_owned(), |text| format!("`{}`", visible(text)));
        (!fits).then(|| format!("{} is not {}", said(), self.what()))
    }
}

fn from_toml(bytes: &[u8]) -> Result<Value, Vec<String>> {
    let text = std::str::from_utf8(bytes).map_err(|_| vec![" it is not UTF-8".to_owned()])?;
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        vec![format!("{line}:{column}: {}", error.message())]
    })?;
    serde_json::to_value(table).map_err(|e| vec![format!(" {e}")])
}

fn agent_view(agent: &AgentRecord, looks: Looks) -> String {
    facts(
        looks,
        [
            ("agent", Word::new(&agent.name, Ink::Bold)),
            ("version", (&agent.version).into()),
            ("tier", (&agent.tier).into()),
            ("for", (&agent.description).into()),
            ("can", agent.capabilities.join(", ").into()),
            ("status", Word::state(&agent.status)),
            ("actions", format!("{} allowed, {} refused", agent.allowed, agent.refused).into()),
            ("added", (&agent.added_at).into()),
            ("manifest", (&agent.manifest).into()),
            ("entry", agent.entry.to_string().into()),
        ],
    )
}

fn list_view(list: &AgentList, looks: Looks) -> String {
    let rows = list.agents.iter().map(|a| {
        [
            Word::from(&a.name),
            (&a.tier).into(),
            (&a.version).into(),
            Word::state(&a.status),
            a.allowed.to_string().into(),
            a.refused.to_string().into(),
            (&a.description).into(),
        ]
    });
    table(looks, ["agent", "tier", "version", "status", "allowed", "refused", "for"], rows)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::{FIELDS, parse};

    fn check(text: &str, is_json: bool, expected: Expect) {
        let found = match parse(text.as_bytes(), is_json) {
            Ok(agent) => format!("{agent:?}\n"),
            Err(problems) => problems.iter().map(|p| format!("FILE:{p}\n")).collect(),
        };
        expected.assert_eq(&found);
    }

    #[test]
    fn both_formats_say_the_same() {
        let toml =
            "name = 'scribe'\nversion = '1.0.0'\ntier = 'T1'\ndescription = 'writes'\ncapabilities = ['reports']";
        check(
            toml,
            false,
            expect![[r#"
            AddAgent { name: "scribe", version: "1.0.0", tier: "T1", description: "writes", capabilities: ["reports"] }
        "#]],
        );
        let json =
            r#"{"name":"scribe","version":"1.0.0","tier":"T1","description":"writes","capabilities":["reports"]}"#;
        assert_eq!(parse(json.as_bytes(), true), parse(toml.as_bytes(), false));
    }

    #[test]
    fn all_problems_are_shown_at_once() {
        check(
            "tier = 'T9'\nversion = 1\ncapabilities = ['a', 2]\nteir = ''\n",
            false,
            expect![[r#"
            FILE: `name` is missing; it is a name, such as `scribe`
            FILE: `version`: this is not a semantic version, such as `1.0.0`
            FILE: `tier`: `T9` is not one of T0, T1, T2, T3 and T4
            FILE: `capabilities`: this is not a list of texts
            FILE: `teir` is not known; take it out
        "#]],
        );
        check(
            "name = 'A b'\nversion = '1.0'\ntier = 'T\u{661}'\n",
            false,
            expect![[r#"
            FILE: `name`: `A b` contains U+0020, which is not allowed in a name; write it without
            FILE: `version`: `1.0` is not a semantic version, such as `1.0.0`
            FILE: `tier`: `T\u{661}` is not one of T0, T1, T2, T3 and T4
        "#]],
        );
    }

    #[test]
    fn a_text_that_is_no_toml_or_json_is_shown_where() {
        check(
            "name = 'a'\nversion = = 2\n",
            false,
            expect![[r#"
            FILE:2:11: extra `=`, expected nothing
        "#]],
        );
        check(
            "name = 'a'\nname = 'b'\n",
            false,
            expect![[r#"
            FILE:2:1: duplicate key
        "#]],
        );
        check(
            r#"{"name":"a","name":"b"}"#,
            true,
            expect![[r#"
            FILE: line 1, column 18: the key `name` is written twice
        "#]],
        );
        check(
            "[]",
            true,
            expect![[r#"
            FILE: it is no table of names and values
        "#]],
        );
        check(
            "\u{0}",
            false,
            expect![[r#"
            FILE:1:2: key with no value, expected `=`
        "#]],
        );
    }

    #[test]
    fn the_fields_are_those_of_the_api() {
        let agent = parse(b"name = 'a'\nversion = '1.0.0'\ntier = 'T0'", false).expect("complete");
        let serde_json::Value::Object(fields) = serde_json::to_value(agent).unwrap() else { panic!("an object") };
        let mut known: Vec<&str> = FIELDS.iter().map(|(name, ..)| *name).collect();
        known.sort_unstable();
        let mut real: Vec<&str> = fields.keys().map(String::as_str).collect();
        real.sort_unstable();
        assert_eq!(known, real);
    }
}
