//! From our words to Cedar's: the entities of one question, built anew for each.
//!
//! Ancestors are written flat (an agent of tier 2 has the parents T2, T1 and T0; an action has all groups that it is in, near
//! and far), so that nothing has to be looked up. The words are those of the shipped schema; [`Vocabulary::check`] holds them
//! against the schema that is loaded, so that a schema which expects other entities is a mistake at load time and not an
//! evaluation error at night.

use std::collections::{BTreeSet, HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, KeyId, RunId};
use steward_permit::{
    Action, ActionName, Actor, KeyUse, Resource, ResourceKind, ReviewKind, Role, RunUse, Scope, Tier,
};

use crate::question::{Gives, Question, Reviewing};

/// The kinds of actors, in the order of the bits of [`Known::applies`].
const ACTORS: [&str; 3] = ["Agent", "Person", "Node"];

/// An action of the schema.
struct Known {
    uid: EntityUid,
    /// Itself, with all groups that it is in as its parents. What a question adds is all that Cedar has to close anew.
    itself: Entities,
    /// Which kinds of actors may ask it of which kinds of resources: bit `actor * 16 + resource kind`.
    applies: u64,
}

/// The words of the engine in Cedar's form, made once.
pub(crate) struct Vocabulary {
    kinds: Vec<EntityTypeName>,
    tiers: Vec<HashSet<EntityUid>>,
    roles: Vec<EntityUid>,
    actions: HashMap<String, Known>,
}

/// What a question is in Cedar's form.
pub(crate) enum Asked {
    /// No action has this name.
    Unknown,
    /// Actors of this kind cannot ask that of resources of this kind.
    Misapplied,
    /// To be decided.
    Request(Box<Request>, Entities),
    /// It cannot be said. Never happens with words of ours; treated like a policy in error.
    Unspeakable(String),
}

/// The tiers that an agent of a tier has the permissions of (GOV-1): its own and those below; the architect, who is no
/// further step of the same ladder, those of the observer.
fn contained(tier: Tier) -> &'static [Tier] {
    match tier {
        Tier::T0 => &[Tier::T0],
        Tier::T1 => &[Tier::T1, Tier::T0],
        Tier::T2 => &[Tier::T2, Tier::T1, Tier::T0],
        Tier::T3 => &[Tier::T3, Tier::T2, Tier::T1, Tier::T0],
        Tier::T4 => &[Tier::T4, Tier::T0],
    }
}

/// A kind of resource as the schema writes it: `File`.
fn type_of(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::File => "File",
        ResourceKind::Command => "Command",
        ResourceKind::Host => "Host",
        ResourceKind::Plan => "Plan",
        ResourceKind::Agent => "Agent",
        ResourceKind::Person => "Person",
        ResourceKind::Key => "Key",
        ResourceKind::Policy => "Policy",
        ResourceKind::Ledger => "Ledger",
        ResourceKind::Node => "Node",
        ResourceKind::Tool => "Tool",
        ResourceKind::Model => "Model",
        ResourceKind::Review => "Review",
        ResourceKind::Secret => "Secret",
    }
}

fn actor_bit(actor: &Actor) -> usize {
    match actor {
        Actor::Agent { .. } => 0,
        Actor::Person { .. } => 1,
        Actor::Node { .. } => 2,
    }
}

fn named(kind: &str) -> EntityTypeName {
    kind.parse().expect("our types are plain words")
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

impl Vocabulary {
    /// The words, with the actions of a schema.
    pub(crate) fn new(schema: &Schema) -> Self {
        let (tier_type, role_type) = (named("Tier"), named("Role"));
        let tiers = Tier::ALL.iter().map(|t| contained(*t).iter().map(|t| uid(&tier_type, t.as_str())).collect());
        let hierarchy = schema.action_entities().unwrap_or_else(|_| Entities::empty());
        let mut actions = HashMap::<String, Known>::new();
        for env in schema.request_envs() {
            let action = env.action();
            let known = actions.entry(action.id().unescaped().to_owned()).or_insert_with(|| {
                let groups = hierarchy.ancestors(action).into_iter().flatten().cloned().collect();
                let entity = Entity::new_no_attrs(action.clone(), groups);
                let itself = Entities::from_entities([entity], None).expect("one entity is no circle");
                Known { uid: action.clone(), itself, applies: 0 }
            });
            let (principal, resource) = (env.principal().to_string(), env.resource().to_string());
            let actor = ACTORS.iter().position(|a| *a == principal);
            let kind = ResourceKind::ALL.iter().position(|k| type_of(*k) == resource);
            if let (Some(actor), Some(kind)) = (actor, kind) {
                known.applies |= 1 << (actor * 16 + kind);
            }
        }
        Self {
            kinds: ResourceKind::ALL.iter().map(|k| named(type_of(*k))).collect(),
            tiers: tiers.collect(),
            roles: Role::ALL.iter().map(|r| uid(&role_type, r.as_str())).collect(),
            actions,
        }
    }

    /// The names of all actions, with the kinds of actors (`agent`, `person`, `node`) that can ask for each.
    pub(crate) fn actions(&self) -> impl Iterator<Item = (&str, Vec<&'static str>)> {
        self.actions.iter().map(|(name, known)| {
            let kinds = ["agent", "person", "node"].into_iter().enumerate();
            (name.as_str(), kinds.filter(|(i, _)| known.applies >> (i * 16) & 0xffff != 0).map(|(_, k)| k).collect())
        })
    }

    /// Puts a question into Cedar's form.
    pub(crate) fn ask(&self, question: &Question) -> Asked {
        let Some(known) = self.actions.get(question.action.name().as_str()) else { return Asked::Unknown };
        let bit = actor_bit(&question.actor) * 16 + question.action.resource().kind() as usize;
        if known.applies >> bit & 1 == 0 {
            return Asked::Misapplied;
        }
        let said = self.entities(question).and_then(|entities| {
            let entities = known.itself.clone().add_entities(entities, None).map_err(|e| e.to_string())?;
            Ok((self.request(question, known, None)?, entities))
        });
        match said {
            Ok((request, entities)) => Asked::Request(Box::new(request), entities),
            Err(message) => Asked::Unspeakable(message),
        }
    }

    fn request(&self, question: &Question, known: &Known, schema: Option<&Schema>) -> Result<Request, String> {
        let mut pairs = Vec::with_capacity(4);
        pairs.push(("approved".to_owned(), RestrictedExpression::new_bool(question.approved)));
        if let Some(key) = &question.key {
            let scopes = key.scopes.iter().map(|s| text(s.as_str()));
            let fields = [
                ("id".to_owned(), text(key.id.as_str())),
                ("scopes".to_owned(), RestrictedExpression::new_set(scopes)),
            ];
            let key = RestrictedExpression::new_record(fields).map_err(|e| e.to_string())?;
            pairs.push(("key".to_owned(), key));
        }
        if let Some(run) = &question.run {
            let fields = [
                ("id".to_owned(), text(run.id.as_str())),
                ("task".to_owned(), text(run.task.as_str())),
                ("phase".to_owned(), text(run.phase)),
            ];
            let run = RestrictedExpression::new_record(fields).map_err(|e| e.to_string())?;
            pairs.push(("run".to_owned(), run));
        }
        if let Some(person) = question.actor.via() {
            let via = format!("{person}@{}", question.actor.namespace());
            pairs.push(("via".to_owned(), RestrictedExpression::new_string(via)));
        }
        if let Some(scopes) = &question.gives.scopes {
            let scopes = scopes.iter().map(|s| text(s.as_str()));
            pairs.push(("gives_scopes".to_owned(), RestrictedExpression::new_set(scopes)));
        }
        if let Some(tier) = question.gives.tier {
            pairs.push(("gives_tier".to_owned(), text(tier.as_str())));
        }
        if let Some(tier) = question.needs {
            pairs.push(("needs_tier".to_owned(), text(tier.as_str())));
        }
        if let Some(review) = &question.review {
            let fields = [
                ("kind".to_owned(), text(review.kind.as_str())),
                ("tier".to_owned(), text(review.tier.as_str())),
                ("own".to_owned(), RestrictedExpression::new_bool(review.own)),
                ("alone".to_owned(), RestrictedExpression::new_bool(review.alone)),
                ("approvals".to_owned(), RestrictedExpression::new_long(i64::from(review.approvals))),
            ];
            pairs.push(("review".to_owned(), RestrictedExpression::new_record(fields).map_err(|e| e.to_string())?));
        }
        let context = Context::from_pairs(pairs).map_err(|e| e.to_string())?;
        let (principal, resource) = (self.principal_uid(question), self.resource_uid(question));
        Request::new(principal, known.uid.clone(), resource, context, schema).map_err(|e| e.to_string())
    }

    fn principal_uid(&self, question: &Question) -> EntityUid {
        let kind = match question.actor {
            Actor::Agent { .. } => ResourceKind::Agent,
            Actor::Person { .. } => ResourceKind::Person,
            Actor::Node { .. } => ResourceKind::Node,
        };
        uid(&self.kinds[kind as usize], &question.actor.full_name())
    }

    /// Names that are full already stand as they are, a person's gets its namespace, and all else is named within it:
    /// `File::"acme.internal:/plans/a.md"`.
    fn resource_uid(&self, question: &Question) -> EntityUid {
        let resource = question.action.resource();
        uid(&self.kinds[resource.kind() as usize], &resource_name(&question.action))
    }

    fn entities(&self, question: &Question) -> Result<Vec<Entity>, String> {
        let resource = question.action.resource();
        let (asking, asked) = (self.principal_uid(question), self.resource_uid(question));
        let mut attributes = HashMap::with_capacity(3);
        attributes.insert("namespace".to_owned(), text(namespace_of(question)));
        match resource.kind() {
            ResourceKind::File => attributes.insert("path".to_owned(), text(resource.id())),
            ResourceKind::Agent | ResourceKind::Person | ResourceKind::Node => {
                attributes.insert("id".to_owned(), RestrictedExpression::new_string(resource_name(&question.action)))
            }
            _ => attributes.insert("id".to_owned(), text(resource.id())),
        };
        if let Some(owner) = &question.owner {
            attributes.insert("owner".to_owned(), text(owner));
        }
        let parents = match &question.actor {
            Actor::Agent { tier, .. } => self.tiers[*tier as usize].clone(),
            Actor::Person { roles, .. } => roles.iter().map(|r| self.roles[*r as usize].clone()).collect(),
            Actor::Node { .. } => HashSet::new(),
        };
        let namespace = text(question.actor.namespace().as_str());
        // Who is asked about may be who asks. Then both are one entity, and what the actor is stands above what was asked.
        let mut entities = Vec::with_capacity(3);
        if asking == asked {
            attributes.insert("namespace".to_owned(), namespace);
            entities.push(Entity::new(asking, attributes, parents).map_err(|e| e.to_string())?);
            return Ok(entities);
        }
        let of_actor = HashMap::from([
            ("namespace".to_owned(), namespace),
            ("id".to_owned(), RestrictedExpression::new_string(question.actor.full_name())),
        ]);
        entities.push(Entity::new(asking, of_actor, parents).map_err(|e| e.to_string())?);
        entities.push(Entity::new(asked, attributes, HashSet::new()).map_err(|e| e.to_string())?);
        Ok(entities)
    }

    /// Holds what [`ask`](Self::ask) builds against a schema. Gives the actions whose entities or context the schema would
    /// not have, with Cedar's reason.
    pub(crate) fn check(&self, schema: &Schema) -> Vec<(String, String)> {
        let mut found = BTreeSet::new();
        for (name, known) in &self.actions {
            if let Err(error) = ActionName::parse(name) {
                found.insert((name.clone(), error.to_string()));
                continue;
            }
            if known.applies == 0 {
                found.insert((name.clone(), "no agent, person or node can ask for it".to_owned()));
            }
            for question in samples(name) {
                let bit = actor_bit(&question.actor) * 16 + question.action.resource().kind() as usize;
                if known.applies >> bit & 1 == 0 {
                    continue;
                }
                let fits = self.request(&question, known, Some(schema)).and_then(|_| {
                    let entities = self.entities(&question)?;
                    Entities::from_entities(entities, Some(schema)).map_err(|e| sources_of(&e))
                });
                if let Err(message) = fits {
                    found.insert((name.clone(), message));
                    break;
                }
            }
        }
        found.into_iter().collect()
    }
}

fn sources_of(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        message = format!("{message}: {inner}");
        source = inner.source();
    }
    message
}

/// The namespace of what is asked about: that of the action, unless the name of an agent or person says another. Of two, the
/// one that is not the actor's, so that neither can hide the other.
fn namespace_of(question: &Question) -> &str {
    let (here, resource) = (question.action.namespace().as_str(), question.action.resource());
    if here != question.actor.namespace().as_str() {
        return here;
    }
    let named = match resource.kind() {
        ResourceKind::Agent => resource.id().split_once('.'),
        ResourceKind::Person => resource.id().split_once('@'),
        _ => None,
    };
    named.map_or(here, |(_, namespace)| namespace)
}

fn resource_name(action: &Action) -> String {
    let (namespace, id) = (action.namespace(), action.resource().id());
    match action.resource().kind() {
        ResourceKind::Agent | ResourceKind::Node => id.to_owned(),
        ResourceKind::Person if id.contains('@') => id.to_owned(),
        ResourceKind::Person => format!("{id}@{namespace}"),
        _ => format!("{namespace}:{id}"),
    }
}

/// Questions of every form about an action: each kind of actor, each kind of resource, with and without what is optional.
fn samples(action: &str) -> impl Iterator<Item = Question> {
    struct Zeros;
    impl Dice for Zeros {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }
    let start = Timestamp::from_unix_ms(0);
    let namespace: steward_naming::Namespace = "sample.internal".parse().expect("valid");
    let label: steward_naming::Label = "sample".parse().expect("valid");
    let actors = [
        Actor::Agent {
            name: steward_naming::Name::new(label.clone(), namespace.clone()),
            version: "1".to_owned(),
            tier: Tier::T4,
            via: Some(label.clone()),
        },
        Actor::Person { namespace: namespace.clone(), name: label, roles: Role::ALL.to_vec() },
        Actor::Node { namespace: namespace.clone() },
    ];
    let name = ActionName::parse(action).expect("the caller parsed it");
    actors.into_iter().flat_map(move |actor| {
        let (namespace, name) = (namespace.clone(), name.clone());
        ResourceKind::ALL.iter().flat_map(move |kind| {
            let resource = Resource::new(*kind, "sample").expect("valid");
            let bare = Question {
                id: ActionId::new(start, &Zeros),
                actor: actor.clone(),
                key: None,
                run: None,
                action: Action::new(namespace.clone(), name.clone(), resource),
                owner: None,
                needs: None,
                gives: Gives::default(),
                approved: false,
                review: None,
            };
            let key = KeyUse { id: KeyId::new(start, &Zeros), scopes: Scope::ALL.to_vec() };
            let gives = Gives { scopes: Some(Scope::ALL.to_vec()), tier: Some(Tier::T0) };
            let run = RunUse {
                id: RunId::new(start, &Zeros),
                task: "sample".parse().expect("valid"),
                phase: "EXECUTE",
                fence: 1,
            };
            let owner = Some("sample".to_owned());
            let review =
                Some(Reviewing { kind: ReviewKind::Plan, tier: Tier::T3, own: true, alone: true, approvals: 1 });
            let needs = Some(Tier::T1);
            [
                Question {
                    key: Some(key),
                    run: Some(run),
                    owner,
                    needs,
                    gives,
                    approved: true,
                    review,
                    ..bare.clone()
                },
                bare,
            ]
        })
    })
}
