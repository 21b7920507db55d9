//! Slicing changes no answer, and looks at few policies.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Context, Entities, Entity, EntityUid, Policy, PolicyId, Request};
use proptest::prelude::*;
use steward_permit::{ResourceKind, Role, Tier};

use super::{agent, engine, person, question, with, write};
use crate::{
    engine::Engine,
    question::Question,
    slice::{Answer, MAX_SLICED_POLICIES, MAX_SLICES, SlicedSet},
    sources::Sources,
};

/// The entities of the small world: five of each of three types, and actions.
const TYPES: [&str; 3] = ["A", "B", "N::C"];

fn uid(text: &str) -> EntityUid {
    text.parse().expect("valid")
}

fn thing() -> impl Strategy<Value = String> {
    (0..TYPES.len(), 0..5).prop_map(|(kind, n)| format!("{}::\"{n}\"", TYPES[kind]))
}

fn action() -> impl Strategy<Value = String> {
    (0..6).prop_map(|n| format!("Action::\"{n}\""))
}

fn scope(word: &'static str) -> impl Strategy<Value = String> {
    let kind = 0..TYPES.len();
    prop_oneof![
        Just(word.to_owned()),
        thing().prop_map(move |t| format!("{word} == {t}")),
        thing().prop_map(move |t| format!("{word} in {t}")),
        kind.clone().prop_map(move |k| format!("{word} is {}", TYPES[k])),
        (kind, thing()).prop_map(move |(k, t)| format!("{word} is {} in {t}", TYPES[k])),
    ]
}

fn action_scope() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("action".to_owned()),
        action().prop_map(|a| format!("action == {a}")),
        action().prop_map(|a| format!("action in {a}")),
        prop::collection::vec(action(), 0..4).prop_map(|all| format!("action in [{}]", all.join(", "))),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        1 => Just("when { false }".to_owned()),
        1 => Just("when { 9223372036854775807 + 1 == 0 }".to_owned()),
        1 => Just("when { principal.level > 2 }".to_owned()),
        1 => Just("when { resource has level && resource.level > 2 }".to_owned()),
        1 => Just("unless { context.flag }".to_owned()),
        1 => thing().prop_map(|t| format!("when {{ principal in {t} || resource in {t} }}")),
        1 => thing().prop_map(|t| format!("unless {{ {t}.level == 3 }}")),
        1 => Just("when { principal in resource }".to_owned()),
    ]
}

fn policy() -> impl Strategy<Value = String> {
    (any::<bool>(), scope("principal"), action_scope(), scope("resource"), condition()).prop_map(
        |(permits, principal, action, resource, condition)| {
            let effect = if permits { "permit" } else { "forbid" };
            format!("{effect} ({principal}, {action}, {resource}) {condition};")
        },
    )
}

/// Entities with a hierarchy: parents always have higher numbers, so that there is no circle. Some entities are unknown.
fn entities() -> impl Strategy<Value = Entities> {
    let count = TYPES.len() * 5;
    let things = prop::collection::vec((any::<bool>(), prop::option::of(0_i64..6), 0_u16..u16::MAX), count);
    let actions = prop::collection::vec((any::<bool>(), 0_u8..64), 6);
    (things, actions).prop_map(move |(things, actions)| {
        let named = |n: usize| uid(&format!("{}::\"{}\"", TYPES[n % 3], n / 3));
        let mut all = Vec::new();
        for (n, (known, level, edges)) in things.iter().enumerate().filter(|(_, (known, ..))| *known) {
            assert!(*known);
            let parents = (n + 1..count).filter(|m| edges >> (m % 16) & 1 == 1 && m % 4 == n % 4).map(named).collect();
            let attributes =
                level.iter().map(|l| ("level".to_owned(), cedar_policy::RestrictedExpression::new_long(*l)));
            all.push(Entity::new(named(n), attributes.collect(), parents).expect("valid"));
        }
        for (n, (_, edges)) in actions.iter().enumerate().filter(|(_, (known, _))| *known) {
            let parents = (n + 1..6).filter(|m| edges >> m & 1 == 1).map(|m| uid(&format!("Action::\"{m}\"")));
            all.push(Entity::new_no_attrs(uid(&format!("Action::\"{n}\"")), parents.collect()));
        }
        Entities::from_entities(all, None).expect("no circles")
    })
}

fn request() -> impl Strategy<Value = Request> {
    (thing(), action(), thing(), prop::option::of(any::<bool>())).prop_map(|(principal, action, resource, flag)| {
        let flag = flag.map(|f| ("flag".to_owned(), cedar_policy::RestrictedExpression::new_bool(f)));
        let context = Context::from_pairs(flag).expect("valid");
        Request::new(uid(&principal), uid(&action), uid(&resource), context, None).expect("no schema")
    })
}

fn sliced(policies: &[String]) -> SlicedSet {
    let parsed = policies.iter().enumerate().map(|(n, text)| {
        Policy::parse(Some(PolicyId::new(format!("p{n}"))), text).unwrap_or_else(|e| panic!("{text}: {e:?}"))
    });
    SlicedSet::new(parsed).expect("distinct ids")
}

fn same(few: &Answer, all: &Answer) -> bool {
    few.considered <= all.considered
        && (few.allowed, &few.reasons, &few.errors) == (all.allowed, &all.reasons, &all.errors)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn slices_answer_as_the_whole_does(
        policies in prop::collection::vec(policy(), 0..40),
        entities in entities(),
        requests in prop::collection::vec(request(), 1..12),
    ) {
        let set = sliced(&policies);
        for request in &requests {
            let all = set.is_authorized_by_all(request, &entities);
            // Twice: made anew, and kept.
            for _ in 0..2 {
                let few = set.is_authorized(request, &entities);
                prop_assert!(same(&few, &all), "{request}\n{policies:#?}\nfew {few:?}\nall {all:?}");
            }
        }
    }
}

/// The generator has to reach what matters, or the property above says little.
#[test]
fn the_generator_reaches_every_outcome() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let strategy = (prop::collection::vec(policy(), 0..40), entities(), request());
    let mut seen = HashMap::<(bool, bool, bool, bool), usize>::new();
    for _ in 0..200 {
        let (policies, entities, request) = strategy.new_tree(&mut runner).expect("generated").current();
        let set = sliced(&policies);
        let few = set.is_authorized(&request, &entities);
        let cut = few.considered < policies.len();
        *seen.entry((few.allowed, few.reasons.is_empty(), few.errors.is_empty(), cut)).or_default() += 1;
    }
    // Allowed, forbidden, and not permitted; each with and without errors; all with policies cut away.
    for (allowed, no_reason) in [(true, false), (false, false), (false, true)] {
        for no_errors in [true, false] {
            let count = seen.get(&(allowed, no_reason, no_errors, true)).copied().unwrap_or_default();
            assert!(count > 2, "{seen:?}");
        }
    }
}

fn numbered(count: usize, text: impl Fn(usize) -> String) -> String {
    (0..count).map(|n| format!("@id(\"n{n}\")\n{}\n", text(n))).collect()
}

fn considered(engine: &Engine, question: &Question) -> usize {
    engine.weigh(question).considered
}

#[test]
fn constrained_policies_cost_nothing_to_others() {
    let named = |count| {
        numbered(count, |n| {
            format!("permit (principal == Agent::\"a{n}.acme.internal\", action == Action::\"fs.write\", resource);")
        })
    };
    let (ten, thousand) = (engine(&with(&[("a.cedar", &named(10))])), engine(&with(&[("a.cedar", &named(1000))])));
    let seventh = question(agent("a7", Tier::T0), "fs.write", ResourceKind::File, "/a");
    assert_eq!((considered(&ten, &seventh), considered(&thousand, &seventh)), (1, 1));
    assert_eq!((considered(&ten, &write("/a")), considered(&thousand, &write("/a"))), (0, 0));
    assert!(thousand.weigh(&seventh).allowed && !thousand.weigh(&write("/a")).allowed);
}

#[test]
fn half_open_policies_cost_their_half() {
    let mixed = numbered(1000, |n| match n % 2 {
        0 => format!("forbid (principal, action, resource) when {{ principal.id == \"x{n}\" }};"),
        _ => format!("permit (principal == Agent::\"a{n}.acme.internal\", action, resource);"),
    });
    let engine = engine(&with(&[("a.cedar", &mixed)]));
    assert_eq!(considered(&engine, &write("/a")), 500);
    assert_eq!(considered(&engine, &question(agent("a7", Tier::T0), "fs.write", ResourceKind::File, "/a")), 501);
}

#[test]
fn shipped_policies_are_mostly_left_out() {
    let engine = engine(&Sources::shipped());
    for asked in [write("/a"), question(person(Role::ALL), "ledger.read", ResourceKind::Ledger, "main")] {
        let count = considered(&engine, &asked);
        assert!(count <= 8 && count < engine.listed().len() / 3, "{count} of {}", engine.listed().len());
    }
}

#[test]
fn what_is_kept_is_bounded() {
    // Each principal is named by a policy, so that each request has a slice of its own.
    let many = MAX_SLICES + 100;
    let policies: Vec<String> =
        (0..many).map(|n| format!("permit (principal == A::\"{n}\", action, resource);")).collect();
    let set = sliced(&policies);
    let entities = Entities::empty();
    let ask = |n: usize| {
        let context = Context::empty();
        Request::new(uid(&format!("A::\"{n}\"")), uid("Action::\"0\""), uid("B::\"0\""), context, None).expect("valid")
    };
    let mut largest = 0;
    for n in 0..many {
        assert_eq!(set.is_authorized(&ask(n), &entities).reasons, [n]);
        largest = largest.max(set.kept().0);
    }
    assert_eq!(largest, MAX_SLICES);
    assert_eq!(set.kept().0, 100);
    // A slice too many policies: few slices are kept.
    let open: Vec<String> =
        (0..1000).map(|_| "permit (principal, action, resource);".to_owned()).chain(policies).collect();
    let set = sliced(&open);
    for n in 0..110 {
        assert_eq!(set.is_authorized(&ask(n), &entities).reasons.len(), 1001);
        assert!(set.kept().1 <= MAX_SLICED_POLICIES, "{:?}", set.kept());
    }
}

#[test]
fn many_callers_get_the_same_answers() {
    let engine = engine(&Sources::shipped());
    let questions: Vec<Question> = Tier::ALL
        .iter()
        .flat_map(|t| [("fs.write", ResourceKind::File), ("shell", ResourceKind::Command)].map(|(a, k)| (t, a, k)))
        .map(|(tier, action, kind)| question(agent("scribe", *tier), action, kind, "/reports/a"))
        .collect();
    let expected: Vec<_> = questions.iter().map(|q| super::engine(&Sources::shipped()).weigh(q)).collect();
    let distinct: HashSet<String> = expected.iter().map(|v| format!("{v:?}")).collect();
    assert!(distinct.len() > 4);
    std::thread::scope(|scope| {
        for n in 0..64 {
            let (engine, questions, expected) = (&engine, &questions, &expected);
            scope.spawn(move || {
                for i in 0..50 {
                    let at = (n + i) % questions.len();
                    assert_eq!(engine.weigh(&questions[at]), expected[at]);
                }
            });
        }
    });
}
