//! The engine: questions in, permits and denials out.

use std::fmt;

use steward_clock::Timestamp;
use steward_naming::{ActionId, KeyId, Namespace, visible};
use steward_permit::{
    Action, ActionName, Actor, Denial, DenialCode, Issuer, Matched, Permit, Resource, ResourceKind, Ruling,
};
use steward_seal::Digest;

use crate::{
    compile::compile,
    listed::Listed,
    mistake::Mistake,
    question::Question,
    slice::SlicedSet,
    sources::Sources,
    vocabulary::{Asked, Vocabulary},
};

/// What the policies say of a question. Not a permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it would be permitted.
    pub allowed: bool,
    /// Why not.
    pub code: Option<DenialCode>,
    /// The policies that decided; those in error, if any were.
    pub policies: Vec<Matched>,
    /// Messages of policies that could not be evaluated.
    pub errors: Vec<String>,
    /// How many policies were looked at.
    pub considered: usize,
}

impl Verdict {
    /// Whether it is permitted, or would be once a person approved exactly that.
    pub fn could_be_allowed(&self) -> bool {
        self.allowed || self.code == Some(DenialCode::NeedsReview)
    }
}

/// The policies in force. Shared freely between threads; replaced as a whole when policy is loaded.
pub struct Engine {
    set: SlicedSet,
    listed: Vec<Listed>,
    vocabulary: Vocabulary,
    version: Digest,
    reads_approved: bool,
    issuer: Issuer,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("version", &self.version).field("policies", &self.listed.len()).finish()
    }
}

impl Engine {
    /// Compiles policies.
    ///
    /// # Errors
    /// Every mistake in every file, sorted by file, line and column.
    pub fn compile(sources: &Sources) -> Result<Self, Vec<Mistake>> {
        let compiled = compile(sources)?;
        Ok(Self {
            set: compiled.set,
            listed: compiled.listed,
            vocabulary: compiled.vocabulary,
            version: sources.version(),
            // A policy that never reads it decides the same twice.
            reads_approved: sources.policies.iter().any(|source| source.text.contains("approved")),
            issuer: Issuer::for_policy_engine(),
        })
    }

    /// Decides.
    ///
    /// # Errors
    /// The denial, to be recorded. A policy that could not be evaluated denies, even where another permits.
    pub fn decide(&self, question: Question, now: Timestamp) -> Result<Permit, Box<Denial>> {
        let verdict = self.weigh(&question);
        let policies = verdict.policies;
        let ruling = self.ruling(question, policies, now);
        match verdict.code {
            None => Ok(self.issuer.permit(ruling)),
            Some(code) => Err(Box::new(self.issuer.denial(ruling, code, verdict.errors))),
        }
    }

    /// What [`decide`](Self::decide) would say, without a permit: for `policy explain` and `policy test`.
    pub fn weigh(&self, question: &Question) -> Verdict {
        let denied = |code, errors: Vec<String>| Verdict {
            allowed: false,
            code: Some(code),
            policies: Vec::new(),
            errors,
            considered: 0,
        };
        let (request, entities) = match self.vocabulary.ask(question) {
            Asked::Request(request, entities) => (request, entities),
            Asked::Unknown => return denied(DenialCode::UnknownAction, Vec::new()),
            Asked::Misapplied => return denied(DenialCode::NotPermitted, Vec::new()),
            Asked::Unspeakable(message) => return denied(DenialCode::PolicyError, vec![message]),
        };
        let answer = self.set.is_authorized(&request, &entities);
        let considered = answer.considered;
        if !answer.errors.is_empty() {
            let errors = answer.errors.iter().map(|(n, message)| format!("{}: {message}", self.listed[*n].id));
            let policies = answer.errors.keys().map(|n| self.matched(*n)).collect();
            let code = Some(DenialCode::PolicyError);
            return Verdict { allowed: false, code, policies, errors: errors.collect(), considered };
        }
        let policies: Vec<Matched> = answer.reasons.iter().map(|n| self.matched(*n)).collect();
        // Cedar allows only by a permit that matched; that it names one is what our records rest on.
        let allowed = answer.allowed && !policies.is_empty();
        let code = match (allowed, policies.is_empty()) {
            (true, _) => None,
            // What it would be with a person's approval: then it is not refused but has to be asked about.
            _ if !question.approved && self.allows_if_approved(question) => Some(DenialCode::NeedsReview),
            (false, true) => Some(DenialCode::NotPermitted),
            (false, false) => Some(DenialCode::Forbidden),
        };
        Verdict { allowed, code, policies, errors: Vec::new(), considered }
    }

    fn allows_if_approved(&self, question: &Question) -> bool {
        self.reads_approved && self.weigh(&Question { approved: true, ..question.clone() }).allowed
    }

    /// The denial of something that no policy has to see: the run that it was asked in does not allow it, or the node is halted.
    /// `why` is told to whoever asked.
    pub fn refuse(&self, question: Question, code: DenialCode, why: String, now: Timestamp) -> Denial {
        self.issuer.denial(self.ruling(question, Vec::new(), now), code, vec![why])
    }

    fn ruling(&self, question: Question, policies: Vec<Matched>, at: Timestamp) -> Ruling {
        let circumstances = Some(question.circumstances());
        let Question { id, actor, key, action, .. } = question;
        Ruling { id, actor, key: key.map(|k| k.id), action, circumstances, policies, policy_version: self.version, at }
    }

    /// The denial of something whose action or resource could not be read: there is nothing for a policy to see. It stands
    /// as the action `malformed`, done to a command named by what was written, made visible.
    pub fn refuse_malformed(
        &self,
        actor: Actor,
        key: Option<KeyId>,
        namespace: Namespace,
        written: &str,
        id: ActionId,
        now: Timestamp,
    ) -> Denial {
        let shown = if written.is_empty() { "(nothing)".to_owned() } else { visible(written) };
        let resource = Resource::new(ResourceKind::Command, shown).expect("visible text is short and plain");
        let name = ActionName::parse("malformed").expect("a plain word");
        let action = Action::new(namespace, name, resource);
        let (policies, policy_version) = (Vec::new(), self.version);
        let ruling = Ruling { id, actor, key, action, circumstances: None, policies, policy_version, at: now };
        self.issuer.denial(ruling, DenialCode::Malformed, Vec::new())
    }

    /// The version (digest) of the policies: [`Sources::version`].
    pub fn version(&self) -> Digest {
        self.version
    }

    /// All policies, in the order of their files.
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// The names of all actions in order, with the kinds of actors (`agent`, `person`, `node`) that can ask for each.
    pub fn actions(&self) -> Vec<(String, Vec<&'static str>)> {
        let mut all: Vec<_> = self.vocabulary.actions().map(|(name, kinds)| (name.to_owned(), kinds)).collect();
        all.sort();
        all
    }

    /// The policies, as they are cut: what benchmarks compare with all of them.
    #[doc(hidden)]
    pub fn sliced(&self) -> &SlicedSet {
        &self.set
    }

    /// A question as it is given to Cedar, for the same comparison.
    #[doc(hidden)]
    pub fn in_cedars_form(&self, question: &Question) -> Option<(cedar_policy::Request, cedar_policy::Entities)> {
        match self.vocabulary.ask(question) {
            Asked::Request(request, entities) => Some((*request, entities)),
            Asked::Unknown | Asked::Misapplied | Asked::Unspeakable(_) => None,
        }
    }

    fn matched(&self, number: usize) -> Matched {
        let Listed { id, file, description, .. } = &self.listed[number];
        Matched { id: id.clone(), file: file.clone(), description: description.clone() }
    }
}
