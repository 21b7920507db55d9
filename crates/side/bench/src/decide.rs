//! Deciding alone: what slicing is worth.
//!
//! Us: the engine's whole decision, from a question to a permit or denial. Cedar: the same question in Cedar's form, made by the
//! same code, and Cedar's own authorizer over every policy, in a set that was made once.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use cedar_policy::{Authorizer, PolicySet};
use steward_app_node::system::{SystemClock, SystemDice};
use steward_clock::Clock as _;
use steward_naming::{ActionId, KeyId, Namespace};
use steward_permit::{Action, ActionName, Actor, KeyUse, Resource, ResourceKind, Scope, Tier};
use steward_policy::{Engine, Gives, Question, Source, Sources};

use crate::{
    measure::{Spent, on_this_thread},
    report::{Section, count},
};

/// Where everything happens.
pub(crate) const NAMESPACE: &str = "bench.internal";

/// Agents that ask in turns.
const AGENTS: usize = 8;

/// Rounds of each set, us and Cedar in turns.
const ROUNDS: u32 = 6;

/// How long a round lasts.
const ROUND: Duration = Duration::from_millis(80);

/// At most so many times slower.
const GOAL: f64 = 1.5;

/// A set of policies beside those that ship.
struct Set {
    name: &'static str,
    constrained: usize,
    unconstrained: usize,
}

const SETS: [Set; 6] = [
    Set { name: "as shipped", constrained: 0, unconstrained: 0 },
    Set { name: "and 10 constrained", constrained: 10, unconstrained: 0 },
    Set { name: "and 100 constrained", constrained: 100, unconstrained: 0 },
    Set { name: "and 1,000 constrained", constrained: 1000, unconstrained: 0 },
    Set { name: "and 500 unconstrained", constrained: 0, unconstrained: 500 },
    Set { name: "and 500 of each", constrained: 500, unconstrained: 500 },
];

/// What a set costs.
struct Measured {
    policies: usize,
    considered: f64,
    ours: Spent,
    our_count: u64,
    cedar: Spent,
    cedar_count: u64,
}

/// The policies that ship, some whose scope names one agent, and some whose scope names nothing.
fn sources(set: &Set) -> Sources {
    let constrained = (0..set.constrained).map(|n| {
        format!(
            "@id(\"bench/c{n}\")\npermit (principal == Agent::\"worker-{n}.{NAMESPACE}\", action == Action::\"fs.write\", \
             resource is File)\nwhen {{ resource has owner && resource.owner == principal.id && resource.path like \
             \"/x{n}/*\" }};\n"
        )
    });
    let unconstrained = (0..set.unconstrained).map(|n| {
        format!(
            "@id(\"bench/u{n}\")\npermit (principal, action, resource)\nwhen {{ context has via && context.via == \
             \"p{n}@{NAMESPACE}\" }};\n"
        )
    });
    let mut sources = Sources::shipped();
    let text = constrained.chain(unconstrained).collect::<String>();
    if !text.is_empty() {
        sources.policies.push(Source { name: "bench.cedar".to_owned(), text });
    }
    sources
}

/// The engine with the policies that ship.
pub(crate) fn shipped() -> Result<Engine> {
    Engine::compile(&Sources::shipped()).map_err(|m| anyhow!("the policies that ship: {m:?}"))
}

/// An agent that asks to write a plan of its own, with its own key.
pub(crate) fn question(agent: usize) -> Result<Question> {
    let namespace: Namespace = NAMESPACE.parse()?;
    let name: steward_naming::Name = format!("worker-{agent}.{NAMESPACE}").parse()?;
    let now = SystemClock.now();
    let resource = Resource::new(ResourceKind::File, "/plans/next.md")?;
    Ok(Question {
        id: ActionId::new(now, &SystemDice),
        actor: Actor::Agent { name: name.clone(), version: "1.0.0".to_owned(), tier: Tier::T1, via: None },
        key: Some(KeyUse { id: KeyId::new(now, &SystemDice), scopes: vec![Scope::Act] }),
        run: None,
        action: Action::new(namespace, ActionName::parse("fs.write")?, resource),
        owner: Some(name.to_string()),
        needs: None,
        approved: false,
        review: None,
        gives: Gives::default(),
    })
}

/// Does `work` for the length of a round. Tells how often.
fn round(mut work: impl FnMut(usize)) -> u64 {
    let (start, mut done) = (Instant::now(), 0);
    while start.elapsed() < ROUND {
        (0..AGENTS).for_each(&mut work);
        done += AGENTS as u64;
    }
    done
}

fn measure(set: &Set) -> Result<Measured> {
    let engine = Engine::compile(&sources(set)).map_err(|m| anyhow!("the policies of `{}`: {m:?}", set.name))?;
    let questions: Vec<Question> = (0..AGENTS).map(question).collect::<Result<_>>()?;
    let all = PolicySet::from_policies(engine.sliced().policies().iter().cloned())?;
    let authorizer = Authorizer::new();
    let now = SystemClock.now();
    let mut considered = 0;
    for question in &questions {
        let verdict = engine.weigh(question);
        let (request, entities) = engine.in_cedars_form(question).context("the schema knows this question")?;
        let answer = authorizer.is_authorized(&request, &all, &entities);
        anyhow::ensure!(verdict.allowed, "agents may write plans: {verdict:?}");
        anyhow::ensure!(answer.decision() == cedar_policy::Decision::Allow, "Cedar decides as we do");
        considered += verdict.considered;
    }
    let mut out = Measured {
        policies: engine.listed().len(),
        considered: considered as f64 / AGENTS as f64,
        ours: Spent::default(),
        our_count: 0,
        cedar: Spent::default(),
        cedar_count: 0,
    };
    for _ in 0..ROUNDS {
        let (done, spent) = on_this_thread(|| {
            round(|n| {
                let _ = black_box(engine.decide(black_box(&questions[n]).clone(), now));
            })
        })?;
        out.ours.add(spent);
        out.our_count += done;
        let (done, spent) = on_this_thread(|| {
            round(|n| {
                let asked = engine.in_cedars_form(black_box(&questions[n]));
                black_box(asked.map(|(request, entities)| authorizer.is_authorized(&request, &all, &entities)));
            })
        })?;
        out.cedar.add(spent);
        out.cedar_count += done;
    }
    Ok(out)
}

/// Measures every set.
pub(crate) fn run() -> Result<Section> {
    let measured: Vec<Measured> = SETS.iter().map(measure).collect::<Result<_>>()?;
    let ours = |n: usize| measured[n].ours.cpu_us(measured[n].our_count);
    let (constrained, half) = (ours(3) / ours(1), ours(5) / ours(4));
    let mut section = Section::new("decide", "Deciding alone");
    let goal = format!("at most {GOAL} times");
    section.goal("1,000 constrained policies, to 10", &goal, format!("{constrained:.2} times"), constrained <= GOAL);
    section.goal(
        "500 constrained and 500 unconstrained policies, to the same 500 unconstrained alone",
        &goal,
        format!("{half:.2} times"),
        half <= GOAL,
    );
    let rows: Vec<[String; 7]> = SETS
        .iter()
        .zip(&measured)
        .map(|(set, m)| {
            [
                set.name.to_owned(),
                count(m.policies as f64),
                count(m.considered),
                format!("{:.1}", m.ours.cpu_us(m.our_count)),
                format!("{:.1}", m.ours.wall_us(m.our_count)),
                format!("{:.1}", m.cedar.cpu_us(m.cedar_count)),
                format!("{:.1}", m.cedar.wall_us(m.cedar_count)),
            ]
        })
        .collect();
    let head = [
        "policies",
        "of them",
        "looked at",
        "us, CPU µs",
        "us, wall µs",
        "Cedar in full, CPU µs",
        "Cedar in full, wall µs",
    ];
    section.table(head, &rows);
    section.say(
        "Us: a question to a permit, reasons included. Cedar in full: the same question in Cedar's form, and Cedar's \
         authorizer over all policies, compiled once. Both put the question into Cedar's form anew each time. A constrained \
         policy names an agent, an action and a kind of resource in its scope; an unconstrained one leaves all three open, and \
         has to be looked at whatever is asked.",
    );
    Ok(section)
}
