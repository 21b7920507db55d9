//! An answer as it comes: bounded, checked, scrubbed across its pieces, and in OpenAI's form.
//!
//! ```text
//! while let Some(chunk) = stream.next().await { send(chunk?); }
//! let StreamOutcome { usage, finished, bytes_out } = stream.outcome();
//! ```
//!
//! Deliberately absent: what a piece was before it was scrubbed, and waiting for whoever reads: a provider is read as fast as
//! `next` is called, until the whole time is over.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt, mem,
};

use reqwest::{Response, header::CONTENT_TYPE};
use serde_json::{Value, json};
use steward_seal::secret::Secrets;
use tokio::time::Instant;

use crate::{
    answer::{MAX_ANSWER_BYTES, Usage, failed},
    anthropic::{DEFAULT_MAX_TOKENS, Translator},
    error::ModelError,
    exchange::{cut_off, within},
    openai::{check_delta, forget_logprobs},
    provider::{Provider, Timeouts, WireKind},
    request::ChatRequest,
    scrub::{Channels, scrub_all},
    sse::{NoEvents, Sse},
    turn::Turn,
};

/// The most bytes of a stream on the wire, however many tokens were asked for.
pub const MAX_STREAM_BYTES: u64 = 64 * 1024 * 1024;

/// The most bytes of text for each token that was asked for: tokens are four bytes long on average, and few are longer.
const TEXT_BYTES_PER_TOKEN: u64 = 32;

/// The most bytes on the wire for each token: OpenAI sends some 250 bytes of frame with each.
const WIRE_BYTES_PER_TOKEN: u64 = 1_024;

/// What is allowed beyond: the frame of the stream, and signs of life while a model thinks.
const SLACK_BYTES: u64 = 64 * 1024;

/// How a stream ended, or how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOutcome {
    /// What was used, if the provider has said.
    pub usage: Option<Usage>,
    /// Whether it came to its end.
    pub finished: bool,
    /// Bytes of text that the model wrote, before they were scrubbed; no fewer than its tokens.
    pub bytes_out: u64,
}

/// When a stream has to be over, and when it began.
pub(crate) struct Terms {
    pub(crate) deadline: Instant,
    pub(crate) timeouts: Timeouts,
    pub(crate) created: i64,
}

/// An answer as it comes.
pub struct ChatStream {
    response: Response,
    events: Sse,
    /// What a provider of Anthropic's language says, in OpenAI's.
    translator: Option<Translator>,
    pieces: Pieces,
    terms: Terms,
    turn: Turn,
    read: u64,
    most: u64,
    over: bool,
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream").field("model", &self.pieces.model).field("outcome", &self.outcome()).finish()
    }
}

impl ChatStream {
    pub(crate) fn new(
        response: Response,
        provider: &Provider,
        request: &ChatRequest,
        secrets: Secrets,
        terms: Terms,
        mut turn: Turn,
    ) -> Result<Self, ModelError> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if ["application/json", "text/html"].iter().any(|other| kind.starts_with(other)) {
            let error = ModelError::Garbage { model: provider.name.clone(), why: "it was to be a stream and is none" };
            turn.ended(Some(&error));
            return Err(error);
        }
        let default = match provider.wire {
            WireKind::OpenAi => None,
            WireKind::Anthropic => Some(DEFAULT_MAX_TOKENS),
        };
        let tokens = request.max_completion_tokens().or(default).map(|most| most.saturating_mul(request.choices()));
        let bound = |per_token, most: u64| {
            tokens.map_or(most, |tokens| tokens.saturating_mul(per_token).saturating_add(SLACK_BYTES).min(most))
        };
        let pieces = Pieces {
            model: provider.name.clone(),
            channels: Channels::new(secrets),
            ready: VecDeque::new(),
            named: BTreeSet::new(),
            choices: request.choices(),
            tell_usage: request.asked_for_usage(),
            frame: json!({}),
            usage: None,
            any: false,
            finished: false,
            text: 0,
            most_text: bound(TEXT_BYTES_PER_TOKEN, u64::try_from(MAX_ANSWER_BYTES).unwrap_or(u64::MAX)),
        };
        let translator = (provider.wire == WireKind::Anthropic).then(|| Translator::new(terms.created));
        let most = bound(WIRE_BYTES_PER_TOKEN, MAX_STREAM_BYTES);
        let events = Sse::default();
        Ok(Self { response, events, translator, pieces, terms, turn, read: 0, most, over: false })
    }

    /// The next piece, a `chat.completion.chunk`; none after the last, and none after an error.
    pub async fn next(&mut self) -> Option<Result<Value, ModelError>> {
        loop {
            if let Some(chunk) = self.pieces.ready.pop_front() {
                return Some(Ok(chunk));
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.advance().await {
                // What came before in the same read is whole and is given first; what is held back is not shown any more.
                self.over = true;
                self.pieces.finished = false;
                self.turn.ended(Some(&error));
                return Some(Err(error));
            }
        }
    }

    /// How it ended, or how far it is.
    pub fn outcome(&self) -> StreamOutcome {
        let Pieces { usage, finished, text, .. } = self.pieces;
        StreamOutcome { usage, finished: finished && self.over, bytes_out: text }
    }

    async fn advance(&mut self) -> Result<(), ModelError> {
        let Timeouts { first_byte, quiet, .. } = self.terms.timeouts;
        let patience = if self.read == 0 { first_byte } else { quiet };
        let model = &self.pieces.model;
        let Ok(chunk) = within(model, patience, self.terms.deadline, self.response.chunk()).await? else {
            return self.end(true);
        };
        let Some(bytes) = chunk else { return self.end(false) };
        self.read = self.read.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if self.read > self.most {
            return Err(too_much(model, "a stream of so many bytes"));
        }
        let events = self.events.push(&bytes).map_err(|why| match why {
            NoEvents::TooLarge => too_much(model, "an event of over 1 MiB"),
            NoEvents::NotText => garbage(model, "it is no text"),
        })?;
        for event in events {
            if self.take(&event.data)? {
                return self.end(false);
            }
        }
        Ok(())
    }

    /// Takes an event; tells whether it was the last.
    fn take(&mut self, data: &str) -> Result<bool, ModelError> {
        if data.trim().is_empty() {
            return Ok(false);
        }
        if data.trim() == "[DONE]" {
            self.pieces.finished = true;
            return Ok(true);
        }
        let model = &self.pieces.model;
        let value: Value = serde_json::from_str(data).map_err(|_| garbage(model, "an event is no JSON"))?;
        if value.get("error").is_some_and(|error| !error.is_null()) {
            return Err(failed(&value, model.clone(), self.pieces.channels.secrets()));
        }
        let Some(translator) = &mut self.translator else {
            self.pieces.take(value)?;
            return Ok(false);
        };
        let chunks = translator.take(&value).map_err(|why| garbage(model, why))?;
        let done = translator.is_done();
        for chunk in chunks {
            self.pieces.take(chunk)?;
        }
        self.pieces.finished |= done;
        Ok(done)
    }

    /// The stream is over; it `broke` unless it said so itself. After a reason to finish, that does no harm.
    fn end(&mut self, broke: bool) -> Result<(), ModelError> {
        match (self.pieces.any, self.pieces.finished) {
            (true, true) => {
                self.pieces.flush();
                self.over = true;
                self.turn.ended(None);
                Ok(())
            }
            (false, _) if !broke => Err(garbage(&self.pieces.model, "it never had `choices`")),
            _ => Err(cut_off(&self.pieces.model)),
        }
    }
}

/// What has come of an answer.
struct Pieces {
    model: String,
    channels: Channels,
    ready: VecDeque<Value>,
    /// Calls of tools that have a name already, by choice and index.
    named: BTreeSet<(u64, u64)>,
    choices: u64,
    /// Whether the agent asked to be told what was used.
    tell_usage: bool,
    /// The last piece without what is in it, for those that the node makes.
    frame: Value,
    usage: Option<Usage>,
    /// Whether there was a piece with choices.
    any: bool,
    /// Whether there was a reason to finish, or the mark of the end.
    finished: bool,
    text: u64,
    most_text: u64,
}

impl Pieces {
    /// Takes a piece in OpenAI's form, and makes ready what may be shown of it.
    fn take(&mut self, mut piece: Value) -> Result<(), ModelError> {
        let wrong = |why| garbage(&self.model, why);
        let Some(fields) = piece.as_object_mut() else { return Err(wrong("an event is no object")) };
        let Some(Value::Array(mut choices)) = fields.remove("choices") else {
            return Err(wrong("an event has no `choices`"));
        };
        let told = fields.get("usage").and_then(Usage::read);
        self.usage = told.or(self.usage);
        if !self.tell_usage {
            fields.remove("usage");
        }
        fields.insert("model".to_owned(), json!(self.model));
        scrub_all(&mut piece, self.channels.secrets());
        if choices.is_empty() {
            if self.tell_usage && told.is_some() {
                piece["choices"] = json!([]);
                self.ready.push_back(piece);
            }
            return Ok(());
        }
        self.any = true;
        self.frame = piece.clone();
        if let Some(frame) = self.frame.as_object_mut() {
            frame.remove("usage");
        }
        for choice in &mut choices {
            self.choice(choice)?;
        }
        piece["choices"] = Value::Array(choices);
        self.ready.push_back(piece);
        Ok(())
    }

    fn choice(&mut self, choice: &mut Value) -> Result<(), ModelError> {
        forget_logprobs(choice);
        let index = choice.get("index").map_or(Some(0), Value::as_u64).filter(|index| *index < self.choices);
        let (Some(fields), Some(index)) = (choice.as_object_mut(), index) else {
            return Err(garbage(&self.model, "a choice is none of those that were asked for"));
        };
        let last = match fields.get("finish_reason") {
            None | Some(Value::Null) => false,
            Some(Value::String(_)) => true,
            Some(_) => return Err(garbage(&self.model, "a `finish_reason` is no text")),
        };
        let mut delta = fields.remove("delta").filter(|delta| !delta.is_null()).unwrap_or_else(|| json!({}));
        check_delta(index, &mut delta, &mut self.named).map_err(|why| garbage(&self.model, why))?;
        let passed = self.channels.pass(index, &mut delta, last);
        let bytes = passed.map_err(|_| garbage(&self.model, "it has more texts at once than can be followed"))?;
        self.text = self.text.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if self.text > self.most_text {
            return Err(too_much(&self.model, "so much text for the tokens that were asked for"));
        }
        let mut rest = mem::take(choice);
        scrub_all(&mut rest, self.channels.secrets());
        rest["delta"] = delta;
        *choice = rest;
        if last {
            self.finished = true;
            self.rest_of(index);
        }
        Ok(())
    }

    /// Makes pieces of what is held back of a choice.
    fn rest_of(&mut self, index: u64) {
        for delta in self.channels.rest(index) {
            let mut piece = self.frame.clone();
            piece["choices"] = json!([{"index": index, "delta": delta, "finish_reason": null}]);
            self.ready.push_back(piece);
        }
    }

    /// Makes pieces of all that is held back.
    fn flush(&mut self) {
        for index in self.channels.waiting() {
            self.rest_of(index);
        }
    }
}

fn garbage(model: &str, why: &'static str) -> ModelError {
    ModelError::Garbage { model: model.to_owned(), why }
}

fn too_much(model: &str, what: &'static str) -> ModelError {
    ModelError::TooMuch { model: model.to_owned(), what }
}
