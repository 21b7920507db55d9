//! Language models for agents: decided, reserved and recorded, then asked; what was used takes the place of what was reserved.
//!
//! ```text
//! let said = runner.chat(Asking::Run(&run, None), body).await?;
//!     the request ─► the run and its packet ─► the policy ─► every budget ─► one commit: the action, the call, what it reserves
//!                 ─► the provider ─► one commit: how it ended, and what it used
//! ```
//!
//! A call that failed before anything was sent, or that the provider turned away, costs nothing, and the model's fallback is asked: a call
//! of its own. One of which nobody knows what became of it costs all that it reserved, and is not asked again.
//!
//! Deliberately absent: what was said. It stands in no record but by its digest.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use steward_app_actions::{Beside, EffectRow, Status, settle_beside};
use steward_app_models::{self as models, Asks, CallRow, ModelRow, NewModel, WireName};
use steward_app_node::{Caller, Error, Kind, Working, code};
use steward_clock::Timestamp;
use steward_ledger::kind;
use steward_model::{
    Answer, BreakerState, ChatRequest, ChatStream, EmbedRequest, Limits, ModelError, Provider, WireKind,
};
use steward_naming::{ActionId, KeyId, Label, Name, RunId};
use steward_permit::{Action, ActionName, Actor, DenialCode, Resource, ResourceKind, Warrant};
use steward_policy::Question;
use steward_seal::{Digest, secret::Secrets};
use steward_store::Guard;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{
    call::{self, Standing},
    leases::{Leases, may_have},
    runner::{Live, Runner},
    waiting,
};

/// The action.
const CALL: &str = "model.call";

/// How many pieces of an answer wait for an agent that reads slowly; beyond, the provider waits.
const PIECES_WAITING: usize = 64;

/// The most models that are tried for one request: the one that was asked for, and its fallbacks.
const MAX_TRIED: usize = 4;

/// How often it is looked whether an agent outside of a run may still do something, in milliseconds.
const LOOK_EVERY_MS: u64 = 500;

/// How long an answer may be passed on, in seconds: longer than a provider may take, for one who reads slowly.
const STREAM_WITHIN_S: u64 = 15 * 60;

/// How often a call begins anew because another began in the same moment.
const ATTEMPTS: u32 = 16;

/// Who asks.
#[derive(Debug, Clone)]
pub enum Asking {
    /// An agent in its run; with the key that it came with, if it came with one.
    Run(RunId, Option<Box<Caller>>),
    /// An agent that is in no run, with its key.
    Outside(Box<Caller>),
}

/// What a model said.
#[derive(Debug)]
pub enum Said {
    /// All of it, in OpenAI's form.
    Whole(Value),
    /// As it comes: chunks in OpenAI's form, or why there are no more.
    Pieces(mpsc::Receiver<Result<Value, Error>>),
}

/// What a person's test of a model came to.
#[derive(Debug, Clone)]
pub struct ModelTested {
    /// The model.
    pub model: String,
    /// What it said.
    pub said: String,
    /// Tokens of the question.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

/// A request to a model.
#[derive(Clone)]
enum Request {
    Chat(ChatRequest),
    Embed(EmbedRequest),
}

impl Request {
    fn digest(&self) -> Digest {
        match self {
            Self::Chat(request) => request.digest(),
            Self::Embed(request) => request.digest(),
        }
    }

    /// As OpenTelemetry's conventions for models have it.
    const fn operation(&self) -> &'static str {
        match self {
            Self::Chat(_) => "chat",
            Self::Embed(_) => "embeddings",
        }
    }

    fn prompt_bound(&self) -> u64 {
        match self {
            Self::Chat(request) => request.prompt_bound(),
            Self::Embed(request) => request.prompt_bound(),
        }
    }

    /// The request to a model that answers with no more than it may, and the most tokens that it then can.
    fn bounded(&self, model: &ModelRow) -> (Self, u64) {
        match self {
            Self::Chat(request) => {
                let most = request.max_completion_tokens().unwrap_or(model.max_output).min(model.max_output);
                let bound = most.saturating_mul(request.choices());
                (Self::Chat(request.clone().with_max_completion(most)), bound)
            }
            Self::Embed(_) => (self.clone(), 0),
        }
    }
}

/// A call that is on record, and about to be made.
struct Begun {
    warrant: Warrant,
    action: Action,
    request: Request,
    provider: Provider,
    secrets: Secrets,
    ends: Ends,
}

/// What its end is recorded with.
struct Ends {
    /// Held as long as the call lasts.
    _places: Vec<OwnedSemaphorePermit>,
    /// The key that its agent came with, if it came with one.
    key: Option<KeyId>,
    /// Held until its end is on record: nobody takes it for left behind.
    working: Working,
    effect: EffectRow,
    call: CallRow,
    model: ModelRow,
}

impl Runner {
    /// Asks a model to go on with a conversation: an OpenAI chat completion, as an agent wrote it.
    ///
    /// # Errors
    /// The request is wrong, it is not allowed, a budget has nothing left, or no model could answer.
    pub async fn chat(self: &Arc<Self>, asking: Asking, body: Value) -> Result<Said, Error> {
        let request = ChatRequest::read(body, Limits::default()).map_err(|error| told(&error, None))?;
        let model = request.model().to_owned();
        self.ask(asking, &model, &Request::Chat(request)).await
    }

    /// Asks a model for vectors: OpenAI's embeddings.
    ///
    /// # Errors
    /// As [`Runner::chat`].
    pub async fn embed(self: &Arc<Self>, asking: Asking, body: Value) -> Result<Said, Error> {
        let request = EmbedRequest::read(body, Limits::default()).map_err(|error| told(&error, None))?;
        let model = request.model().to_owned();
        self.ask(asking, &model, &Request::Embed(request)).await
    }

    /// The models that an agent could use now.
    ///
    /// # Errors
    /// Its run is over, or the store cannot be read.
    pub fn usable_models(&self, asking: &Asking) -> Result<Vec<ModelRow>, Error> {
        let who = self.who(asking)?;
        let name = ActionName::parse(CALL)?;
        let all = self.context.store.read(|reader| models::rows::models(reader, &self.context.namespace))?;
        let mut usable = Vec::new();
        for model in all {
            let in_scope = who.run.as_ref().is_none_or(|standing| {
                let scope = &standing.run.state.packet.constraints.scope;
                scope.iter().any(|pattern| pattern.matches(&name, model.name.as_str()))
            });
            let action = self.context.action(CALL, ResourceKind::Model, model.name.as_str())?;
            let question = self.question(&who.caller, action, &model);
            let allowed = in_scope && self.context.policy().engine.weigh(&question).could_be_allowed();
            if allowed && may_have(&self.context, &who.agent, who.run.is_some(), model.secret.as_deref())? {
                usable.push(model);
            }
        }
        Ok(usable)
    }

    /// The models whose breakers let nothing, or one trial, through, and since when they do; of one that tries, that is not kept.
    pub fn open_breakers(&self) -> Vec<(String, Option<Timestamp>)> {
        let states = self.models.breakers(self.context.now()).into_iter();
        let open = states.filter_map(|(name, state)| match state {
            BreakerState::Closed { .. } => None,
            BreakerState::Open { until, for_ms } => {
                let ms = i64::try_from(for_ms).unwrap_or(i64::MAX);
                Some((name, Some(Timestamp::from_unix_ms(until.unix_ms().saturating_sub(ms)))))
            }
            BreakerState::HalfOpen { .. } => Some((name, None)),
        });
        open.collect()
    }

    /// Where the breakers stand of the models that were asked since the node started.
    pub fn breakers(&self) -> Vec<(String, &'static str)> {
        let states = self.models.breakers(self.context.now());
        let word = |state| match state {
            BreakerState::Closed { .. } => "closed",
            BreakerState::Open { .. } => "open",
            BreakerState::HalfOpen { .. } => "half_open",
        };
        states.into_iter().map(|(name, state)| (name, word(state))).collect()
    }

    /// Adds a model, whose key must be there: an agent would find that out otherwise.
    ///
    /// # Errors
    /// As [`models::add`]; or there is no such secret.
    pub async fn add_model(&self, caller: &Caller, new: &NewModel) -> Result<ModelRow, Error> {
        if let (Some(secret), Ok(name)) = (&new.secret, new.name.parse::<Label>()) {
            // Nobody who may not add one learns which secrets there are.
            self.context
                .allow(caller, self.context.action("model.add", ResourceKind::Model, name.as_str())?, None)
                .await?;
            // One that is no name at all is told with all else that is wrong.
            if secret.parse::<Label>().is_ok() {
                self.keeper.look_for(secret).map_err(crate::gateway::no_secret)?;
            }
        }
        models::add(&self.context, caller, new).await
    }

    /// Asks a model something small, for a person who wants to know whether it answers. It counts in no budget.
    ///
    /// # Errors
    /// It is not allowed, there is no such model, or it does not answer.
    pub async fn test_model(&self, caller: &Caller, name: &str) -> Result<ModelTested, Error> {
        let model = match models::find(&self.context, name) {
            Ok(model) => model,
            Err(why) => return Err(self.context.absent(caller, "model.test", ResourceKind::Model, name, why).await),
        };
        let body = json!({"model": name, "max_tokens": 16, "messages": [{"role": "user", "content": "Say hello in one word."}]});
        let request = ChatRequest::read(body, Limits::default()).map_err(|error| told(&error, None))?;
        let action = self.context.action("model.test", ResourceKind::Model, name)?.with_arguments(request.digest());
        let granted = self.context.permit(caller, action.clone(), None).await?;
        let (provider, secrets) = self.provider(&model, &Leases::default())?;
        let id = granted.id();
        let change = self
            .context
            .change(caller, granted, kind::ACTION_DECIDED, id.as_str())
            .detail("secrets", self.versions(model.secret.as_deref()));
        let done = self.context.commit(change).await?;
        let began = self.context.now();
        match self.models.chat(done.warrant, &action, &provider, &request, &secrets).await {
            Ok(Answer::Whole { body, usage }) => Ok(ModelTested {
                model: name.to_owned(),
                said: body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned(),
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
                ms: self.context.now().since_ms(began),
            }),
            Ok(Answer::Stream(_)) => Err(Error::broken("a whole answer was asked for")),
            Err(error) => Err(told(&error, Some(&id))),
        }
    }

    async fn ask(self: &Arc<Self>, asking: Asking, model: &str, request: &Request) -> Result<Said, Error> {
        if let Asking::Run(run, Some(by)) = &asking {
            call::own_key(self, run, by).await?;
        }
        let who = self.who(&asking)?;
        if let Some(standing) = &who.run {
            call::may_ask(self, standing.run.id())?;
        }
        let mut next = models::find(&self.context, model)?;
        let mut tried = Vec::new();
        let mut first = None;
        loop {
            tried.push(next.name.clone());
            let ended = self.ask_one(&asking, &next, request).await;
            let (error, falls_back) = match ended {
                Ok(said) => return Ok(said),
                // That a fallback is refused is not the agent's doing: it asked for another.
                Err(Failed::Refused(error)) => match first {
                    Some(first) => return Err(first),
                    None => return Err(self.charged(&asking, error).await),
                },
                Err(Failed::Asked { error, falls_back }) => (error, falls_back),
            };
            let other =
                next.fallback.as_ref().filter(|other| falls_back && !tried.contains(other) && tried.len() < MAX_TRIED);
            // One that the agent could not ask for itself is not asked in its place.
            let usable = self.usable_models(&asking).unwrap_or_default();
            let other = other.filter(|other| usable.iter().any(|model| model.name == **other));
            let Some(other) = other else { return Err(first.unwrap_or(error)) };
            tracing::warn!(
                model = next.name.as_str(),
                fallback = other.as_str(),
                code = error.code,
                "a model could not answer"
            );
            first.get_or_insert(error);
            next = models::find(&self.context, other.as_str())?;
        }
    }

    /// One model, once.
    async fn ask_one(self: &Arc<Self>, asking: &Asking, model: &ModelRow, request: &Request) -> Result<Said, Failed> {
        let live = match asking {
            Asking::Run(run, _) => self.live(run),
            Asking::Outside(_) => None,
        };
        // Held while a person decides, too: a run has no more of these than it has calls at once.
        let mut places = Some(self.places(asking).map_err(Failed::Refused)?);
        let mut attempt = 0;
        while attempt < ATTEMPTS {
            attempt += 1;
            let begun = match self.begin(asking, model, request, &mut places).await {
                Ok(begun) => begun,
                Err(error) if error.kind == Kind::Stale && attempt < ATTEMPTS => continue,
                // A person decides first, as of any call of a run. Whoever hangs up meanwhile has asked for nothing.
                Err(Error { code: code::NEEDS_REVIEW, review, .. })
                    if let (Asking::Run(run, _), Some(live)) = (asking, &live) =>
                {
                    let decided = Box::pin(waiting::until_decided(self, run, live, review.as_deref())).await;
                    decided.map_err(Failed::Refused)?;
                    attempt = 0;
                    continue;
                }
                Err(error) => return Err(Failed::Refused(error)),
            };
            // It runs to its end whoever hangs up: what it cost is to be known.
            let (runner, live) = (Arc::clone(self), live.clone());
            let asked = tokio::spawn(async move { runner.carry_out(begun, live).await });
            return asked.await.unwrap_or_else(|error| Err(Failed::Refused(Error::broken(error))));
        }
        Err(Failed::Refused(Error::broken("attempts are counted")))
    }

    /// Decides, reserves and records.
    async fn begin(
        &self,
        asking: &Asking,
        model: &ModelRow,
        request: &Request,
        places: &mut Option<Vec<OwnedSemaphorePermit>>,
    ) -> Result<Begun, Error> {
        let context = &self.context;
        context.has_room()?;
        let who = self.who(asking)?;
        let (request, completion_bound) = request.bounded(model);
        let name = ActionName::parse(CALL)?;
        let action = Action::new(
            context.namespace.clone(),
            name.clone(),
            Resource::new(ResourceKind::Model, model.name.as_str())?,
        );
        if let Some(standing) = &who.run {
            call::within_packet(self, standing, &name, &action).await?;
        }
        let action = action.with_arguments(request.digest());
        let question = self.question(&who.caller, action.clone(), model);
        let id = question.id.clone();
        let made = self.made_before(&who, &action, &question, model).await?;
        // One at a time: no two read the same budgets. The store's guard holds that, too.
        let _turn = self.model_turn.lock().await;
        let granted = context.decide(&who.caller, question, &steward_store::Refusal::default()).await?;
        let granted = granted.map_err(|(denial, noted)| noted.tell(Error::from(&denial)))?;
        let leases = match (made, &who.run) {
            (Some(leases), _) => leases,
            (None, Some(standing)) => self.leased(standing, &action, model.secret.as_deref()).await?,
            (None, None) => {
                let needs = self.granted(&who.agent, &who.caller, &action, model.secret.as_deref()).await?;
                Leases { needs, ..Leases::default() }
            }
        };
        let (provider, secrets) = self.provider(model, &leases)?;
        let needs = leases.needs;
        let run = who.run.as_ref().map(|standing| standing.run.id().clone());
        let asks = Asks {
            id: id.clone(),
            agent: &who.agent,
            run: run.as_ref(),
            model,
            prompt_bound: request.prompt_bound(),
            completion_bound,
        };
        let reserved = match models::reserve(context, &asks)? {
            Ok(reserved) => reserved,
            Err(models::Over(why)) => {
                return Err(context.refuse_for(&who.caller, action, DenialCode::OverBudget, why).await?);
            }
        };
        let effect = EffectRow {
            run,
            trace: who.caller.trace.clone(),
            namespace: context.namespace.clone(),
            id: id.clone(),
            agent: who.agent.clone(),
            action: CALL.to_owned(),
            resource: model.name.to_string(),
            arguments: request.digest(),
            // From here on it happens: nobody can take it back.
            status: Status::Publishing,
            intended_at: context.now(),
            settled_at: None,
            error: None,
            written: None,
            entry_seq: 0,
        };
        // Before it is on record, so that nobody ever takes it for left behind.
        let working = context.under_way.begin(id.clone());
        let mut change = context
            .change(&who.caller, granted, kind::ACTION_INTENDED, id.as_str())
            .guards(reserved.guards)
            .guards(needs)
            .row(effect.row())
            .row(reserved.call.row())
            .detail("operation", request.operation())
            .detail("provider", model.wire.as_str())
            .detail("upstream", model.upstream.as_str())
            .detail("reserved_tokens", reserved.call.tokens.to_string())
            .detail("reserved_micros", reserved.call.micros.to_string())
            .detail("secrets", self.versions(model.secret.as_deref()));
        for row in reserved.rows {
            change = change.row(row);
        }
        let done = context.commit(change).await?;
        let seq = done.recorded.seq;
        let effect = EffectRow { entry_seq: seq, ..effect };
        let key = who.caller.key.as_ref().map(|key| key.id.clone());
        let ends = Ends {
            _places: places.take().unwrap_or_default(),
            key,
            working,
            effect,
            call: CallRow { entry_seq: seq, ..reserved.call },
            model: model.clone(),
        };
        Ok(Begun { warrant: done.warrant, action, request, provider, secrets, ends })
    }

    /// The lease of a secret that is made, if policy lets the model be asked: a program takes a while, and nobody else is to wait for it.
    async fn made_before(
        &self,
        who: &Who,
        action: &Action,
        question: &Question,
        model: &ModelRow,
    ) -> Result<Option<Leases>, Error> {
        let (Some(standing), Some(secret)) = (&who.run, model.secret.as_deref()) else { return Ok(None) };
        let context = &self.context;
        let may = !context.halt().is_halted && context.policy().engine.weigh(question).could_be_allowed();
        if !may || !self.keeper.is_made(secret) {
            return Ok(None);
        }
        self.leased(standing, action, [secret]).await.map(Some)
    }

    async fn carry_out(self: Arc<Self>, begun: Begun, live: Option<Arc<Live>>) -> Result<Said, Failed> {
        let Begun { warrant, action, request, provider, secrets, ends } = begun;
        let asked = async {
            match &request {
                Request::Chat(request) => self.models.chat(warrant, &action, &provider, request, &secrets).await,
                Request::Embed(request) => {
                    let whole = self.models.embed(warrant, &action, &provider, request, &secrets).await?;
                    Ok(Answer::Whole { body: whole.body, usage: whole.usage })
                }
            }
        };
        let answered = tokio::select! {
            biased;
            () = self.silenced(&ends.effect.agent, ends.key.as_ref(), live.as_deref()) => {
                let error = Error::new(Kind::Refused, code::RUN_OVER, "the run ended, or the agent may do nothing any more");
                self.ended(ends, None, Some(&error), None).await.map_err(Failed::Refused)?;
                return Err(Failed::Refused(error));
            }
            answered = asked => answered,
        };
        match answered {
            Ok(Answer::Whole { body, usage }) => {
                let bytes = serde_json::to_vec(&body).map_err(|e| Failed::Refused(Error::broken(e)))?;
                let written = Some((Digest::of(&bytes), bytes.len() as u64));
                let used = Some((usage.prompt_tokens, usage.completion_tokens));
                self.ended(ends, used, None, written).await.map_err(Failed::Refused)?;
                Ok(Said::Whole(body))
            }
            Ok(Answer::Stream(stream)) => {
                let (to, pieces) = mpsc::channel(PIECES_WAITING);
                let runner = Arc::clone(&self);
                tokio::spawn(async move { runner.pass_on(stream, ends, live, to).await });
                Ok(Said::Pieces(pieces))
            }
            Err(error) => {
                let falls_back = error.may_fall_back();
                let used = if error.may_have_cost() { None } else { Some((0, 0)) };
                let told = told(&error, Some(&ends.effect.id));
                self.ended(ends, used, Some(&told), None).await.map_err(Failed::Refused)?;
                Err(Failed::Asked { error: told, falls_back })
            }
        }
    }

    /// Passes on what comes, until it ends, the agent hangs up, or the run is over.
    async fn pass_on(
        &self,
        mut stream: Box<ChatStream>,
        ends: Ends,
        live: Option<Arc<Live>>,
        to: mpsc::Sender<Result<Value, Error>>,
    ) {
        let mut passed = Vec::new();
        let until = tokio::time::Instant::now() + Duration::from_secs(STREAM_WITHIN_S);
        let mut failed = None;
        let mut whole = false;
        loop {
            let piece = tokio::select! {
                biased;
                () = self.silenced(&ends.effect.agent, ends.key.as_ref(), live.as_deref()) => {
                    let error = Error::new(Kind::Refused, code::RUN_OVER, "the run ended, or the agent may do nothing any more");
                    let _ = to.try_send(Err(error.clone()));
                    failed = Some(error);
                    break;
                }
                () = to.closed() => {
                    failed = Some(Error::new(Kind::Unavailable, code::INTERRUPTED, "the agent hung up while the model spoke"));
                    break;
                }
                piece = stream.next() => piece,
            };
            match piece {
                None => {
                    whole = true;
                    break;
                }
                Some(Ok(chunk)) => {
                    passed.extend(serde_json::to_vec(&chunk).unwrap_or_default());
                    // Who reads slowly is waited for no longer than the run lasts, and a whole answer may take.
                    let sent = tokio::select! {
                        biased;
                        () = self.silenced(&ends.effect.agent, ends.key.as_ref(), live.as_deref()) => None,
                        () = tokio::time::sleep_until(until) => None,
                        sent = to.send(Ok(chunk)) => Some(sent.is_ok()),
                    };
                    if sent != Some(true) {
                        failed = Some(Error::new(
                            Kind::Unavailable,
                            code::INTERRUPTED,
                            "the agent hung up while the model spoke",
                        ));
                        break;
                    }
                }
                Some(Err(error)) => {
                    let error = told(&error, Some(&ends.effect.id));
                    // If it has no room, its end tells it.
                    let _ = to.try_send(Err(error.clone()));
                    failed = Some(error);
                    break;
                }
            }
        }
        let outcome = stream.outcome();
        let used = outcome.usage.filter(|_| whole && outcome.finished).map(|u| (u.prompt_tokens, u.completion_tokens));
        let written = failed.is_none().then(|| (Digest::of(&passed), passed.len() as u64));
        if let Err(error) = self.ended(ends, used, failed.as_ref(), written).await {
            tracing::error!(%error, context = error.context(), "how a model's answer ended could not be recorded");
        }
    }

    /// Records how a call ended, and what it used: all that it reserved where nobody knows.
    async fn ended(
        &self,
        ends: Ends,
        used: Option<(u64, u64)>,
        error: Option<&Error>,
        written: Option<(Digest, u64)>,
    ) -> Result<(), Error> {
        let Ends { working, effect, call, model, _places: places, key: _ } = ends;
        let counts = used.into_iter().flat_map(|(prompt, completion)| {
            [("prompt_tokens", prompt.to_string().into()), ("completion_tokens", completion.to_string().into())]
        });
        let settled = call.settled(used, &model, self.context.now(), error.map(|error| error.code));
        let beside = Beside {
            rows: vec![(settled.row(), call.guard())],
            detail: [
                ("tokens", settled.tokens.to_string().into()),
                ("micros", settled.micros.to_string().into()),
                ("counted", settled.status.as_str().into()),
            ]
            .into_iter()
            .chain(counts)
            .collect(),
        };
        let status = if error.is_some() { Status::Failed } else { Status::Succeeded };
        let why = error.map(|error| (error.code.to_owned(), error.message.clone()));
        let settled = settle_beside(&self.context, effect, status, why, written, &beside).await;
        drop((working, places));
        settled.map(|_| ())
    }

    /// A place for a call among all of the node, and among those of its run.
    fn places(&self, asking: &Asking) -> Result<Vec<OwnedSemaphorePermit>, Error> {
        let live = match asking {
            Asking::Run(run, _) => self.live(run),
            Asking::Outside(_) => None,
        };
        let of_run = live.iter().map(|live| (&live.models, "its run asks"));
        let all = of_run.chain([(&self.asking, "the node asks")]);
        all.map(|(places, who)| {
            Arc::clone(places).try_acquire_owned().map_err(|_| {
                let message = format!("{who} as many models at once as it may; try again in a moment");
                Error::new(Kind::Unavailable, code::RATE_LIMITED, message)
            })
        })
        .collect()
    }

    /// Waits until whoever asks may not ask any more: the run is over; or, of one that came with a key, the key or the agent was revoked, or
    /// the node halted.
    async fn silenced(&self, agent: &Name, key: Option<&KeyId>, live: Option<&Live>) {
        let over = async {
            match live {
                Some(live) => live.over().await,
                None => std::future::pending().await,
            }
        };
        let revoked = async {
            let Some(key) = key else { return std::future::pending().await };
            loop {
                tokio::time::sleep(Duration::from_millis(LOOK_EVERY_MS)).await;
                let namespace = &self.context.namespace;
                let found = self.context.store.read(|reader| {
                    let agent = steward_app_agents::rows::agent(reader, agent)?;
                    Ok::<_, Error>((agent, steward_app_people::rows::api_key(reader, namespace, key)?))
                });
                let Ok((Some(agent), Some(key))) = found else { return };
                let is_active = agent.status == steward_app_agents::rows::Status::Active && key.status == "active";
                if !is_active || self.context.halt().is_halted {
                    return;
                }
            }
        };
        tokio::select! {
            () = over => {}
            () = revoked => {}
        }
    }

    fn provider(&self, model: &ModelRow, leases: &Leases) -> Result<(Provider, Secrets), Error> {
        let known = self.keeper.all().map_err(Error::broken)?;
        let key = |name: &String| match leases.made.get(name) {
            // It was ended a moment ago: whoever asks looks again, and is told why.
            Some(lease) => self.keeper.made(lease.as_str()).ok_or_else(|| {
                Error::new(
                    Kind::Stale,
                    code::STALE,
                    format!("what was made of the secret `{name}` was ended meanwhile"),
                )
            }),
            None => self.keeper.secret(name).map_err(crate::gateway::no_secret),
        };
        let key = model.secret.as_ref().map(key).transpose()?;
        let provider = Provider {
            name: model.name.to_string(),
            wire: match model.wire {
                WireName::OpenAi => WireKind::OpenAi,
                WireName::Anthropic => WireKind::Anthropic,
            },
            base_url: model.url.clone(),
            key,
            upstream: model.upstream.clone(),
        };
        Ok((provider, known))
    }

    fn question(&self, caller: &Caller, action: Action, model: &ModelRow) -> Question {
        let owner = Some(self.context.namespace.to_string());
        Question { needs: Some(model.tier), ..self.context.question(caller, action, owner) }
    }

    /// Who asks, with what must still hold when it is recorded.
    fn who(&self, asking: &Asking) -> Result<Who, Error> {
        match asking {
            Asking::Run(run, by) => {
                let standing = call::standing(self, run, by.as_deref())?;
                let (agent, caller) = (standing.run.state.agent.clone(), standing.caller.clone());
                Ok(Who { agent, caller, run: Some(standing) })
            }
            Asking::Outside(caller) => {
                let Actor::Agent { name, .. } = &caller.actor else {
                    return Err(Error::new(
                        Kind::Refused,
                        code::NOT_AN_AGENT,
                        "models are asked by agents, with keys of theirs",
                    ));
                };
                let lock = self.context.store.read(|reader| steward_app_runs::lock(reader, name))?;
                if let Some(run) = &lock.run {
                    let message = format!("`{name}` is in {run}, whose packet binds it; ask again once that is over");
                    return Err(Error::new(Kind::Refused, code::RUN_OVER, message));
                }
                let mut caller = (**caller).clone();
                // A run that begins in the same moment wins: its packet binds the agent.
                let guard: Guard = lock.guard();
                caller.guards.push(guard);
                Ok(Who { agent: name.clone(), caller, run: None })
            }
        }
    }

    /// Charges a denial to the run that it was made in.
    async fn charged(&self, asking: &Asking, error: Error) -> Error {
        match asking {
            Asking::Run(run, _) if error.kind == Kind::Refused => call::charged(self, run, error).await,
            _ => error,
        }
    }
}

/// Who asks.
struct Who {
    agent: Name,
    caller: Caller,
    run: Option<Standing>,
}

/// Why a model gave nothing.
enum Failed {
    /// It was not asked.
    Refused(Error),
    /// It was, or was to be.
    Asked { error: Error, falls_back: bool },
}

/// What went wrong, for the agent. The codes are the model caller's own.
fn told(error: &ModelError, id: Option<&ActionId>) -> Error {
    let kind = match error.code() {
        "INVALID_REQUEST" | "MODEL_REJECTED" => Kind::Invalid,
        "WARRANT_MISMATCH" => Kind::Broken,
        _ => Kind::Unavailable,
    };
    let told = Error::new(kind, error.code(), error.to_string());
    match id {
        Some(id) => told.of_action(id.clone()),
        None => told,
    }
}
