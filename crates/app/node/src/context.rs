//! What every verb is given.

use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use serde_json::json;
use steward_clock::{Clock, Dice, Timestamp};
use steward_identity::Issuers;
use steward_ledger::kind;
use steward_naming::{ActionId, Namespace, ReviewId};
use steward_permit::{Action, ActionName, Actor, Denial, DenialCode, Permit, Resource, ResourceKind};
use steward_policy::{Gives, Question};
use steward_review::Step;
use steward_seal::{
    SigningKey,
    dsse::{self, Envelope},
    json,
};
use steward_store::{Change, Committed, Guard, Refusal, Store, key};
use steward_worker::Folders;

use crate::{
    caller::Caller,
    code,
    denials::{Denials, Noted},
    error::{Error, Kind},
    halt::Halt,
    policy::InForce,
    reviews::{Answer, Case, ReviewRow},
    under_way::UnderWay,
};

/// What must be free on the disk before an agent may write or start: some thousand records of stopping, revoking and halting.
pub(crate) const MIN_FREE_BYTES: u64 = 32 << 20;

/// The type of the document that says who a node is.
pub const IDENTITY_TYPE: &str = "application/vnd.steward.identity.v1+json";

/// What a context is made of.
pub struct Parts {
    /// The durable store.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// The namespace that the node is the authority for.
    pub namespace: Namespace,
    /// What agents own.
    pub folders: Folders,
    /// The policy in force.
    pub policy: InForce,
    /// Whether the node is halted, as the store says.
    pub halt: Halt,
    /// Signs documents.
    pub document_key: SigningKey,
    /// Whose tokens are taken.
    pub issuers: Issuers,
}

/// What every verb is given. One for each node, shared by all requests.
pub struct Context {
    /// The durable store.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub dice: Arc<dyn Dice>,
    /// The namespace that the node is the authority for.
    pub namespace: Namespace,
    /// What agents own.
    pub folders: Arc<Folders>,
    /// When this process started.
    pub started_at: Timestamp,
    /// The effects that this process is working on.
    pub under_way: UnderWay,
    /// Whose tokens are taken.
    pub issuers: Issuers,
    document_key: SigningKey,
    policy: ArcSwap<InForce>,
    halt: ArcSwap<Halt>,
    denials: Mutex<Denials>,
    /// Held while a review is looked for and opened, so that the same is not asked twice.
    pub(crate) opening: tokio::sync::Mutex<()>,
    /// Told whenever a review was decided or ended.
    reviewed: tokio::sync::watch::Sender<u64>,
}

/// Leave to make a change, and what must still hold when it is made.
#[derive(Debug)]
#[must_use]
pub struct Granted {
    /// The permit.
    pub permit: Permit,
    pub(crate) guards: Vec<Guard>,
    /// The review that allows it, as it will be once it is used.
    pub(crate) uses: Option<Box<ReviewRow>>,
}

impl Granted {
    /// The review that it uses up, if a person approved it.
    pub fn review(&self) -> Option<&ReviewId> {
        self.uses.as_ref().map(|row| &row.review.id)
    }

    /// The decision's id, which is also the effect's.
    pub fn id(&self) -> ActionId {
        self.permit.ruling().id.clone()
    }
}

impl Context {
    /// A node's context.
    pub fn new(parts: Parts) -> Self {
        Self {
            started_at: parts.clock.now(),
            under_way: UnderWay::default(),
            store: parts.store,
            clock: parts.clock,
            dice: parts.dice,
            namespace: parts.namespace,
            issuers: parts.issuers,
            folders: Arc::new(parts.folders),
            document_key: parts.document_key,
            policy: ArcSwap::from_pointee(parts.policy),
            halt: ArcSwap::from_pointee(parts.halt),
            denials: Mutex::new(Denials::default()),
            opening: tokio::sync::Mutex::default(),
            reviewed: tokio::sync::watch::Sender::default(),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<InForce> {
        self.policy.load_full()
    }

    /// Puts another policy in force, after it was recorded.
    pub fn put_in_force(&self, policy: InForce) {
        self.policy.store(Arc::new(policy));
    }

    /// Tells whoever waits that a review was decided or ended.
    pub fn tell_reviewed(&self) {
        self.reviewed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// What is told of it.
    pub fn reviewed(&self) -> tokio::sync::watch::Receiver<u64> {
        self.reviewed.subscribe()
    }

    /// Refuses what would fill the disk, while there is still room to take leave away (SEC-5): runs and agents' writes.
    ///
    /// # Errors
    /// Less than 32 MiB are free, or the disk cannot be asked.
    pub fn has_room(&self) -> Result<(), Error> {
        let free = self.folders.free_bytes().map_err(Error::broken)?;
        if free >= MIN_FREE_BYTES {
            return Ok(());
        }
        let message = format!(
            "only {} MiB are free on the node's disk; what is left is kept for stopping, revoking and halting: make room",
            free >> 20
        );
        Err(Error::new(Kind::Unavailable, code::STORE_FULL, message))
    }

    /// Whether the node is halted.
    pub fn halt(&self) -> Arc<Halt> {
        self.halt.load_full()
    }

    /// What the store says of it now, after it was recorded.
    pub fn put_halt(&self, halt: Halt) {
        self.halt.store(Arc::new(halt));
    }

    /// Who this node is, signed with its document key: which namespace it is the authority for, and with which key it signs the
    /// tree heads of which ledger. Whoever knows the document key need not take the ledger's on faith.
    pub fn identity(&self) -> Envelope {
        let key = self.store.head_key();
        let document = json!({
            "namespace": self.namespace,
            "ledger": {"origin": key.name(), "vkey": key.to_string(), "fingerprint": key.key().fingerprint()},
            "document_key": self.document_key.verifying_key().to_spki_pem(),
        });
        let payload = json::canonical(&document).expect("strings have a canonical form");
        dsse::sign(IDENTITY_TYPE, &payload, &[&self.document_key])
    }

    /// An action of this node's namespace.
    ///
    /// # Errors
    /// The resource is malformed.
    pub fn action(&self, name: &'static str, kind: ResourceKind, id: impl Into<String>) -> Result<Action, Error> {
        let name = ActionName::parse(name)?;
        Ok(Action::new(self.namespace.clone(), name, Resource::new(kind, id)?))
    }

    /// Decides. A denial is recorded, or counted, before it is returned.
    ///
    /// # Errors
    /// The denial; or the store cannot record it.
    pub async fn permit(&self, caller: &Caller, action: Action, owner: Option<String>) -> Result<Granted, Error> {
        self.permit_giving(caller, action, owner, Gives::default()).await
    }

    /// Decides about something that makes a key or an agent, which gives whoever holds it something.
    ///
    /// # Errors
    /// As [`Context::permit`].
    pub async fn permit_giving(
        &self,
        caller: &Caller,
        action: Action,
        owner: Option<String>,
        gives: Gives,
    ) -> Result<Granted, Error> {
        let question = Question { gives, ..self.question(caller, action, owner) };
        self.decide(caller, question, &Refusal::default())
            .await?
            .map_err(|(denial, noted)| noted.tell(Error::from(&denial)))
    }

    /// Decides about something that changes nothing, and is not recorded unless it is refused: a read.
    ///
    /// # Errors
    /// As [`Context::permit`].
    pub async fn allow(&self, caller: &Caller, action: Action, owner: Option<String>) -> Result<(), Error> {
        self.permit(caller, action, owner).await.map(|_| ())
    }

    /// Why something cannot be done of which policy was not asked yet: there is no such thing, say. Told only to who may ask for it;
    /// anybody else is refused as if it could be done, on record, so that a refusal tells nobody what there is.
    pub async fn unless_refused(&self, caller: &Caller, question: Question, why: Error) -> Error {
        let verdict = self.policy().engine.weigh(&question);
        // What a person would have to approve may be asked for; nobody is asked about what is not there.
        if verdict.allowed || verdict.code == Some(DenialCode::NeedsReview) {
            return why;
        }
        match self.decide(caller, question, &Refusal::default()).await {
            Ok(Ok(_)) => why,
            Ok(Err((denial, noted))) => noted.tell(Error::from(&denial)),
            Err(broken) => broken,
        }
    }

    /// The same of something that there is not: a thing that policy would be asked about under its name.
    pub async fn absent(
        &self,
        caller: &Caller,
        verb: &'static str,
        kind: ResourceKind,
        name: &str,
        why: Error,
    ) -> Error {
        match self.action(verb, kind, name) {
            Ok(action) => self.unless_refused(caller, self.question(caller, action, None), why).await,
            Err(_) => why,
        }
    }

    /// Whether it would be allowed, without asking for it.
    pub fn would_allow(&self, caller: &Caller, action: Action, owner: Option<String>) -> bool {
        self.policy().engine.weigh(&self.question(caller, action, owner)).allowed
    }

    /// A question to the policy.
    pub fn question(&self, caller: &Caller, action: Action, owner: Option<String>) -> Question {
        Question {
            id: ActionId::new(self.now(), self.dice.as_ref()),
            actor: caller.actor.clone(),
            key: caller.key.clone(),
            run: caller.run.clone(),
            action,
            owner,
            needs: None,
            approved: false,
            review: None,
            gives: Gives::default(),
        }
    }

    /// Decides, and tells a denial apart from what is broken. `refusal` is what the denial's entry says beside it. The second
    /// part of a denial is how it stands in the record.
    ///
    /// # Errors
    /// The store cannot record the denial.
    pub async fn decide(
        &self,
        caller: &Caller,
        question: Question,
        refusal: &Refusal,
    ) -> Result<Result<Granted, (Denial, Noted)>, Error> {
        Box::pin(self.decide_case(caller, question, refusal, std::future::ready(Ok(Case::default())))).await
    }

    /// The same, with what a person is shown if policy wants their approval. What a person must approve is not refused: a review is
    /// opened, once, and whoever asks again finds it. An approved one allows exactly this, and is used up by the change.
    ///
    /// # Errors
    /// The store cannot record the denial, or open the review.
    pub async fn decide_case(
        &self,
        caller: &Caller,
        mut question: Question,
        refusal: &Refusal,
        case: impl Future<Output = Result<Case, Error>> + Send,
    ) -> Result<Result<Granted, (Denial, Noted)>, Error> {
        let now = self.now();
        let policy = self.policy();
        let halt = self.halt();
        let of_agent = matches!(caller.actor, Actor::Agent { .. });
        if of_agent && halt.is_halted {
            let denial = policy.engine.refuse(question, DenialCode::Halted, halt.to_string(), now);
            let noted = self.refuse(caller, denial.clone(), refusal).await?;
            return Ok(Err((denial, noted)));
        }
        let mut guards = caller.guards.clone();
        if of_agent {
            guards.push(halt.guard(&self.namespace));
        }
        if let Some(seq) = policy.entry_seq {
            guards.push(Guard::unchanged("policy", key([("namespace", self.namespace.as_str())]), seq));
        }
        let mut decided = policy.engine.decide(question.clone(), now);
        let mut uses = None;
        if let Err(denial) = &decided
            && denial.code() == DenialCode::NeedsReview
        {
            // Boxed, as is whatever else is rare and large: Cedar refuses to evaluate where the stack is nearly used up.
            match Box::pin(self.ask(caller, &question, denial, case, &policy)).await? {
                Answer::Waits(review) => return Ok(Err((denial.as_ref().clone(), Noted::Waits(review)))),
                Answer::Refused(why) => {
                    let denial = policy.engine.refuse(question, DenialCode::ReviewRefused, why, now);
                    let noted = self.refuse(caller, denial.clone(), refusal).await?;
                    return Ok(Err((denial, noted)));
                }
                Answer::Allowed { guard, used } => {
                    guards.push(guard);
                    uses = used;
                    question.approved = true;
                    decided = policy.engine.decide(question, now);
                }
            }
        }
        match decided {
            Ok(permit) => Ok(Ok(Granted { permit, guards, uses })),
            Err(denial) => {
                let noted = self.refuse(caller, (*denial).clone(), refusal).await?;
                Ok(Err((*denial, noted)))
            }
        }
    }

    /// Decides about what a person approved, named by its review, whoever asked for it then: the node carries out what waits for
    /// nobody.
    ///
    /// # Errors
    /// The review does not allow it any more, policy does not, or the denial cannot be recorded.
    pub async fn decide_by(&self, caller: &Caller, question: Question, review: &ReviewRow) -> Result<Granted, Error> {
        let (now, policy) = (self.now(), self.policy());
        let action = question.id.clone();
        let step = Step::Use { digest: question.action.digest(), policy: policy.engine.version(), action };
        let used = match review.review.step(step, now) {
            Ok(used) => ReviewRow { review: used, ..review.clone() },
            Err(refusal) => return Err(Error::new(Kind::Refused, code::REVIEW_OVER, refusal.to_string())),
        };
        let mut guards = caller.guards.clone();
        guards.push(review.guard());
        if let Some(seq) = policy.entry_seq {
            guards.push(Guard::unchanged("policy", key([("namespace", self.namespace.as_str())]), seq));
        }
        match policy.engine.decide(Question { approved: true, ..question }, now) {
            Ok(permit) => Ok(Granted { permit, guards, uses: Some(Box::new(used)) }),
            Err(denial) => {
                let noted = self.refuse(caller, (*denial).clone(), &Refusal::default()).await?;
                Err(noted.tell(Error::from(&*denial)))
            }
        }
    }

    /// Refuses what the run that it is asked in does not allow: no policy has to see it. It is recorded, or counted, like any
    /// other denial.
    ///
    /// # Errors
    /// The store cannot record it.
    pub async fn refuse_for(
        &self,
        caller: &Caller,
        action: Action,
        code: DenialCode,
        why: String,
    ) -> Result<Error, Error> {
        let question = self.question(caller, action, None);
        let denial = self.policy().engine.refuse(question, code, why, self.now());
        let noted = self.refuse(caller, denial.clone(), &Refusal::default()).await?;
        Ok(noted.tell(Error::from(&denial)))
    }

    /// Records a denial, or counts it.
    ///
    /// # Errors
    /// The store cannot record it.
    pub async fn refuse(&self, caller: &Caller, denial: Denial, refusal: &Refusal) -> Result<Noted, Error> {
        let first = self.denials().count(&denial, self.now());
        if denial.is_incident() {
            let errors = denial.errors().join("; ");
            tracing::error!(actor.name = denial.ruling().actor.full_name(), errors, "a policy could not be evaluated");
        }
        if let Some(first) = first {
            return Ok(Noted::Counted(first));
        }
        let mut refusal = Refusal { trace: caller.trace.clone(), ..refusal.clone() };
        if let Some(joins) = &caller.joins {
            refusal.detail.insert("traceparent".to_owned(), joins.as_str().into());
        }
        if let Some(through) = &caller.through {
            refusal.detail.insert("by_issuer".to_owned(), through.issuer.as_str().into());
            refusal.detail.insert("by_subject".to_owned(), through.subject.as_str().into());
        }
        if let Some(run) = &caller.run {
            refusal.detail.insert("run".to_owned(), run.id.as_str().into());
            refusal.detail.insert("phase".to_owned(), run.phase.into());
        }
        match self.store.refuse(denial.clone(), refusal).await {
            Ok(recorded) => Ok(Noted::Whole(recorded)),
            Err(error) => {
                self.denials().forget(&denial);
                Err(error.into())
            }
        }
    }

    fn denials(&self) -> MutexGuard<'_, Denials> {
        self.denials.lock().expect("no holder of this lock panics")
    }

    /// A change that was granted: with its guards, the request's trace, and the caller's key used up if it is to be.
    pub fn change(&self, caller: &Caller, granted: Granted, kind: &'static str, subject: impl Into<String>) -> Change {
        let mut change = Change::new(granted.permit, kind, subject).guards(granted.guards).trace(caller.trace.clone());
        if let Some(joins) = &caller.joins {
            change = change.detail("traceparent", joins.as_str());
        }
        if let Some(through) = &caller.through {
            change = change.detail("by_issuer", through.issuer.as_str()).detail("by_subject", through.subject.as_str());
        }
        if let Some(run) = &caller.run {
            change = change.detail("run", run.id.as_str()).detail("phase", run.phase);
        }
        if let Some(review) = granted.uses {
            change = change
                .detail("review", review.review.id.as_str())
                .detail("approved_by", review.approved_by())
                .row(review.row());
        }
        match &caller.spend {
            Some(spend) => change.row(spend.row.clone()),
            None => change,
        }
    }

    /// Makes a change.
    ///
    /// # Errors
    /// It was stale, or the store cannot write.
    pub async fn commit(&self, change: Change) -> Result<Committed, Error> {
        Ok(self.store.commit(change).await?)
    }

    /// Records the counts of refusals whose minute is over, or all when the node stops.
    ///
    /// # Errors
    /// The store cannot record them.
    pub async fn record_counted_denials(&self, stopping: bool) -> Result<(), Error> {
        let due = self.denials().due(self.now(), stopping);
        let Some(counted) = due else { return Ok(()) };
        let node = Caller::node(&self.namespace);
        let action = self.action("denials.count", ResourceKind::Ledger, self.namespace.as_str())?;
        let granted = self.permit(&node, action, None).await?;
        let change = self
            .change(&node, granted, kind::DENIALS_COUNTED, self.namespace.as_str())
            .urgent()
            .detail("minute", counted.minute.to_string())
            .detail("counts", counted.to_json());
        self.commit(change).await?;
        self.denials().recorded(&counted);
        Ok(())
    }
}
