//! Policies cut by their scope, so that Cedar is given only those that can match.
//!
//! A policy's scope names a principal, an action and a resource, or leaves them open. Each distinct constraint is a bucket.
//! A request falls into some buckets of each of the three dimensions; the policies to look at are those whose three buckets
//! were all hit. The others' scopes are false for this request: Cedar would find them neither satisfied nor in error, so
//! that leaving them out changes nothing (a property test says so, and Cedar's own corpus).
//!
//! The policies of one set of buckets are put together once and kept. Reading what is kept takes no lock.
//!
//! Only for tests from outside: the faces of this crate name nothing of Cedar.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use cedar_policy::{
    ActionConstraint, Authorizer, Decision, Entities, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    PrincipalConstraint, Request, ResourceConstraint,
};

/// Slices that are kept. Requests differ in a few dozen ways; more means that policies name individuals.
pub const MAX_SLICES: usize = 1024;

/// Policies in all kept slices together, which bounds the memory: some hundred bytes each.
pub const MAX_SLICED_POLICIES: usize = 100_000;

/// What one dimension of a scope asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Constraint {
    Any,
    Eq(EntityUid),
    In(EntityUid),
    Is(EntityTypeName),
    IsIn(EntityTypeName, EntityUid),
    /// `action in [a, b]`.
    InOne(Vec<EntityUid>),
}

/// The buckets of one dimension: each has a number and the policies that ask for it.
#[derive(Debug, Default)]
struct Dimension {
    any: Vec<u32>,
    by_uid: HashMap<EntityUid, Vec<u32>>,
    by_ancestor: HashMap<EntityUid, Vec<u32>>,
    by_type: HashMap<EntityTypeName, Vec<u32>>,
    by_type_and_ancestor: HashMap<EntityUid, Vec<(EntityTypeName, u32)>>,
}

impl Dimension {
    fn add(&mut self, constraint: &Constraint, bucket: u32) {
        match constraint {
            Constraint::Any => self.any.push(bucket),
            Constraint::Eq(uid) => self.by_uid.entry(uid.clone()).or_default().push(bucket),
            Constraint::In(uid) => self.by_ancestor.entry(uid.clone()).or_default().push(bucket),
            Constraint::Is(kind) => self.by_type.entry(kind.clone()).or_default().push(bucket),
            Constraint::IsIn(kind, uid) => {
                self.by_type_and_ancestor.entry(uid.clone()).or_default().push((kind.clone(), bucket));
            }
            Constraint::InOne(uids) => {
                for uid in uids {
                    self.by_ancestor.entry(uid.clone()).or_default().push(bucket);
                }
            }
        }
    }

    /// The buckets that an entity falls into. Every entity is in itself, known or not.
    fn hit(&self, uid: &EntityUid, entities: &Entities, out: &mut Vec<u32>) {
        out.extend_from_slice(&self.any);
        out.extend(self.by_uid.get(uid).into_iter().flatten());
        if !self.by_type.is_empty() {
            out.extend(self.by_type.get(uid.type_name()).into_iter().flatten());
        }
        if self.by_ancestor.is_empty() && self.by_type_and_ancestor.is_empty() {
            return;
        }
        for ancestor in entities.ancestors(uid).into_iter().flatten().chain([uid]) {
            out.extend(self.by_ancestor.get(ancestor).into_iter().flatten());
            let typed = self.by_type_and_ancestor.get(ancestor).into_iter().flatten();
            out.extend(typed.filter(|(kind, _)| kind == uid.type_name()).map(|(_, bucket)| bucket));
        }
    }
}

/// A set of static policies that answers as the whole of it would, by looking at few.
pub struct SlicedSet {
    policies: Vec<Policy>,
    /// The three buckets of each policy.
    scopes: Vec<[u32; 3]>,
    principal: Dimension,
    action: Dimension,
    resource: Dimension,
    buckets: usize,
    number: HashMap<PolicyId, usize>,
    authorizer: Authorizer,
    /// What was put together so far. Replaced as a whole, so that reading it takes no lock.
    kept: ArcSwap<Kept>,
    /// Held while `kept` is replaced.
    keeping: Mutex<()>,
}

#[derive(Default, Clone)]
struct Kept {
    slices: HashMap<Box<[u32]>, Arc<PolicySet>>,
    policies: usize,
}

/// What Cedar said, with policies by their number in the order that they were given in.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The policies that decided.
    pub reasons: Vec<usize>,
    /// The policies that could not be evaluated, with Cedar's message.
    pub errors: BTreeMap<usize, String>,
    /// How many policies were looked at.
    pub considered: usize,
}

impl SlicedSet {
    /// Indexes static policies. `None` if two have the same id or one is linked from a template.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Option<Self> {
        let mut set = Self {
            policies: Vec::new(),
            scopes: Vec::new(),
            principal: Dimension::default(),
            action: Dimension::default(),
            resource: Dimension::default(),
            buckets: 0,
            number: HashMap::new(),
            authorizer: Authorizer::new(),
            kept: ArcSwap::default(),
            keeping: Mutex::new(()),
        };
        let mut known = HashMap::<(u8, Constraint), u32>::new();
        for policy in policies {
            if !policy.is_static() || set.number.insert(policy.id().clone(), set.policies.len()).is_some() {
                return None;
            }
            let mut bucket = |dimension: u8, constraint: Constraint, index: &mut Dimension| {
                let next = u32::try_from(known.len()).expect("policies fit into memory");
                *known.entry((dimension, constraint)).or_insert_with_key(|(_, constraint)| {
                    index.add(constraint, next);
                    next
                })
            };
            set.scopes.push([
                bucket(0, principal_of(&policy), &mut set.principal),
                bucket(1, action_of(&policy), &mut set.action),
                bucket(2, resource_of(&policy), &mut set.resource),
            ]);
            set.policies.push(policy);
        }
        set.buckets = known.len();
        Some(set)
    }

    /// The policies, by number.
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// The answer of all policies, from those that can match.
    pub fn is_authorized(&self, request: &Request, entities: &Entities) -> Answer {
        self.answer(request, &self.slice(request, entities), entities)
    }

    /// The same, by looking at every policy: what slicing is measured against.
    pub fn is_authorized_by_all(&self, request: &Request, entities: &Entities) -> Answer {
        let all = PolicySet::from_policies(self.policies.iter().cloned()).expect("ids are distinct");
        self.answer(request, &all, entities)
    }

    fn answer(&self, request: &Request, policies: &PolicySet, entities: &Entities) -> Answer {
        let response = self.authorizer.is_authorized(request, policies, entities);
        let mut reasons: Vec<usize> = response.diagnostics().reason().map(|id| self.number[id]).collect();
        reasons.sort_unstable();
        let errors = response.diagnostics().errors().map(|error| {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(inner) = error;
            (self.number[inner.policy_id()], inner.inner().to_string())
        });
        Answer {
            allowed: response.decision() == Decision::Allow,
            reasons,
            errors: errors.collect(),
            considered: policies.num_of_policies(),
        }
    }

    fn slice(&self, request: &Request, entities: &Entities) -> Arc<PolicySet> {
        let mut hit = Vec::with_capacity(32);
        for (dimension, uid) in [
            (&self.principal, request.principal()),
            (&self.action, request.action()),
            (&self.resource, request.resource()),
        ] {
            // Requests without one do not come from this crate; they would hit nothing, which denies.
            if let Some(uid) = uid {
                dimension.hit(uid, entities, &mut hit);
            }
        }
        hit.sort_unstable();
        hit.dedup();
        if let Some(slice) = self.kept.load().slices.get(hit.as_slice()) {
            return Arc::clone(slice);
        }
        self.put_together(hit)
    }

    fn put_together(&self, hit: Vec<u32>) -> Arc<PolicySet> {
        let mut is_hit = vec![false; self.buckets];
        for bucket in &hit {
            is_hit[*bucket as usize] = true;
        }
        let matching = self.policies.iter().zip(&self.scopes);
        let matching = matching.filter(|(_, scope)| scope.iter().all(|b| is_hit[*b as usize])).map(|(p, _)| p.clone());
        let slice = Arc::new(PolicySet::from_policies(matching).expect("ids are distinct"));

        let _keeping = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = Kept::clone(&self.kept.load());
        kept.policies += slice.num_of_policies();
        // Full: start over. Whoever is common comes back at once.
        if kept.slices.len() >= MAX_SLICES || kept.policies > MAX_SLICED_POLICIES {
            kept = Kept { slices: HashMap::new(), policies: slice.num_of_policies() };
        }
        if kept.slices.insert(hit.into(), Arc::clone(&slice)).is_some() {
            kept.policies -= slice.num_of_policies();
        }
        self.kept.store(Arc::new(kept));
        slice
    }

    #[cfg(test)]
    pub(crate) fn kept(&self) -> (usize, usize) {
        let kept = self.kept.load();
        assert_eq!(kept.policies, kept.slices.values().map(|s| s.num_of_policies()).sum::<usize>());
        (kept.slices.len(), kept.policies)
    }
}

fn principal_of(policy: &Policy) -> Constraint {
    match policy.principal_constraint() {
        PrincipalConstraint::Any => Constraint::Any,
        PrincipalConstraint::Eq(uid) => Constraint::Eq(uid),
        PrincipalConstraint::In(uid) => Constraint::In(uid),
        PrincipalConstraint::Is(kind) => Constraint::Is(kind),
        PrincipalConstraint::IsIn(kind, uid) => Constraint::IsIn(kind, uid),
    }
}

fn action_of(policy: &Policy) -> Constraint {
    match policy.action_constraint() {
        ActionConstraint::Any => Constraint::Any,
        ActionConstraint::Eq(uid) => Constraint::Eq(uid),
        ActionConstraint::In(uids) => Constraint::InOne(uids),
    }
}

fn resource_of(policy: &Policy) -> Constraint {
    match policy.resource_constraint() {
        ResourceConstraint::Any => Constraint::Any,
        ResourceConstraint::Eq(uid) => Constraint::Eq(uid),
        ResourceConstraint::In(uid) => Constraint::In(uid),
        ResourceConstraint::Is(kind) => Constraint::Is(kind),
        ResourceConstraint::IsIn(kind, uid) => Constraint::IsIn(kind, uid),
    }
}
