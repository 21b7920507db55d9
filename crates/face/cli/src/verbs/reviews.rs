//! `steward review`: what waits for people's decisions.

use std::{io::IsTerminal as _, time::Duration};

use clap::{Args, Subcommand};
use similar::TextDiff;
use steward_caller::ReviewQuery;
use steward_wire::{Reason, ReviewDetail, ReviewDocument, ReviewList, ReviewRecord};

use crate::{
    failure::{Exit, Failure},
    session::Session,
    show::{Ink, Looks, Word, facts_of, shown, table},
};

/// How often `watch` looks, in seconds.
const LOOK_EVERY_S: u64 = 2;

/// The most lines of a document that are shown to a person; `--json` has all.
const MAX_LINES: usize = 400;

/// Lines around a difference.
const AROUND: usize = 3;

/// What can be done about reviews.
#[derive(Debug, Subcommand)]
pub enum ReviewVerb {
    /// List what waits for a decision
    List(ListArgs),
    /// Show one: who asks, what exactly, why, what it would change, and what follows
    Show {
        /// Its id: rvw_…
        id: String,
    },
    /// Say yes. Nobody approves what they asked for
    Approve(DecideArgs),
    /// Say no
    Reject(DecideArgs),
    /// Tell what comes to wait, as it comes, until it is interrupted
    Watch,
}

/// Which reviews.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    /// Those that were decided or ended, too
    #[arg(long)]
    all: bool,
    /// Of this status only: pending, approved, rejected, expired, voided, used
    #[arg(long, value_name = "STATUS", conflicts_with = "all")]
    status: Option<String>,
    /// Of this kind only: plan, action, criterion, escalation, promotion, appeal, outcome, tool
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// That this run waits for
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

/// A decision.
#[derive(Debug, Clone, Args)]
pub struct DecideArgs {
    /// Its id: rvw_…
    id: String,
    /// Why; recorded
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) async fn carry_out(session: &mut Session, verb: ReviewVerb) -> Result<(), Failure> {
    match verb {
        ReviewVerb::List(args) => {
            let status = args.status.or_else(|| (!args.all).then(|| "pending".to_owned()));
            let query = ReviewQuery { status, kind: args.kind, run: args.run, after: None, limit: args.limit };
            let list = session.caller()?.reviews(&query).await?;
            session.show.answer(&list, list_view)?;
            if list.reviews.iter().any(|review| review.status == "pending") {
                let show = session.command("review show ID");
                session.show.aside(&format!("Look at one before you decide: `{show}`"));
            }
            Ok(())
        }
        ReviewVerb::Show { id } => {
            let detail = session.caller()?.review(&id).await?;
            session.show.answer(&detail, detail_view)?;
            if detail.review.status == "pending" {
                let id = &detail.review.id;
                let (yes, no) = (
                    session.command(&format!("review approve {id} --reason TEXT")),
                    session.command(&format!("review reject {id} --reason TEXT")),
                );
                session.show.aside(&format!("Decide with `{yes}` or `{no}`"));
            }
            Ok(())
        }
        ReviewVerb::Approve(DecideArgs { id, reason }) => {
            let review = session.caller()?.approve_review(&id, &Reason { reason }).await?;
            session.show.answer(&review, review_view)?;
            match review.status.as_str() {
                "pending" => session.show.aside("Policy wants another person's approval, too."),
                "approved" | "used" => {}
                // Nothing waited for it any more, and nothing comes of it.
                _ => return Err(Failure::not_true()),
            }
            Ok(())
        }
        ReviewVerb::Reject(DecideArgs { id, reason }) => {
            let review = session.caller()?.reject_review(&id, &Reason { reason }).await?;
            session.show.answer(&review, review_view)
        }
        ReviewVerb::Watch => watch(session).await,
    }
}

/// Tells each review that comes to wait, once: a line for people, a line of JSON for programs. Goes on, until it is interrupted, when the
/// node was away.
async fn watch(session: &mut Session) -> Result<(), Failure> {
    tokio::select! {
        // First, so that it is waited for from the beginning.
        biased;
        _ = tokio::signal::ctrl_c() => Ok(()),
        ended = tell_each(session) => ended,
    }
}

async fn tell_each(session: &mut Session) -> Result<(), Failure> {
    let mut caller = session.caller()?;
    let mut after: Option<String> = None;
    let mut is_away = false;
    if std::io::stderr().is_terminal() {
        session.show.aside("Watching for what comes to wait; interrupt with Ctrl-C.");
    }
    loop {
        let query = ReviewQuery { status: Some("pending".to_owned()), after: after.clone(), ..ReviewQuery::default() };
        let list = match caller.reviews(&query).await.map_err(Failure::from) {
            Err(failure) if failure.exit == Exit::Unreachable => {
                if !is_away {
                    is_away = true;
                    session.show.aside(&format!("{}; it goes on when the node is back.", failure.message));
                }
                tokio::time::sleep(Duration::from_secs(LOOK_EVERY_S)).await;
                // It may be back at another address.
                if let Ok(now) = session.caller() {
                    caller = now;
                }
                continue;
            }
            other => other?,
        };
        if is_away {
            is_away = false;
            session.show.aside("The node is back.");
        }
        for review in list.reviews.iter().rev() {
            if session.is_json() {
                let line = serde_json::to_string(review).map_err(Failure::refused)?;
                session.show.text(&format!("{line}\n"))?;
            } else {
                session.show.text(&format!("{}\n", line(review)))?;
            }
            after = Some(review.id.clone());
        }
        session.show.flush()?;
        tokio::time::sleep(Duration::from_secs(LOOK_EVERY_S)).await;
    }
}

fn line(review: &ReviewRecord) -> String {
    let ReviewRecord { id, kind, asker, action, resource, expires_at, .. } = review;
    shown(&format!("{id}  {kind}  {asker}  {action} {resource}  until {expires_at}"))
}

fn list_view(list: &ReviewList, looks: Looks) -> String {
    if list.reviews.is_empty() {
        return "nothing waits for a decision\n".to_owned();
    }
    let rows = list.reviews.iter().map(|review| {
        [
            Word::new(&review.id, Ink::Bold),
            Word::from(&review.kind),
            status(review),
            looks.name(&review.asker),
            Word::from(format!("{} {}", review.action, review.resource)),
            looks.time(&review.expires_at),
        ]
    });
    table(looks, ["REVIEW", "KIND", "STATUS", "ASKED BY", "WHAT", "UNTIL"], rows)
}

fn status(review: &ReviewRecord) -> Word {
    let ink = match review.status.as_str() {
        "approved" | "used" => Ink::Good,
        "rejected" => Ink::Bad,
        "pending" => Ink::Warn,
        _ => Ink::Dim,
    };
    Word::new(&review.status, ink)
}

fn review_view(review: &ReviewRecord, looks: Looks) -> String {
    facts_of(looks, &review_lines(review))
}

fn review_lines(review: &ReviewRecord) -> Vec<(String, Word)> {
    let named = |name: &str, word: Word| (name.to_owned(), word);
    let optional = |text: &Option<String>| Word::from(text.as_deref().unwrap_or_default());
    let mut lines = vec![
        named("review", Word::new(&review.id, Ink::Bold)),
        named("kind", (&review.kind).into()),
        named("status", status(review)),
        named("asked by", (&review.asker).into()),
        named("what", Word::new(format!("{} {}", review.action, review.resource), Ink::Bold)),
        named("why", (&review.why).into()),
        named("agent", optional(&review.agent)),
        named("tier", (&review.tier).into()),
        named("run", optional(&review.run)),
        named("asked for by", Word::from(review.chain.join(", "))),
        named("bound to", (&review.digest).into()),
        named("opened", (&review.opened_at).into()),
        named("until", (&review.expires_at).into()),
    ];
    for decision in &review.decisions {
        let own = if decision.own { " (asked for it themselves; nobody else is enrolled)" } else { "" };
        let said = format!("{}{own}, {}: {}", decision.by, decision.at, decision.reason);
        let (name, ink) = if decision.approves { ("approved by", Ink::Good) } else { ("rejected by", Ink::Bad) };
        lines.push(named(name, Word::new(said, ink)));
    }
    lines.push(named("answer", (&review.answer).into()));
    lines.push(named("used by", optional(&review.used_by)));
    lines.push(named("entry", review.entry.to_string().into()));
    lines
}

fn detail_view(detail: &ReviewDetail, looks: Looks) -> String {
    let mut lines = review_lines(&detail.review);
    if detail.review.status == "pending" {
        lines.push(("if approved".to_owned(), (&detail.if_approved).into()));
        lines.push(("if not".to_owned(), (&detail.if_not).into()));
    }
    let mut out = facts_of(looks, &lines);
    match (&detail.before, &detail.document) {
        (Some(before), Some(document)) => match (&before.text, &document.text) {
            (Some(was), Some(is)) => {
                out.push_str(&headline(looks, "what would change"));
                out.push_str(&difference(looks, was, is));
            }
            _ => {
                out.push_str(&headline(looks, "what it would replace"));
                out.push_str(&whole(before));
                out.push_str(&headline(looks, "with"));
                out.push_str(&whole(document));
            }
        },
        (_, Some(document)) => {
            out.push_str(&headline(looks, "what it is about"));
            out.push_str(&whole(document));
        }
        (_, None) => {}
    }
    out
}

fn headline(looks: Looks, text: &str) -> String {
    format!("\n{}\n", looks.ink(Ink::Dim, text))
}

/// A document, line by line, with what could steer a terminal written out.
fn whole(document: &ReviewDocument) -> String {
    let Some(text) = &document.text else {
        return format!("  {} bytes that are not text, {}\n", document.bytes, document.digest);
    };
    clipped(pretty(text).as_deref().unwrap_or(text).lines().map(|line| format!("  {}", shown(line))))
}

/// JSON is easier to read on many lines; what is bound is what was sent.
fn pretty(text: &str) -> Option<String> {
    let value = serde_json::from_str::<serde_json::Value>(text).ok()?;
    (value.is_object() || value.is_array()).then(|| serde_json::to_string_pretty(&value).ok()).flatten()
}

fn clipped(lines: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    for (n, line) in lines.enumerate() {
        if n == MAX_LINES {
            out.push_str("  … more; `--json` has all of it\n");
            break;
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

fn difference(looks: Looks, was: &str, is: &str) -> String {
    if was == is {
        return "  nothing: it is what is there already\n".to_owned();
    }
    // What stands on one line has no lines to compare.
    let on_lines = match (was.trim_end().contains('\n'), is.trim_end().contains('\n')) {
        (false, false) => pretty(was).zip(pretty(is)),
        _ => None,
    };
    let (was, is) = on_lines.as_ref().map_or((was, is), |(was, is)| (was.as_str(), is.as_str()));
    let diff = TextDiff::from_lines(was, is);
    let text = diff.unified_diff().context_radius(AROUND).to_string();
    clipped(text.lines().map(|line| {
        let ink = match line.as_bytes().first() {
            Some(b'+') => Ink::Good,
            Some(b'-') => Ink::Bad,
            Some(b'@') => Ink::Dim,
            _ => Ink::Plain,
        };
        format!("  {}", looks.ink(ink, &shown(line)))
    }))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use steward_wire::{ReviewDecision, ReviewDetail, ReviewDocument, ReviewList, ReviewRecord};

    use super::{detail_view, list_view};
    use crate::show::Looks;

    fn record() -> ReviewRecord {
        ReviewRecord {
            id: "rvw_1".into(),
            kind: "action".into(),
            status: "pending".into(),
            asker: "arch.acme.internal".into(),
            chain: vec!["arch.acme.internal".into(), "olivia@acme.internal".into()],
            action: "fs.write".into(),
            resource: "/plans/a.md".into(),
            digest: "sha256:00".into(),
            policy: "sha256:01".into(),
            tier: "T4".into(),
            agent: Some("arch.acme.internal".into()),
            run: Some("run_1".into()),
            why: "T4/approval: an architect's writes".into(),
            opened_at: "2026-11-29T10:00:00.000Z".into(),
            expires_at: "2026-11-29T10:45:00.000Z".into(),
            decisions: vec![],
            answer: "`rvw_1` waits for a person".into(),
            used_by: None,
            entry: 7,
        }
    }

    fn text(text: &str) -> ReviewDocument {
        ReviewDocument { digest: "sha256:02".into(), bytes: text.len() as u64, text: Some(text.into()), base64: None }
    }

    #[test]
    fn a_person_sees_what_they_decide() {
        let detail = ReviewDetail {
            review: ReviewRecord {
                decisions: vec![ReviewDecision {
                    by: "rita@acme.internal".into(),
                    approves: true,
                    reason: "looks \u{1b}[31mfine".into(),
                    own: false,
                    at: "2026-11-29T10:01:00.000Z".into(),
                }],
                ..record()
            },
            document: Some(text("one\ntwo\u{202e}\n")),
            before: Some(text("one\n2\n")),
            if_approved: "it is done".into(),
            if_not: "it is not".into(),
        };
        expect![[r#"
            review        rvw_1
            kind          action
            status        pending
            asked by      arch.acme.internal
            what          fs.write /plans/a.md
            why           T4/approval: an architect's writes
            agent         arch.acme.internal
            tier          T4
            run           run_1
            asked for by  arch.acme.internal, olivia@acme.internal
            bound to      sha256:00
            opened        2026-11-29T10:00:00.000Z
            until         2026-11-29T10:45:00.000Z
            approved by   rita@acme.internal, 2026-11-29T10:01:00.000Z: looks \u{1b}[31mfine
            answer        `rvw_1` waits for a person
            entry         7
            if approved   it is done
            if not        it is not

            what would change
              @@ -1,2 +1,2 @@
               one
              -2
              +two\u{202e}
        "#]]
        .assert_eq(&detail_view(&detail, Looks::default()));
    }

    #[test]
    fn an_empty_inbox_says_so() {
        assert_eq!(list_view(&ReviewList { reviews: vec![] }, Looks::default()), "nothing waits for a decision\n");
        expect![[r#"
            REVIEW  KIND    STATUS   ASKED BY            WHAT                  UNTIL
            rvw_1   action  pending  arch.acme.internal  fs.write /plans/a.md  2026-11-29T10:45:00.000Z
        "#]]
        .assert_eq(&list_view(&ReviewList { reviews: vec![record()] }, Looks::default()));
    }
}
