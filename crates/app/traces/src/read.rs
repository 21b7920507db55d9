//! Spans from entries: of effects, decisions, refusals, runs and reviews, when they end.
//!
//! What an entry says is told if it is a name, a code or a count of the node's own making. What an agent or a person wrote is not.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};
use steward_clock::Timestamp;
use steward_ledger::{ActorKind, Body, BodyActor, BodyDecision, Cell, Verdict, kind};
use steward_naming::{ActionId, ReviewId, RunId, TraceId as RequestId};
use steward_permit::DenialCode;
use steward_store::{EntryRow, Reader, StoreError};

use crate::{
    rows,
    span::{Attributes, Event, MAX_EVENTS, Place, Said, Span, SpanId, SpanKind, TraceId},
    traceparent,
};

/// The most entries that one look goes through.
const MAX_SCANNED: u64 = 20_000;

/// The most runs above one that are looked at for the trace.
const MAX_CHAIN: usize = 16;

/// The longest name of something that stands in a span, in bytes.
const MAX_NAME: usize = 128;

/// The longest code, in bytes.
const MAX_CODE: usize = 64;

/// How asking a model is called, where an entry does not say.
const CHAT: &str = "chat";

/// How an action is called that policy does not know.
const UNKNOWN: &str = "unknown";

/// As OpenTelemetry's conventions call a run of an agent.
const INVOKE: &str = "invoke_agent";

/// As they call what it does in it.
const EXECUTE: &str = "execute_tool";

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// What ended.
    pub(crate) spans: Vec<Span>,
    /// How many entries were left out, because what they tell ended too long ago.
    pub(crate) old: u64,
    /// How many entries they are made of.
    pub(crate) entries: u64,
    /// The entry to look at then.
    pub(crate) next: u64,
}

/// What ended since a time with the entries from one on: with so many entries at most.
pub(crate) fn since(reader: &Reader<'_>, next: u64, most: usize, not_before: Timestamp) -> Result<Found, StoreError> {
    let end = reader.size()?.min(next.saturating_add(MAX_SCANNED)).max(next);
    let mut found = Found { next, ..Found::default() };
    let mut maker = Maker { reader, runs: HashMap::new() };
    while found.spans.is_empty() && found.next < end {
        let entries = rows::endings(reader, found.next, end, most)?;
        found.next = match entries.last() {
            Some(last) if entries.len() >= most => last.seq + 1,
            _ => end,
        };
        for entry in &entries {
            if entry.time < not_before {
                found.old += 1;
            } else if let Some(body) = body_of(entry) {
                maker.ended(entry, &body, &mut found.spans)?;
                found.entries += 1;
            }
        }
    }
    Ok(found)
}

/// What an entry says. What was erased is not told; nor is what cannot be read, which `ledger verify` finds, and which keeps nothing else from
/// being told.
fn body_of(entry: &EntryRow) -> Option<Body> {
    entry.read_body().unwrap_or_else(|error| {
        tracing::warn!(entry = entry.seq, %error, "an entry that cannot be read is told in no span");
        None
    })
}

struct Maker<'a, 'r> {
    reader: &'a Reader<'r>,
    /// Where runs stand, that were looked for.
    runs: HashMap<String, Option<(Place, SpanId)>>,
}

impl Maker<'_, '_> {
    fn ended(&mut self, entry: &EntryRow, body: &Body, spans: &mut Vec<Span>) -> Result<(), StoreError> {
        match entry.kind.as_str() {
            kind::ACTION_SETTLED => spans.extend(self.effect(entry, body)?),
            kind::ACTION_DECIDED | kind::ACTION_REFUSED => spans.extend(self.decision(entry, body)?),
            kind::RUN_REFUSED => spans.extend(self.refused_run(entry, body)?),
            kind::RUN_ENDED => spans.extend(self.run(entry, body)?),
            _ => {}
        }
        self.reviews(entry, body, spans)
    }

    /// What was done, from its intention to its end.
    fn effect(&mut self, entry: &EntryRow, body: &Body) -> Result<Option<Span>, StoreError> {
        let Some((intended, asked)) = self.first(&entry.subject, kind::ACTION_INTENDED)? else { return Ok(None) };
        let Some(span) = self.action(&asked, true, intended.time, entry.time)? else { return Ok(None) };
        let counted = |name: &str| text(&body.detail, name).and_then(|count| count.parse::<u64>().ok());
        let span = span
            .says("steward.entry", entry.seq)
            .may_say("gen_ai.usage.input_tokens", counted("prompt_tokens"))
            .may_say("gen_ai.usage.output_tokens", counted("completion_tokens"))
            .may_say("steward.cost_micros", counted("micros"));
        Ok(Some(with_outcome(span, body)))
    }

    /// What was decided, and done in the same moment or not at all.
    fn decision(&mut self, entry: &EntryRow, body: &Body) -> Result<Option<Span>, StoreError> {
        let span = self.action(body, false, entry.time, entry.time)?;
        Ok(span.map(|span| with_outcome(span.says("steward.entry", entry.seq), body)))
    }

    fn action(
        &mut self,
        body: &Body,
        was_begun: bool,
        began: Timestamp,
        ended: Timestamp,
    ) -> Result<Option<Span>, StoreError> {
        let Some(decision) = &body.decision else { return Ok(None) };
        let (place, link) = self.place(body, &decision.id)?;
        let asked = Named::of(decision, body, was_begun);
        let span = Span { link, ..Span::new(place, id(&decision.id), asked.name, asked.kind, began, ended) };
        let span = asked.says.into_iter().fold(span, |span, (name, said)| span.says(name, said));
        let span = by(span, &body.actor);
        let span = span
            .says("steward.action.id", decision.id.as_str())
            .says("steward.action.name", asked.action)
            .says("steward.decision", decision.outcome.as_str())
            .may_say("steward.run.id", text(&body.detail, "run").filter(|run| run.parse::<RunId>().is_ok()))
            .may_say("steward.run.phase", text(&body.detail, "phase").and_then(code))
            .may_say("steward.trace", body.trace.as_ref().map(RequestId::as_str));
        let policies: Vec<String> = decision.policies.iter().map(|policy| shortened(&policy.id)).collect();
        let span = if policies.is_empty() { span } else { span.says("steward.policies", Said::List(policies)) };
        Ok(Some(match decision.code {
            Some(refusal) if decision.outcome == Verdict::Deny => span.failed(refusal.as_str()),
            _ => span,
        }))
    }

    /// A run that did not come to be.
    fn refused_run(&mut self, entry: &EntryRow, body: &Body) -> Result<Option<Span>, StoreError> {
        let Some(decision) = &body.decision else { return Ok(None) };
        let (place, link) = self.place(body, &decision.id)?;
        let span = invoked(place, id(&decision.id), &entry.subject, entry.time, entry.time);
        let span = Span { link, ..span.says("steward.entry", entry.seq) };
        Ok(Some(with_outcome(span, body)))
    }

    /// A run, with what happened in it as events.
    fn run(&mut self, entry: &EntryRow, body: &Body) -> Result<Option<Span>, StoreError> {
        let Some((started, of_start)) = self.first(&entry.subject, kind::RUN_STARTED)? else { return Ok(None) };
        let Some((place, id)) = self.place_of_run(&entry.subject)? else { return Ok(None) };
        let of = |name| text(&of_start.detail, name).unwrap_or_default();
        let name = of("agent");
        let ending = text(&body.detail, "ending").and_then(word);
        let above = text(&of_start.detail, "parent").filter(|run| run.parse::<RunId>().is_ok());
        // Who started it with a trace of their own has it there, with a link to the run above.
        let link = match above {
            Some(above) if joined(&of_start).is_some() => {
                self.place_of_run(above)?.map(|(place, id)| (place.trace, id))
            }
            _ => None,
        };
        let span = invoked(place, id, name, started.time, entry.time)
            .says("gen_ai.agent.version", shortened(of("agent_version")))
            .says("steward.entry", entry.seq)
            .says("steward.run.id", entry.subject.as_str())
            .may_say("steward.tier", code(of("tier")))
            .may_say("steward.ending", ending)
            .may_say("steward.trace", of_start.trace.as_ref().map(RequestId::as_str))
            .may_say("steward.run.parent", above);
        let span = match text(&body.detail, "code").and_then(code) {
            Some(why) if ending != Some("completed") => span.failed(why),
            _ => span,
        };
        let mut events = Vec::new();
        let (within, more_events) = rows::within(self.reader, &entry.subject, entry.seq, MAX_EVENTS / 2)?;
        for within in within {
            events.extend(body_of(&within).map(|body| event(&within, &body)));
        }
        Ok(Some(Span { events, more_events, link, ..span }))
    }

    /// Reviews that ended with an entry: by it, or with the run, the agent or the effect that waited for them.
    fn reviews(&mut self, entry: &EntryRow, body: &Body, spans: &mut Vec<Span>) -> Result<(), StoreError> {
        let status = text(&body.detail, "status");
        // Neither its beginning nor one of several approvals is an end.
        let is_pending = entry.kind == kind::REVIEW_APPROVED && status != Some("approved");
        if entry.kind == kind::REVIEW_OPENED || is_pending {
            return Ok(());
        }
        let written = body.rows.iter().filter(|row| row.table == "review");
        let ids = written.filter_map(|row| match row.key.get("id") {
            Some(Cell::Text(id)) => id.parse::<ReviewId>().ok(),
            _ => None,
        });
        for review in ids {
            if rows::is_decided_before(self.reader, review.as_str(), entry.seq)? {
                continue;
            }
            let Some((opened, asked)) = self.first(review.as_str(), kind::REVIEW_OPENED)? else { continue };
            let of_review = asked.detail.get("review").and_then(Value::as_object);
            let of = |name: &str| of_review.and_then(|review| review.get(name)?.as_str());
            let run = of("run").map(|run| self.place_of_run(run)).transpose()?.flatten();
            let place = match (run, &asked.trace) {
                (Some((place, run)), _) => Place { trace: place.trace, parent: Some(run) },
                (None, Some(trace)) => root(trace.to_bits()),
                (None, None) => root(review.to_bits()),
            };
            let ended = match entry.kind.as_str() {
                kind::REVIEW_APPROVED => "approved",
                kind::REVIEW_REJECTED => "rejected",
                kind::REVIEW_ENDED => status.and_then(word).unwrap_or("ended"),
                kind::EFFECT_RESOLVED => "resolved",
                _ => "voided",
            };
            let kind = of("kind").and_then(word).unwrap_or("review");
            let name = format!("review {kind}");
            let span =
                Span::new(place, SpanId::of(review.to_bits()), name, SpanKind::Internal, opened.time, entry.time);
            let span = span
                .says("steward.entry", entry.seq)
                .says("steward.review.id", review.as_str())
                .says("steward.review.kind", kind)
                .says("steward.review.outcome", ended)
                .may_say("steward.tier", of("tier").and_then(code))
                .may_say("steward.run.id", of("run").filter(|run| run.parse::<RunId>().is_ok()));
            spans.push(match of("agent") {
                Some(name) => agent(span, name),
                None => span,
            });
        }
        Ok(())
    }

    fn first(&self, subject: &str, kind: &str) -> Result<Option<(EntryRow, Body)>, StoreError> {
        let Some(entry) = rows::first(self.reader, subject, kind)? else { return Ok(None) };
        Ok(body_of(&entry).map(|body| (entry, body)))
    }

    /// Where what an entry tells of stands: in the caller's own trace, else in its run, else in the trace of its request. Who came with a trace of
    /// their own has a link to the run.
    fn place(&mut self, body: &Body, id: &ActionId) -> Result<(Place, Option<(TraceId, SpanId)>), StoreError> {
        let run = match text(&body.detail, "run") {
            Some(run) => self.place_of_run(run)?,
            None => None,
        };
        let within = run.map(|(place, id)| (place.trace, id));
        if let Some((trace, parent)) = joined(body) {
            return Ok((Place { trace, parent: Some(parent) }, within));
        }
        Ok(match (within, &body.trace) {
            (Some((trace, run)), _) => (Place { trace, parent: Some(run) }, None),
            (None, Some(trace)) => (root(trace.to_bits()), None),
            (None, None) => (root(id.to_bits()), None),
        })
    }

    /// Where a run stands, and its span: in the trace of whoever started it, else in that of the run above it.
    fn place_of_run(&mut self, run: &str) -> Result<Option<(Place, SpanId)>, StoreError> {
        if let Some(known) = self.runs.get(run) {
            return Ok(*known);
        }
        let mut above = Vec::new();
        let mut at = run.to_owned();
        let mut found = None;
        while above.len() < MAX_CHAIN {
            if let Some(Some((place, id))) = self.runs.get(&at) {
                found = Some(Place { trace: place.trace, parent: Some(*id) });
                break;
            }
            let Ok(id) = at.parse::<RunId>() else { break };
            let started = self.first(&at, kind::RUN_STARTED)?;
            let Some((_, body)) = started else { break };
            if let Some((trace, parent)) = joined(&body) {
                found = Some(Place { trace, parent: Some(parent) });
            } else if text(&body.detail, "parent").is_none() {
                found = Some(root(body.trace.as_ref().map_or(id.to_bits(), RequestId::to_bits)));
            }
            let parent = text(&body.detail, "parent").map(str::to_owned);
            above.push((at, SpanId::of(id.to_bits())));
            match parent {
                Some(parent) if found.is_none() => at = parent,
                _ => break,
            }
        }
        // A chain that is too long, or whose beginning was erased, begins where it is seen.
        let mut place = found.or_else(|| Some(root(above.last()?.0.parse::<RunId>().ok()?.to_bits())));
        for (run, id) in above.into_iter().rev() {
            let here = place.map(|place| (place, id));
            place = place.map(|place| Place { trace: place.trace, parent: Some(id) });
            self.runs.insert(run, here);
        }
        Ok(*self.runs.entry(run.to_owned()).or_default())
    }
}

/// What something that was asked for is called.
struct Named {
    name: String,
    kind: SpanKind,
    action: String,
    says: BTreeMap<&'static str, Said>,
}

impl Named {
    /// Names of tools and models that something was begun with are a person's, who added them; of what was only decided they are whatever was
    /// asked for, and are not told.
    fn of(decision: &BodyDecision, body: &Body, was_begun: bool) -> Self {
        // What policy knows; else it is whatever somebody wrote.
        let action = match decision.code {
            Some(DenialCode::UnknownAction | DenialCode::Malformed) => UNKNOWN.to_owned(),
            _ => word(&decision.action).unwrap_or(UNKNOWN).to_owned(),
        };
        let resource = was_begun.then(|| shortened(&decision.resource.id));
        let mut says = BTreeMap::new();
        let (name, kind) = match (action.as_str(), body.actor.kind) {
            ("model.call", _) => {
                let operation = text(&body.detail, "operation").and_then(word).unwrap_or(CHAT);
                says.insert("gen_ai.operation.name", operation.into());
                // As the provider calls it, and as the node does.
                let upstream = text(&body.detail, "upstream").filter(|_| was_begun).map(shortened);
                let model = upstream.or_else(|| resource.clone());
                let name = model.as_ref().map_or_else(|| operation.to_owned(), |model| format!("{operation} {model}"));
                says.extend(model.map(|model| ("gen_ai.request.model", model.into())));
                says.extend(resource.map(|model| ("steward.model", model.into())));
                let provider = text(&body.detail, "provider").and_then(word);
                says.extend(provider.map(|provider| ("gen_ai.provider.name", provider.into())));
                (name, SpanKind::Client)
            }
            (_, ActorKind::Agent) => {
                let is_call = action == "tool.call";
                let tool = resource.filter(|_| is_call).unwrap_or_else(|| action.clone());
                let name = format!("{EXECUTE} {tool}");
                says.insert("gen_ai.operation.name", EXECUTE.into());
                says.insert("gen_ai.tool.name", tool.into());
                (name, if is_call || action == "http.get" { SpanKind::Client } else { SpanKind::Internal })
            }
            (_, ActorKind::Person) => (action.clone(), SpanKind::Server),
            (_, ActorKind::Node) => (action.clone(), SpanKind::Internal),
        };
        Self { name, kind, action, says }
    }
}

fn root(bits: u128) -> Place {
    let trace = TraceId::new(bits).unwrap_or_else(|| TraceId::new(1).expect("it is not 0"));
    Place { trace, parent: None }
}

fn id(action: &ActionId) -> SpanId {
    SpanId::of(action.to_bits())
}

fn joined(body: &Body) -> Option<(TraceId, SpanId)> {
    traceparent::parse(text(&body.detail, "traceparent")?)
}

fn text<'a>(detail: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    detail.get(name)?.as_str()
}

/// A code, as the node writes them: `ERROR_BUDGET_EXCEEDED`, `EXECUTE`, `T2`.
fn code(text: &str) -> Option<&str> {
    let is_code = text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    (is_code && (1..=MAX_CODE).contains(&text.len())).then_some(text)
}

/// A word, as the node writes them: `completed`, `fs.write`.
fn word(text: &str) -> Option<&str> {
    is_word(text).then_some(text)
}

fn is_word(text: &str) -> bool {
    let is_word = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'));
    is_word && (1..=MAX_CODE).contains(&text.len())
}

/// A name that somebody gave, short enough, and nothing else than text.
fn shortened(name: &str) -> String {
    name.chars()
        .filter(|c| !c.is_control())
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= MAX_NAME).then_some(c)
        })
        .collect()
}

/// Who did it.
fn by(span: Span, actor: &BodyActor) -> Span {
    let span = span
        .says("steward.actor", shortened(&actor.name))
        .may_say("steward.tier", actor.tier.map(|tier| tier.as_str()));
    match actor.kind {
        ActorKind::Agent => {
            agent(span, &actor.name).may_say("gen_ai.agent.version", actor.version.as_deref().map(shortened))
        }
        _ => span,
    }
}

fn agent(span: Span, name: &str) -> Span {
    span.says("gen_ai.agent.id", shortened(name)).says("gen_ai.agent.name", shortened(label(name)))
}

fn label(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// A run, or that there was none.
fn invoked(place: Place, id: SpanId, name: &str, began: Timestamp, ended: Timestamp) -> Span {
    let called = format!("{INVOKE} {}", shortened(label(name)));
    agent(Span::new(place, id, called, SpanKind::Internal, began, ended).says("gen_ai.operation.name", INVOKE), name)
}

fn with_outcome(span: Span, body: &Body) -> Span {
    match body.outcome.as_ref().and_then(|outcome| outcome.error_type.as_deref()).and_then(code) {
        Some(why) => span.failed(why),
        None => span,
    }
}

/// What happened within a run.
fn event(entry: &EntryRow, body: &Body) -> Event {
    let (name, said) = match entry.kind.as_str() {
        kind::RUN_PHASE => ("phase", text(&body.detail, "to").and_then(code).map(|to| ("steward.run.phase", to))),
        kind::RUN_ERROR => {
            let error = body.detail.get("error").and_then(|error| error.get("type")?.as_str());
            ("error", error.and_then(code).map(|error| ("error.type", error)))
        }
        kind::RUN_PLANNED => ("plan", None),
        kind::RUN_AGENT_STARTED => ("agent started", None),
        _ => ("looked at by a person", None),
    };
    let attributes: Attributes = said.into_iter().map(|(name, said)| (name, said.into())).collect();
    Event { at: entry.time, name, attributes: with_entry(attributes, entry.seq) }
}

fn with_entry(mut attributes: Attributes, seq: u64) -> Attributes {
    attributes.insert("steward.entry", seq.into());
    attributes
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::{MAX_CODE, MAX_NAME, code, is_word, label, shortened};

    #[test]
    fn codes_and_words_are_the_node_s_own() {
        for good in ["T2", "ERROR_BUDGET_EXCEEDED", "EXECUTE"] {
            assert_eq!(code(good), Some(good));
        }
        for bad in ["", "a", "NO SPACE", "Ä", &"A".repeat(MAX_CODE + 1)] {
            assert_eq!(code(bad), None, "{bad}");
        }
        assert!(is_word("fs.write") && !is_word("fs write") && !is_word("") && !is_word("drоp"));
        assert_eq!(label("scribe.acme.internal"), "scribe");
    }

    proptest! {
        #[test]
        fn a_name_is_short_and_without_control_characters(name in "\\PC*|.*") {
            let short = shortened(&name);
            prop_assert!(short.len() <= MAX_NAME && !short.chars().any(char::is_control));
        }
    }
}
