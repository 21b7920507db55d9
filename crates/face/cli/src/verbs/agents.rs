//! `steward agent`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;
use steward_naming::{Label, Name, is_semantic_version, visible};
use steward_seal::json::{self, Limits};
use steward_wire::{AddAgent, AgentList, AgentRecord, Reason, RevocationRecord, TierChange};

use crate::{
    failure::Failure,
    home::read_small,
    session::Session,
    show::{Ink, Looks, Word, facts, table},
    verbs::{
        init::{self, InitArgs},
        packets, replay,
    },
};

/// What can be done about agents.
#[derive(Debug, Subcommand)]
pub enum AgentVerb {
    /// Begin one: a folder with a manifest, a packet template and a program that runs as it is
    Init(InitArgs),
    /// Register an agent from a file: name, version, tier, description, capabilities, command, packet
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
    /// What the record says of it: registered, tiers, runs and how they ended, revocations and reinstatements
    History {
        /// Its name, short or full
        name: String,
    },
    /// Revoke it: its run ends, its process is killed, and it may do nothing until it is reinstated
    Revoke {
        /// Its name, short or full
        name: String,
        /// Why; recorded, and told to its successor
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Reinstate a revoked agent, one tier lower
    Reinstate(TierArgs),
    /// Ask that it gets a tier more, by its record; where policy says so, a person approves first
    Promote(TierArgs),
    /// Take a tier from it, at once
    Demote(TierArgs),
    /// Ask that it gets the tier back that was taken from it; a person approves first
    Appeal(TierArgs),
}

/// Which agent, and why.
#[derive(Debug, Args)]
pub struct TierArgs {
    /// Its name, short or full
    name: String,
    /// Why; recorded
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) async fn carry_out(session: &mut Session, verb: AgentVerb) -> Result<(), Failure> {
    match verb {
        AgentVerb::Init(args) => init::init(session, args),
        AgentVerb::Add { file } => {
            let agent = read_file(session, &file)?;
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
        AgentVerb::History { name } => replay::history(session, &name).await,
        AgentVerb::Revoke { name, reason } => {
            let revocation = session.caller()?.revoke_agent(&name, &Reason { reason }).await?;
            session.show.answer(&revocation, revocation_view)
        }
        AgentVerb::Promote(TierArgs { name, reason }) => {
            let change = session.caller()?.promote_agent(&name, &Reason { reason }).await?;
            tier_changed(session, &change)
        }
        AgentVerb::Demote(TierArgs { name, reason }) => {
            let change = session.caller()?.demote_agent(&name, &Reason { reason }).await?;
            tier_changed(session, &change)
        }
        AgentVerb::Appeal(TierArgs { name, reason }) => {
            let change = session.caller()?.appeal_for_agent(&name, &Reason { reason }).await?;
            tier_changed(session, &change)
        }
        AgentVerb::Reinstate(TierArgs { name, reason }) => {
            let revocation = session.caller()?.reinstate_agent(&name, &Reason { reason }).await?;
            session.show.answer(&revocation, revocation_view)
        }
    }
}

fn tier_changed(session: &mut Session, change: &TierChange) -> Result<(), Failure> {
    session.show.answer(change, |change, looks| {
        let (changed, ink) = if change.changed { ("changed", Ink::Good) } else { ("waits for a person", Ink::Warn) };
        facts(
            looks,
            [
                ("agent", Word::new(&change.agent, Ink::Bold)),
                ("tier", (&change.tier).into()),
                ("tier is", Word::new(changed, ink)),
                ("review", Word::from(change.review.as_deref().unwrap_or_default())),
            ],
        )
    })?;
    if let Some(review) = &change.review {
        let approve = session.command(&format!("review approve {review} --reason TEXT"));
        session.show.aside(&format!("Somebody who did not ask for it decides: `{approve}`"));
    }
    Ok(())
}

/// Reads an agent's file, and the template of its packets, whose path is beside the file.
fn read_file(session: &Session, file: &Path) -> Result<AddAgent, Failure> {
    let agent = read_manifest(file)?;
    let Some(packet) = &agent.packet else { return Ok(agent) };
    let packet = file.parent().unwrap_or(Path::new("")).join(packet);
    let text = packets::read_template(session, &packet)?;
    Ok(AddAgent { packet: Some(text), ..agent })
}

fn read_manifest(file: &Path) -> Result<AddAgent, Failure> {
    let bytes = read_small(file, Limits::BODY.bytes).map_err(|e| Failure::file("read", file, &e))?;
    let is_json = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
    parse(&bytes, is_json).map_err(|problems| {
        let at_file = |problem: String| format!("{}:{problem}", file.display());
        Failure::misused(format!("`{}` is not an agent as this node registers them", file.display()))
            .details(problems.into_iter().map(at_file).collect())
            .hint(
                "it needs name, version and tier (T0 to T4), and may have description, capabilities, command (how it is started), \
                 packet (the file with the template of its packets) and protocol (`line` or `mcp`)",
            )
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
    ("command", Form::Texts, false),
    ("packet", Form::Path, false),
    ("protocol", Form::Protocol, false),
];

#[derive(Clone, Copy)]
enum Form {
    Text,
    Texts,
    Path,
    Name,
    Version,
    Tier,
    Protocol,
}

impl Form {
    fn what(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Texts => "a list of texts",
            Self::Path => "the path of a file",
            Self::Name => "a name, such as `scribe`",
            Self::Version => "a semantic version, such as `1.0.0`",
            Self::Tier => "one of T0, T1, T2, T3 and T4",
            Self::Protocol => "`line` or `mcp`",
        }
    }

    /// What is wrong with a value: everything that can be known without the node, so that it is said at once.
    fn mistake(self, value: &Value) -> Option<String> {
        let text = value.as_str();
        let fits = match self {
            Self::Text => text.is_some(),
            Self::Path => text.is_some_and(|path| !path.is_empty()),
            Self::Texts => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            Self::Name => match text {
                Some(text) if text.contains('.') => return text.parse::<Name>().err().map(|e| e.to_string()),
                Some(text) => return text.parse::<Label>().err().map(|e| e.to_string()),
                None => false,
            },
            Self::Version => text.is_some_and(is_semantic_version),
            Self::Tier => matches!(text, Some("T0" | "T1" | "T2" | "T3" | "T4")),
            Self::Protocol => matches!(text, Some("line" | "mcp")),
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
            ("started by", agent.command.as_deref().map(command_line).unwrap_or_default().into()),
            ("packet", agent.packet.as_deref().unwrap_or_default().into()),
            ("status", Word::state(&agent.status)),
            ("because", Word::new(agent.revoked.as_deref().unwrap_or_default(), Ink::Bad)),
            ("actions", format!("{} allowed, {} refused", agent.allowed, agent.refused).into()),
            ("added", (&agent.added_at).into()),
            ("manifest", (&agent.manifest).into()),
            ("entry", agent.entry.to_string().into()),
        ],
    )
}

/// A program and its arguments, with those in quotation marks that could be read as several.
pub(crate) fn command_line(argv: &[String]) -> String {
    let word = |word: &String| match word.is_empty() || word.contains([' ', '"', '\'', '\\']) {
        true => format!("{word:?}"),
        false => word.clone(),
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn revocation_view(revocation: &RevocationRecord, looks: Looks) -> String {
    let reinstated = revocation.reinstated_by.as_ref().map(|by| {
        let tier = revocation.reinstated_tier.as_ref().map(|tier| format!(", as {tier}")).unwrap_or_default();
        format!("by {by}{tier}")
    });
    facts(
        looks,
        [
            ("agent", Word::new(&revocation.agent, Ink::Bold)),
            ("status", Word::state(if reinstated.is_some() { "active" } else { "revoked" })),
            ("revocation", (&revocation.id).into()),
            ("reason", (&revocation.reason).into()),
            ("because", (&revocation.details).into()),
            ("run", revocation.run.as_deref().unwrap_or_default().into()),
            ("by", (&revocation.by).into()),
            ("at", (&revocation.at).into()),
            ("reinstated", reinstated.unwrap_or_default().into()),
            ("entry", revocation.entry.to_string().into()),
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

    use steward_wire::RevocationRecord;

    use super::{FIELDS, command_line, parse, read_file, revocation_view};
    use crate::{show::Looks, testing::session_at};

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
            AddAgent { name: "scribe", version: "1.0.0", tier: "T1", description: "writes", capabilities: ["reports"], command: None, packet: None, protocol: None }
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
        let text = b"name = 'a'\nversion = '1.0.0'\ntier = 'T0'\ncommand = ['a']\npacket = 'p.json'\nprotocol = 'mcp'";
        let agent = parse(text, false).expect("complete");
        let serde_json::Value::Object(fields) = serde_json::to_value(agent).unwrap() else { panic!("an object") };
        let mut known: Vec<&str> = FIELDS.iter().map(|(name, ..)| *name).collect();
        known.sort_unstable();
        let mut real: Vec<&str> = fields.keys().map(String::as_str).collect();
        real.sort_unstable();
        assert_eq!(known, real);
    }

    #[test]
    fn the_template_lies_beside_the_manifest_and_its_text_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let session = session_at(Some(folder.path().to_owned()));
        let file = folder.path().join("a.toml");
        write("a.toml", "name = 'a'\nversion = '1.0.0'\ntier = 'T0'\npacket = 't.json'");
        assert!(read_file(&session, &file).unwrap_err().message.contains("t.json"), "it is missing");
        let template = r#"{"deliverables": [], "constraints": {"scope": [], "forbidden": [], "required_steps": []},
            "success_criteria": [], "escalation_rules": []}"#;
        write("t.json", template);
        assert_eq!(read_file(&session, &file).unwrap().packet.as_deref(), Some(template));
        write("t.json", "{\n \"scope\": []}");
        let failure = read_file(&session, &file).unwrap_err();
        assert!(failure.details.iter().any(|detail| detail.contains("t.json:2:2: /scope:")), "{:?}", failure.details);
    }

    #[test]
    fn a_revocation_says_why_and_whether_it_was_taken_back() {
        let mut revocation = RevocationRecord {
            id: "rev_1".into(),
            agent: "scribe.acme.internal".into(),
            reason: "BY_PERSON".into(),
            details: "it is enough".into(),
            run: Some("run_1".into()),
            by: "olivia@acme.internal".into(),
            at: "2026-11-20T20:14:27.123Z".into(),
            reinstated_by: None,
            reinstated_tier: None,
            entry: 7,
        };
        let text = revocation_view(&revocation, Looks::default());
        assert!(text.contains("status      revoked\n"), "{text}");
        revocation.reinstated_by = Some("adam@acme.internal".into());
        revocation.reinstated_tier = Some("T0".into());
        expect![[r#"
            agent       scribe.acme.internal
            status      active
            revocation  rev_1
            reason      BY_PERSON
            because     it is enough
            run         run_1
            by          olivia@acme.internal
            at          2026-11-20T20:14:27.123Z
            reinstated  by adam@acme.internal, as T0
            entry       7
        "#]]
        .assert_eq(&revocation_view(&revocation, Looks::default()));
        assert_eq!(command_line(&["a b", "c", "", "d\"e"].map(str::to_owned)), r#""a b" c "" "d\"e""#);
    }
}
