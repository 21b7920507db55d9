//! `steward act` and `steward action`.

use std::{
    io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use steward_caller::ActionQuery;
use steward_wire::{Act, ActionList, ActionRecord, ActionResult, Explanation, MatchedPolicy};

use crate::{
    failure::Failure,
    home::{read_bounded, read_small},
    session::Session,
    show::{Ink, Looks, Word, facts, facts_of, shown, table},
};

/// The most bytes of a file that are read to be sent: more than a node takes, so that it can say what it takes.
const MAX_CONTENT_BYTES: usize = 8 << 20;

/// Does one governed action.
#[derive(Debug, Args)]
pub struct ActArgs {
    /// The agent's name
    agent: String,
    /// What is to be done: fs.write
    action: String,
    /// What it is to be done to: a path in the agent's folder
    resource: String,
    /// The content, from a file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// How sure the agent is, from 0 to 1. Recorded, never believed
    #[arg(long, value_name = "0..1", value_parser = basis_points)]
    confidence: Option<u16>,
}

/// What can be asked about actions.
#[derive(Debug, Subcommand)]
pub enum ActionVerb {
    /// List actions, newest first
    List {
        /// Of this agent only
        #[arg(long, value_name = "NAME")]
        agent: Option<String>,
        /// Only those that were allowed, or denied
        #[arg(long, value_parser = ["allow", "deny"])]
        decision: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// Older than this one; the end of a list says which
        #[arg(long, value_name = "N")]
        before: Option<u64>,
    },
    /// Show one
    Show {
        /// Its id: act_…
        id: String,
    },
    /// Say why it was allowed or refused
    Explain {
        /// Its id: act_…
        id: String,
    },
}

/// Does an action. `--json` prints `ActionResult`, or the `Problem` of a refusal.
pub(crate) async fn act(session: &mut Session, args: ActArgs) -> Result<(), Failure> {
    let caller = session.caller()?;
    let content = args.from.as_deref().map(read_content).transpose()?.map(|bytes| STANDARD.encode(bytes));
    let act = Act { action: args.action, resource: args.resource, content, confidence_bp: args.confidence };
    let result = caller.act(&args.agent, &act).await?;
    session.show.answer(&result, result_view)?;
    conclusion(&result.action, &session.command(&format!("action explain {}", result.action.id)))
}

/// Done, if it was allowed and what it allowed succeeded.
fn conclusion(action: &ActionRecord, explain: &str) -> Result<(), Failure> {
    let (what, hint) = match action.effect.as_ref() {
        _ if action.decision.decision != "allow" => ("the action was refused", format!("see why with `{explain}`")),
        None => return Ok(()),
        Some(effect) if effect.status == "succeeded" => return Ok(()),
        Some(effect) if effect.status == "failed" => {
            let why = effect.error_message.as_deref().or(effect.error_code.as_deref()).unwrap_or("it is not said why");
            return Err(Failure::refused(format!("the action was allowed, and failed: {why}")));
        }
        Some(_) => ("it is not known whether the action was done", format!("do not repeat it; look with `{explain}`")),
    };
    Err(Failure::refused(what).hint(hint))
}

fn read_content(from: &Path) -> Result<Vec<u8>, Failure> {
    if from == Path::new("-") {
        return read_bounded(io::stdin().lock(), MAX_CONTENT_BYTES)
            .map_err(|e| Failure::misused(format!("cannot read the content from standard input: {e}")));
    }
    read_small(from, MAX_CONTENT_BYTES)
        .map_err(|e| Failure { exit: crate::Exit::Misused, ..Failure::file("read", from, &e) })
}

/// A confidence from 0 to 1, in basis points.
fn basis_points(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{}` is not a confidence; it is a number from 0 to 1, such as 0.85", text.escape_debug());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !matches!(whole, "" | "0" | "1") || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(wrong());
    }
    if fraction.trim_end_matches('0').len() > 4 {
        return Err(format!("`{text}` is finer than a hundredth of a percent, which is as fine as it is recorded"));
    }
    let fraction: u16 = format!("{fraction:0<4}")[..4].parse().map_err(|_| wrong())?;
    let points = if whole == "1" { 10_000 } else { 0 } + fraction;
    if points <= 10_000 { Ok(points) } else { Err(wrong()) }
}

pub(crate) async fn carry_out(session: &mut Session, verb: ActionVerb) -> Result<(), Failure> {
    let caller = session.caller()?;
    match verb {
        ActionVerb::List { agent, decision, limit, before } => {
            let list = caller.actions(&ActionQuery { agent, decision, before, limit }).await?;
            session.show.answer(&list, list_view)?;
            if let Some(next) = list.next {
                session.show.aside(&format!("There are older ones: --before {next}"));
            }
            Ok(())
        }
        ActionVerb::Show { id } => session.show.answer(&caller.action(&id).await?, action_view),
        ActionVerb::Explain { id } => {
            let prove = session.command("ledger prove");
            session.show.answer(&caller.explain_action(&id).await?, |why, looks| explanation_view(why, &prove, looks))
        }
    }
}

/// `allow`, or `deny (CODE)`.
fn decision(action: &ActionRecord) -> Word {
    let decision = &action.decision;
    let Some(code) = &decision.code else { return Word::state(&decision.decision) };
    Word::new(format!("{} ({code})", decision.decision), Ink::Bad)
}

fn effect(action: &ActionRecord) -> Word {
    let Some(effect) = &action.effect else { return Word::from("") };
    let mut text = effect.status.clone();
    effect.bytes.iter().for_each(|bytes| text += &format!(", {bytes} bytes"));
    effect.error_code.iter().for_each(|code| text += &format!(" ({code})"));
    let ink = match effect.status.as_str() {
        "succeeded" => Ink::Good,
        "failed" => Ink::Bad,
        _ => Ink::Warn,
    };
    Word::new(text, ink)
}

fn what(action: &ActionRecord) -> String {
    format!("{} {}", action.action, action.resource)
}

fn numbers(entries: &[u64]) -> String {
    entries.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

fn result_view(result: &ActionResult, looks: Looks) -> String {
    let action = &result.action;
    facts(
        looks,
        [
            ("action", Word::new(&action.id, Ink::Bold)),
            ("decision", decision(action)),
            ("effect", effect(action)),
            ("digest", action.effect.as_ref().and_then(|e| e.digest.clone()).unwrap_or_default().into()),
            ("entries", numbers(&action.entries).into()),
        ],
    )
}

fn action_view(action: &ActionRecord, looks: Looks) -> String {
    let text = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
    let mut lines = vec![
        ("action".to_owned(), Word::new(&action.id, Ink::Bold)),
        ("time".to_owned(), (&action.time).into()),
        ("actor".to_owned(), (&action.actor).into()),
        ("via".to_owned(), text(&action.via)),
        ("tier".to_owned(), text(&action.tier)),
        ("asked".to_owned(), format!("{} ({})", what(action), action.kind).into()),
        ("decision".to_owned(), decision(action)),
        ("because".to_owned(), text(&action.decision.reason)),
    ];
    lines.extend(policies(&action.decision.policies));
    lines.push(("effect".to_owned(), effect(action)));
    if let Some(effect) = &action.effect {
        lines.push(("error".to_owned(), text(&effect.error_message)));
        lines.push(("digest".to_owned(), text(&effect.digest)));
    }
    lines.push(("policy version".to_owned(), (&action.decision.policy_version).into()));
    lines.push(("entries".to_owned(), numbers(&action.entries).into()));
    lines.push(("request".to_owned(), text(&action.trace)));
    facts_of(looks, &lines)
}

/// The policies that decided, the first one with the name.
fn policies(policies: &[MatchedPolicy]) -> impl Iterator<Item = (String, Word)> {
    policies.iter().enumerate().map(|(n, policy)| {
        let description = policy.description.as_ref().map(|d| format!(": {d}")).unwrap_or_default();
        let name = if n == 0 { "policies" } else { "" };
        (name.to_owned(), Word::from(format!("{} ({}){description}", policy.id, policy.file)))
    })
}

/// The sentences, then a block that can be looked things up in.
fn explanation_view(why: &Explanation, prove: &str, looks: Looks) -> String {
    let action = &why.action;
    let mut out: String =
        why.sentences.iter().map(|sentence| format!("{}\n", looks.wrapped(&shown(sentence), 0, 0))).collect();
    out.push('\n');
    let tier = action.tier.as_ref().map(|tier| format!(", {tier}")).unwrap_or_default();
    let via = action.via.as_ref().map(|via| format!(", by the key of {via}")).unwrap_or_default();
    let mut lines = vec![
        ("decision".to_owned(), decision(action)),
        ("actor".to_owned(), format!("{}{tier}{via}", action.actor).into()),
        ("action".to_owned(), format!("{} ({})", what(action), action.kind).into()),
        ("effect".to_owned(), effect(action)),
    ];
    lines.extend(policies(&action.decision.policies));
    let entry = match action.decision.entry {
        Some(entry) if action.entries.len() > 1 => format!("{entry} (all about it: {})", numbers(&action.entries)),
        Some(entry) => entry.to_string(),
        None => "none of its own: the same refusal was just recorded, and this one counted".to_owned(),
    };
    lines.push(("ledger entry".to_owned(), entry.into()));
    if let Some(proof) = &why.proof {
        let file = format!("{prove} {} --output proof.json", proof.entry);
        lines.push(("proof".to_owned(), format!("take it with you: `{file}`").into()));
    }
    out + &facts_of(looks, &lines)
}

fn list_view(list: &ActionList, looks: Looks) -> String {
    if looks.is_terminal {
        // What became of it, in one word: there is little room.
        let rows = list.actions.iter().map(|a| {
            let outcome = match &a.decision.code {
                Some(code) => Word::new(code, Ink::Bad),
                None if a.effect.is_some() => effect(a),
                None => decision(a),
            };
            [looks.time(&a.time), (&a.id).into(), looks.name(&a.actor), what(a).into(), outcome]
        });
        return table(looks, ["time", "action", "actor", "what", "outcome"], rows);
    }
    let rows = list
        .actions
        .iter()
        .map(|a| [Word::from(&a.time), (&a.id).into(), (&a.actor).into(), what(a).into(), decision(a), effect(a)]);
    table(looks, ["time", "action", "actor", "what", "decision", "effect"], rows)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{
        ActionList, ActionRecord, ActionResult, DecisionRecord, EffectRecord, Explanation, MatchedPolicy, Proof,
    };

    use super::{action_view, basis_points, conclusion, explanation_view, list_view, result_view};
    use crate::{failure::Exit, show::Looks};

    fn action(decision: &str, status: Option<&str>) -> ActionRecord {
        let is_denied = decision == "deny";
        ActionRecord {
            id: "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD".into(),
            time: "2026-11-20T20:14:27.123Z".into(),
            actor: "agent scribe.acme.internal".into(),
            via: Some("olivia@acme.internal".into()),
            tier: Some("T1".into()),
            action: "fs.write".into(),
            kind: "file".into(),
            resource: "/reports/a\u{202e}.md".into(),
            decision: DecisionRecord {
                id: "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD".into(),
                decision: decision.into(),
                code: is_denied.then(|| "NOT_PERMITTED".into()),
                reason: is_denied.then(|| "no policy permits it".into()),
                policies: vec![MatchedPolicy {
                    id: "T1/write-reports".into(),
                    file: "tiers/T1.cedar".into(),
                    description: Some("Operators write reports.".into()),
                }],
                policy_version: "sha256:00".into(),
                entry: (!is_denied).then_some(12),
            },
            effect: status.map(|status| EffectRecord {
                status: status.into(),
                error_code: (status == "failed").then(|| "INTERRUPTED".into()),
                error_message: (status == "failed").then(|| "the node was stopped".into()),
                digest: (status == "succeeded").then(|| "sha256:11".into()),
                bytes: (status == "succeeded").then_some(42),
            }),
            entries: vec![12, 13, 14],
            trace: Some("trc_1".into()),
        }
    }

    #[test]
    fn an_act_ends_as_its_effect_did() {
        let exit = |decision, status| conclusion(&action(decision, status), "explain").map_err(|failure| failure.exit);
        assert_eq!(exit("allow", Some("succeeded")), Ok(()));
        assert_eq!(exit("allow", None), Ok(()));
        for status in ["failed", "unknown", "intended", "publishing", "new"] {
            assert_eq!(exit("allow", Some(status)), Err(Exit::Refused), "{status}");
        }
        assert_eq!(exit("deny", None), Err(Exit::Refused));
        assert_eq!(exit("deny", Some("succeeded")), Err(Exit::Refused));
    }

    #[test]
    fn confidences() {
        for (text, points) in [
            ("0", 0),
            ("1", 10_000),
            ("0.85", 8_500),
            (".5", 5_000),
            ("0.0001", 1),
            ("1.0", 10_000),
            ("0.50000", 5_000),
        ] {
            assert_eq!(basis_points(text), Ok(points), "{text}");
        }
        for text in ["", ".", "1.1", "2", "-0.1", "0.00001", "NaN", "inf", "85%", "1e-1", "0.ä", "0x1"] {
            assert!(basis_points(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_explanation_is_read_by_managers_first() {
        let why = Explanation {
            action: action("allow", Some("succeeded")),
            sentences: vec!["scribe asked to write a file.".into(), "It was allowed.".into()],
            body: None,
            proof: Some(Proof { entry: 12, proof: String::new(), vkey: String::new() }),
        };
        expect![[r#"
            scribe asked to write a file.
            It was allowed.

            decision      allow
            actor         agent scribe.acme.internal, T1, by the key of olivia@acme.internal
            action        fs.write /reports/a\u{202e}.md (file)
            effect        succeeded, 42 bytes
            policies      T1/write-reports (tiers/T1.cedar): Operators write reports.
            ledger entry  12 (all about it: 12, 13, 14)
            proof         take it with you: `steward ledger prove 12 --output proof.json`
        "#]]
        .assert_eq(&explanation_view(&why, "steward ledger prove", Looks::default()));
        let why = Explanation { action: action("deny", None), sentences: vec!["No.".into()], body: None, proof: None };
        expect![[r#"
            No.

            decision      deny (NOT_PERMITTED)
            actor         agent scribe.acme.internal, T1, by the key of olivia@acme.internal
            action        fs.write /reports/a\u{202e}.md (file)
            policies      T1/write-reports (tiers/T1.cedar): Operators write reports.
            ledger entry  none of its own: the same refusal was just recorded, and this one counted
        "#]]
        .assert_eq(&explanation_view(&why, "steward ledger prove", Looks::default()));
    }

    #[test]
    fn actions_as_they_look() {
        expect![[r#"
            action    act_01KAHW5V8NQ4Z0M7C2R9T3XBYD
            decision  allow
            effect    succeeded, 42 bytes
            digest    sha256:11
            entries   12, 13, 14
        "#]]
        .assert_eq(&result_view(&ActionResult { action: action("allow", Some("succeeded")) }, Looks::default()));
        expect![[r#"
            action          act_01KAHW5V8NQ4Z0M7C2R9T3XBYD
            time            2026-11-20T20:14:27.123Z
            actor           agent scribe.acme.internal
            via             olivia@acme.internal
            tier            T1
            asked           fs.write /reports/a\u{202e}.md (file)
            decision        allow
            policies        T1/write-reports (tiers/T1.cedar): Operators write reports.
            effect          failed (INTERRUPTED)
            error           the node was stopped
            policy version  sha256:00
            entries         12, 13, 14
            request         trc_1
        "#]]
        .assert_eq(&action_view(&action("allow", Some("failed")), Looks::default()));
        let actions = vec![action("allow", Some("succeeded")), action("deny", None)];
        expect![[r#"
            time                      action                          actor                       what                            decision              effect
            2026-11-20T20:14:27.123Z  act_01KAHW5V8NQ4Z0M7C2R9T3XBYD  agent scribe.acme.internal  fs.write /reports/a\u{202e}.md  allow                 succeeded, 42 bytes
            2026-11-20T20:14:27.123Z  act_01KAHW5V8NQ4Z0M7C2R9T3XBYD  agent scribe.acme.internal  fs.write /reports/a\u{202e}.md  deny (NOT_PERMITTED)
        "#]].assert_eq(&list_view(&ActionList { actions, next: None }, Looks::default()));
    }
}
