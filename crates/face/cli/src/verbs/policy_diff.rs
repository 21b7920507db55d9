//! `steward policy diff`: what would differ under another policy.
//!
//! Deliberately absent: deciding. The node asks its own record again, and says what it could not ask.

use std::path::Path;

use steward_policy::{Source, Sources};
use steward_wire::{DiffPolicy, PolicyDiff, PolicyDifference, PolicyFile, PolicyOutcome};

use crate::{
    failure::Failure,
    session::Session,
    show::{Ink, Looks, Word, shown, table},
};

/// How many differences are shown to a person; `--json` has all.
const MAX_SHOWN: usize = 50;

/// Reads `last:1000`.
pub(crate) fn against(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix("last:").and_then(|number| number.parse().ok());
    number.filter(|n| *n > 0).ok_or_else(|| "write it as last:N, such as last:1000: the last N decisions".to_owned())
}

/// Carries it out. Exit code 0 if nothing would differ, and 1 if something would.
pub(crate) async fn carry_out(session: &mut Session, path: &Path, sources: Sources, last: u32) -> Result<(), Failure> {
    let file = |Source { name, text }: Source| PolicyFile { name, text };
    let asked = DiffPolicy { policies: sources.policies.into_iter().map(file).collect(), whole: path.is_dir(), last };
    let diff = session.caller()?.diff_policy(&asked).await?;
    session.show.answer(&diff, view)?;
    if diff.differences.is_empty() { Ok(()) } else { Err(Failure::not_true()) }
}

fn outcome(outcome: &PolicyOutcome) -> Word {
    let by: Vec<&str> = outcome.policies.iter().map(|policy| policy.id.as_str()).collect();
    let why = match (&outcome.code, by.is_empty()) {
        (Some(code), true) => code.clone(),
        _ => by.join(", "),
    };
    let errors: String = outcome.errors.iter().map(|error| format!("; {error}")).collect();
    let ink = if outcome.decision == "allow" { Ink::Good } else { Ink::Bad };
    Word::new(format!("{}: {why}{errors}", outcome.decision), ink)
}

/// A decision that would come out otherwise, in a row: entry, who, asked for, was, would be.
pub(crate) fn difference_row(difference: &PolicyDifference) -> [Word; 5] {
    let who = match &difference.tier {
        Some(tier) => format!("{} ({tier})", difference.actor),
        None => difference.actor.clone(),
    };
    [
        difference.entry.to_string().into(),
        who.into(),
        format!("{} {}:{}", difference.action, difference.kind, difference.resource).into(),
        outcome(&difference.was),
        outcome(&difference.would_be),
    ]
}

fn view(diff: &PolicyDiff, looks: Looks) -> String {
    let mut out = String::new();
    if !diff.differences.is_empty() {
        let rows = diff.differences.iter().take(MAX_SHOWN).map(difference_row);
        out += &table(looks, ["entry", "who", "asked for", "was", "would be"], rows);
        match diff.differences.len().saturating_sub(MAX_SHOWN) {
            0 => {}
            more => out += &format!("and {more} more, which --json has\n"),
        }
        out.push('\n');
    }
    let asked = diff.same + diff.would_be_denied + diff.would_be_allowed;
    let verdict = match (diff.would_be_denied, diff.would_be_allowed) {
        (0, 0) => looks.ink(Ink::Good, "none would differ"),
        (denied, allowed) => looks.ink(Ink::Bad, &format!("{denied} would be denied, {allowed} would be allowed")),
    };
    let range = match (diff.from, diff.to) {
        (Some(from), Some(to)) => format!(" (entries {from} to {to})"),
        _ => String::new(),
    };
    out += &format!("{asked} decisions asked again{range}: {verdict}\n");
    for one in &diff.not_asked {
        out += &format!("{} not asked: {} (entry {})\n", one.count, shown(&one.why), one.entry);
    }
    if diff.counted > 0 {
        out += &format!("{} refusals of that time were counted only, and stand for others like them\n", diff.counted);
    }
    let files = |what: &str, files: &[String]| match files {
        [] => String::new(),
        files => format!("; {what} {}", shown(&files.join(", "))),
    };
    let all = format!("{}{}", files("replaces", &diff.replaced), files("adds", &diff.added));
    out + &format!("the candidate has {} policies, version {}{all}\n", diff.policies, shown(&diff.version))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{MatchedPolicy, NotAsked, PolicyDiff, PolicyDifference, PolicyOutcome};

    use super::{against, view};
    use crate::show::Looks;

    fn outcome(decision: &str, code: Option<&str>, policies: &[&str]) -> PolicyOutcome {
        let policy = |id: &&str| MatchedPolicy { id: (*id).into(), file: "a.cedar".into(), description: None };
        PolicyOutcome {
            decision: decision.into(),
            code: code.map(str::to_owned),
            policies: policies.iter().map(policy).collect(),
            errors: vec![],
        }
    }

    #[test]
    fn what_would_differ_as_it_looks() {
        let mut diff = PolicyDiff {
            version: "sha256:aa".into(),
            in_force: "sha256:bb".into(),
            policies: 39,
            replaced: vec!["tiers/T1.cedar".into()],
            added: vec![],
            from: Some(3),
            to: Some(90),
            same: 70,
            would_be_denied: 1,
            would_be_allowed: 0,
            not_asked: vec![NotAsked { why: "its entry was erased".into(), count: 2, entry: 12 }],
            counted: 5,
            differences: vec![PolicyDifference {
                entry: 42,
                time: "2026-11-20T20:14:27.123Z".into(),
                actor: "scribe.acme.internal".into(),
                tier: Some("T1".into()),
                roles: vec![],
                action: "fs.write".into(),
                kind: "file".into(),
                resource: "/a\u{1b}[2J.md".into(),
                run: None,
                was: outcome("allow", None, &["tiers/T1-writes"]),
                would_be: outcome("deny", Some("NOT_PERMITTED"), &[]),
            }],
        };
        expect![[r#"
            entry  who                        asked for                     was                     would be
            42     scribe.acme.internal (T1)  fs.write file:/a\u{1b}[2J.md  allow: tiers/T1-writes  deny: NOT_PERMITTED

            71 decisions asked again (entries 3 to 90): 1 would be denied, 0 would be allowed
            2 not asked: its entry was erased (entry 12)
            5 refusals of that time were counted only, and stand for others like them
            the candidate has 39 policies, version sha256:aa; replaces tiers/T1.cedar
        "#]]
        .assert_eq(&view(&diff, Looks::default()));
        (diff.differences, diff.would_be_denied, diff.counted) = (vec![], 0, 0);
        diff.not_asked.clear();
        expect![[r#"
            70 decisions asked again (entries 3 to 90): none would differ
            the candidate has 39 policies, version sha256:aa; replaces tiers/T1.cedar
        "#]]
        .assert_eq(&view(&diff, Looks::default()));
    }

    #[test]
    fn how_many_is_said_in_one_form() {
        assert_eq!(against("last:1000"), Ok(1_000));
        for text in ["", "1000", "last:", "last:0", "last:-1", "first:3", "last:99999999999"] {
            assert!(against(text).is_err(), "{text}");
        }
    }
}
