//! Tools that their server describes otherwise than was pinned: an incident on record, and a question to people (GOV-14, law 5).
//!
//! Nothing is sent to such a tool meanwhile. Whoever approves has it pinned as it was shown to them, and not as it may be by then.
//!
//! Deliberately absent: tools that are gone, or new. Of these there is nothing to approve; `tool pin` takes note of them.

use serde_json::{Value, json};
use steward_app_node::{
    Caller, Case, Context, Error, Kind, ReviewRow, code,
    rows::{open_reviews_about, review_of},
};
use steward_app_tools::{ServerRow, ToolRow, rows};
use steward_gateway::{Change as Changed, Finding, Listed, PinnedTool, ToolDefinition, compare};
use steward_ledger::kind;
use steward_permit::{Action, ResourceKind, ReviewKind};
use steward_review::{Status, Step};
use steward_seal::{Digest, json::canonical};
use steward_store::Refusal;

use super::Gateway;

/// How often people are asked about one server at most, in milliseconds: one that describes its tools otherwise each time does not fill their
/// inbox. Its tools are refused meanwhile.
const ASK_EVERY_MS: u64 = 10 * 60 * 1000;

/// The most changes of which it is remembered that they are on record; beyond, they are recorded again.
const MAX_REMEMBERED: usize = 10_000;

/// The most tools, and suspicious things, that the question names; the document has them all.
const MAX_NAMED: usize = 5;

/// A tool as it is pinned, and as its server describes it now.
type Pair = (ToolRow, ToolDefinition);

impl Gateway {
    /// Records that what a server says is not what was pinned, once for each thing that it says; and asks people about it.
    ///
    /// # Errors
    /// The store cannot be read, or it cannot be recorded.
    pub(super) async fn report(&self, server: &ServerRow, listed: &Listed) -> Result<(), Error> {
        let context = &self.parts.context;
        let pinned = context.store.read(|reader| rows::tools_of(reader, &context.namespace, &server.name))?;
        let pins: Vec<PinnedTool> =
            pinned.iter().map(|row| PinnedTool { name: row.name.clone(), digest: row.pin }).collect();
        let changes: Vec<Changed> = compare(&pins, &listed.tools)
            .into_iter()
            .filter(|change| !matches!(change, Changed::Added { .. }))
            .collect();
        // Whoever tells, or asks, holds it: nothing is told twice.
        let mut told = self.told.lock().await;
        let of = |change: &Changed| {
            let (name, digest) = match change {
                Changed::Changed { name, after, .. } => (name.clone(), after.to_string()),
                Changed::Added { name, .. } | Changed::Removed { name } => (name.clone(), String::new()),
            };
            (server.name.clone(), name, digest)
        };
        let new: Vec<&Changed> = changes.iter().filter(|change| !told.changes.contains(&of(change))).collect();
        if !new.is_empty() {
            tracing::warn!(server = server.name.as_str(), changes = ?new, "a server says something else of its tools than was pinned");
            let node = Caller::node(&context.namespace);
            let action = context.action("tool.check", ResourceKind::Tool, server.name.as_str())?;
            let granted = context.permit(&node, action, None).await?;
            let change =
                context.change(&node, granted, kind::TOOL_CHANGED, server.name.as_str()).detail("changes", json!(new));
            context.commit(change).await?;
            if told.changes.len() > MAX_REMEMBERED {
                told.changes.clear();
            }
            told.changes.extend(new.into_iter().map(of));
        }
        let pairs: Vec<Pair> = pinned.into_iter().filter_map(|row| described(row, &listed.tools)).collect();
        if pairs.is_empty() {
            // It says again what was pinned: what was asked about it is asked no more.
            if told.open.get(&server.name) != Some(&false) {
                void_all(context, server, None, "the server says again what was pinned").await?;
                told.open.insert(server.name.clone(), false);
            }
            return Ok(());
        }
        told.open.insert(server.name.clone(), true);
        let now = context.now();
        let may_ask = told.asked_at.get(&server.name).is_none_or(|last| last.plus_ms(ASK_EVERY_MS) <= now);
        if self.ask(server, &pairs, may_ask).await? {
            told.asked_at.insert(server.name.clone(), now);
        }
        Ok(())
    }

    /// Asks people whether what a server says now is good, too: one question for a server, about all of its tools that changed. Whether it
    /// was asked now.
    async fn ask(&self, server: &ServerRow, pairs: &[Pair], may_ask: bool) -> Result<bool, Error> {
        let context = &self.parts.context;
        let action = action(context, server, pairs)?;
        let asker = context.namespace.to_string();
        let found = context.store.read(|reader| review_of(reader, &asker, &action.digest()))?;
        let is_asked = |row: &ReviewRow| {
            let stands = matches!(row.review.status, Status::Pending | Status::Approved | Status::Rejected);
            stands && context.now() < row.review.expires_at
        };
        if found.as_ref().is_some_and(is_asked) {
            return Ok(false);
        }
        void_all(context, server, Some(&action.digest()), "the server says something else again").await?;
        if !may_ask {
            return Ok(false);
        }
        let instead: Vec<ToolDefinition> = pairs.iter().map(|(_, now)| now.clone()).collect();
        let suspicious = steward_app_tools::findings(context, &server.name, &instead)?;
        let mut was = Vec::new();
        context.store.read(|reader| {
            for (row, _) in pairs {
                was.push(steward_app_tools::definition(reader, row)?.to_value());
            }
            Ok::<_, Error>(())
        })?;
        let document = |tools: Vec<Value>| canonical(&json!({"server": server.name, "tools": tools}));
        let case = Case {
            kind: Some(ReviewKind::Tool),
            why: why(server, pairs, &suspicious),
            document: Some(document(instead.iter().map(ToolDefinition::to_value).collect()).map_err(Error::invalid)?),
            before: Some(document(was).map_err(Error::invalid)?),
            ..Case::default()
        };
        let node = Caller::node(&context.namespace);
        let question = context.question(&node, action, None);
        match context.decide_case(&node, question, &Refusal::default(), std::future::ready(Ok(case))).await {
            // Policy lets the node pin what changed without a person.
            Ok(Ok(granted)) => steward_app_tools::repin(context, granted, server, pairs, &asker).await.map(|_| true),
            // It waits; or policy will not have it asked, which is on record.
            Ok(Err(_)) => Ok(true),
            // More than people can be shown: an administrator pins it, or takes the server away.
            Err(error) if error.kind == Kind::Invalid => {
                tracing::warn!(server = server.name.as_str(), %error, "nobody could be asked about changed tools");
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Does what a person approved: pins the tools as they were shown to them, if they are pinned still as they were then.
    ///
    /// # Errors
    /// The approval is for something that is no more, or it cannot be recorded.
    pub(crate) async fn carry_out(&self, review: &ReviewRow) -> Result<(), Error> {
        let context = &self.parts.context;
        let server = self.known(&review.review.asked.resource)?;
        let document = review.review.document.ok_or_else(|| Error::broken("a question about tools has a document"))?;
        let bytes = context.store.read(|reader| reader.blob(&document))?.ok_or_else(|| Error::broken("it is kept"))?;
        let said: Value = serde_json::from_slice(&bytes).map_err(Error::broken)?;
        let tools = said["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
        let now: Vec<ToolDefinition> =
            tools.iter().map(ToolDefinition::read).collect::<Result<_, _>>().map_err(Error::broken)?;
        let pinned = context.store.read(|reader| rows::tools_of(reader, &context.namespace, &server.name))?;
        let pairs: Vec<Pair> = pinned.into_iter().filter_map(|row| described(row, &now)).collect();
        let action = action(context, &server, &pairs)?;
        if action.digest() != review.review.asked.digest {
            let message =
                format!("the tools of `{}` are not pinned any more as they were when it was asked", server.name);
            return Err(Error::new(Kind::Refused, code::REVIEW_OVER, message));
        }
        let node = Caller::node(&context.namespace);
        let granted = context.decide_by(&node, context.question(&node, action, None), review).await?;
        let by = review.approved_by().join(", ");
        let again = steward_app_tools::repin(context, granted, &server, &pairs, &by).await?;
        tracing::info!(server = server.name.as_str(), to_allow_anew = ?again, "tools that changed were approved");
        Ok(())
    }
}

/// A pinned tool with what its server says of it now, if that is something else.
fn described(row: ToolRow, now: &[ToolDefinition]) -> Option<Pair> {
    let now = now.iter().find(|tool| tool.name() == row.name && tool.digest() != row.pin)?.clone();
    Some((row, now))
}

/// What is asked for: bound to the server as it was added, and to each tool before and after.
fn action(context: &Context, server: &ServerRow, pairs: &[Pair]) -> Result<Action, Error> {
    let tools: Vec<Value> =
        pairs.iter().map(|(row, now)| json!([row.name, row.pin.to_string(), now.digest().to_string()])).collect();
    let bound = json!({"server": server.name, "entry": server.entry_seq.to_string(), "tools": tools});
    let action = context.action("tool.repin", ResourceKind::Tool, server.name.as_str())?;
    Ok(action.with_arguments(Digest::of(&canonical(&bound).map_err(Error::broken)?)))
}

fn why(server: &ServerRow, pairs: &[Pair], suspicious: &[(String, Finding)]) -> String {
    let listed = |all: Vec<String>| {
        let more = all.len().saturating_sub(MAX_NAMED);
        let named = all.into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
        if more == 0 { named } else { format!("{named} and {more} more") }
    };
    let names = listed(pairs.iter().map(|(row, _)| format!("`{}`", row.name)).collect());
    let mut why = format!(
        "the server `{}` says something else of {names} than was pinned; nothing is sent to it meanwhile",
        server.name
    );
    let changed = |name: &str| pairs.iter().any(|(row, _)| row.name == name);
    let found: Vec<String> = suspicious
        .iter()
        .filter(|(name, _)| changed(name))
        .map(|(name, finding)| format!("`{name}`: {}", finding.message))
        .collect();
    if !found.is_empty() {
        why.push_str(". Suspicious: ");
        why.push_str(&listed(found));
    }
    why
}

/// What is asked about a server's tools is asked no more, but for one question.
async fn void_all(context: &Context, server: &ServerRow, but: Option<&Digest>, why: &str) -> Result<(), Error> {
    let open = context.store.read(|reader| open_reviews_about(reader, ReviewKind::Tool, server.name.as_str()))?;
    for row in open.iter().filter(|row| Some(&row.review.asked.digest) != but) {
        context.end_review(row, Step::Void { why: why.to_owned() }).await?;
    }
    Ok(())
}
