//! What every verb is given.

use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use serde_json::json;
use steward_clock::{Clock, Dice, Timestamp};
use steward_ledger::kind;
use steward_naming::{ActionId, Namespace};
use steward_permit::{Action, ActionName, Actor, Denial, DenialCode, Permit, Resource, ResourceKind};
use steward_policy::{Gives, Question};
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
    document_key: SigningKey,
    policy: ArcSwap<InForce>,
    halt: ArcSwap<Halt>,
    denials: Mutex<Denials>,
}

/// Leave to make a change, and what must still hold when it is made.
#[derive(Debug)]
#[must_use]
pub struct Granted {
    /// The permit.
    pub permit: Permit,
    guards: Vec<Guard>,
}

impl Granted {
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
            folders: Arc::new(parts.folders),
            document_key: parts.document_key,
            policy: ArcSwap::from_pointee(parts.policy),
            halt: ArcSwap::from_pointee(parts.halt),
            denials: Mutex::new(Denials::default()),
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
        let now = self.now();
        let policy = self.policy();
        let halt = self.halt();
        let of_agent = matches!(caller.actor, Actor::Agent { .. });
        if of_agent && halt.is_halted {
            let denial = policy.engine.refuse(question, DenialCode::Halted, halt.to_string(), now);
            let noted = self.refuse(caller, denial.clone(), refusal).await?;
            return Ok(Err((denial, noted)));
        }
        match policy.engine.decide(question, now) {
            Ok(permit) => {
                let mut guards = caller.guards.clone();
                if of_agent {
                    guards.push(halt.guard(&self.namespace));
                }
                if let Some(seq) = policy.entry_seq {
                    guards.push(Guard::unchanged("policy", key([("namespace", self.namespace.as_str())]), seq));
                }
                Ok(Ok(Granted { permit, guards }))
            }
            Err(denial) => {
                let noted = self.refuse(caller, (*denial).clone(), refusal).await?;
                Ok(Err((*denial, noted)))
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
        if let Some(run) = &caller.run {
            change = change.detail("run", run.id.as_str()).detail("phase", run.phase);
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
