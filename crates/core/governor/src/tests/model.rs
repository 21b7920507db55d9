//! Random commands against a model that is written in another way: a list of words, and counting from the beginning.

use std::collections::BTreeSet;

use proptest::prelude::*;
use steward_naming::{ActionId, HandoffId, RunId};

use super::sample::{artifact, at, begin, handoff_id, packet, plan, run_id};
use crate::{
    command::{Command, Effect},
    ending::Ending,
    packet::{ErrorBudget, EscalationRule, Packet, Then, When},
    phase::Phase,
    run::{Begin, Run},
};

/// What can happen, in a few words each.
#[derive(Debug, Clone)]
enum Event {
    Booted,
    Preflight,
    Submit { inside: bool, acknowledges: Option<u32> },
    Approve,
    RefusePlan,
    Finish { week: bool, notes: bool },
    Verified(bool),
    Packaged(bool),
    Reported,
    Error(u8),
    Denied(u8),
    Violation,
    Forbidden,
    Unknown,
    Fail,
    Refuse,
    Stop,
    Revoke,
    Looked(bool),
    ChildStarted(u32),
    ChildEnded(u32),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Booted),
        12 => Just(Event::Preflight),
        12 => (prop::bool::weighted(0.8), prop::option::of(1_u32..3))
            .prop_map(|(inside, acknowledges)| Event::Submit { inside, acknowledges }),
        10 => Just(Event::Approve),
        1 => Just(Event::RefusePlan),
        8 => (prop::bool::weighted(0.9), prop::bool::weighted(0.9)).prop_map(|(week, notes)| Event::Finish { week, notes }),
        8 => prop::bool::weighted(0.8).prop_map(Event::Verified),
        8 => prop::bool::weighted(0.8).prop_map(Event::Packaged),
        8 => Just(Event::Reported),
        6 => (0_u8..6).prop_map(Event::Error),
        3 => (0_u8..3).prop_map(Event::Denied),
        2 => Just(Event::Violation),
        1 => Just(Event::Forbidden),
        1 => Just(Event::Unknown),
        1 => Just(Event::Fail),
        1 => Just(Event::Refuse),
        1 => Just(Event::Stop),
        1 => Just(Event::Revoke),
        3 => prop::bool::weighted(0.8).prop_map(Event::Looked),
        3 => (1_u32..5).prop_map(Event::ChildStarted),
        3 => (1_u32..5).prop_map(Event::ChildEnded),
    ]
}

impl Event {
    fn command(&self) -> Command {
        let text = |text: &str| text.to_owned();
        match self {
            Self::Booted => Command::Booted,
            Self::Preflight => Command::PreflightPassed,
            Self::Submit { inside, acknowledges } => {
                let mut plan = plan();
                if !inside {
                    plan.steps[0].action = Some("fs.write:/elsewhere".parse().unwrap());
                }
                Command::Submit { plan, acknowledges: acknowledges.map(handoff_id) }
            }
            Self::Approve => Command::Approve,
            Self::RefusePlan => Command::RefusePlan { code: text("PLAN_REFUSED"), message: text("no") },
            Self::Finish { week, notes } => {
                let paths = [(*week, "/reports/week.md"), (*notes, "/reports/notes.md"), (true, "/more")];
                Command::Finish { artifacts: paths.iter().filter(|p| p.0).map(|p| artifact(p.1)).collect() }
            }
            Self::Verified(ok) => Command::Verified { failed: if *ok { vec![] } else { vec![text("x")] } },
            Self::Packaged(ok) => Command::Packaged { missing: if *ok { vec![] } else { vec![text("/x")] } },
            Self::Reported => Command::Reported,
            // Numbers in a message do not make another error of it; letters do.
            Self::Error(n) => Command::Error { kind: format!("K{}", n % 2), message: format!("{} took {n} s", n % 3) },
            Self::Denied(n) => {
                Command::Denied { code: text("D"), message: ["a", "b", "c"][usize::from(*n)].to_owned() }
            }
            Self::Violation => Command::Violation { details: text("x") },
            Self::Forbidden => Command::Forbidden { details: text("x") },
            Self::Unknown => {
                let action: ActionId = "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD".parse().unwrap();
                Command::UnknownOutcome { action }
            }
            Self::Fail => Command::Fail { code: text("F"), message: text("x") },
            Self::Refuse => Command::Refuse { code: text("R"), message: text("x") },
            Self::Stop => Command::Stop { reason: text("x") },
            Self::Revoke => Command::Revoke { details: text("x") },
            Self::Looked(goes_on) => Command::Looked { goes_on: *goes_on, message: text("x") },
            Self::ChildStarted(n) => Command::ChildStarted(run_id(*n)),
            Self::ChildEnded(n) => Command::ChildEnded(run_id(*n)),
        }
    }

    /// The name of the error that it is, if it is one.
    fn error(&self) -> Option<String> {
        match self {
            Self::Error(n) => Some(format!("error {}", n % 2)),
            Self::Denied(n) => Some(format!("denial {n}")),
            _ => None,
        }
    }
}

/// What was accepted so far, and what can be said from that alone.
struct Model {
    budget: ErrorBudget,
    rules: Vec<(When, Then)>,
    handoff: bool,
    accepted: Vec<Event>,
    at: usize,
    held: bool,
    over: Option<&'static str>,
}

const WORDS: [&str; 8] = ["BOOTSTRAP", "PREFLIGHT", "PLAN", "EXECUTE", "VERIFY", "PACKAGE", "REPORT", "EXIT"];

impl Model {
    /// Whether it is accepted, and then what `over` is.
    fn take(&mut self, event: &Event) -> bool {
        if self.over.is_some() || !self.accepts(event) {
            return false;
        }
        self.accepted.push(event.clone());
        self.over = self.ending(event);
        let reviews = self.newly(event).iter().any(|(_, then)| *then == Then::Review);
        self.held = reviews || self.held && !matches!(event, Event::Looked(true));
        let onward = match event {
            Event::Booted | Event::Preflight | Event::Approve => true,
            Event::Finish { .. } | Event::Verified(_) | Event::Packaged(_) => self.over.is_none(),
            _ => false,
        };
        self.at = if self.over.is_some() { 7 } else { self.at + usize::from(onward) };
        true
    }

    fn accepts(&self, event: &Event) -> bool {
        let further = matches!(
            event,
            Event::Submit { .. }
                | Event::Approve
                | Event::Finish { .. }
                | Event::Verified(_)
                | Event::Packaged(_)
                | Event::Reported
                | Event::ChildStarted(_)
        );
        if self.held && further {
            return false;
        }
        let submitted = self.accepted.iter().any(|e| matches!(e, Event::Submit { .. }));
        match event {
            Event::Booted => self.at == 0,
            Event::Preflight => self.at == 1,
            Event::Submit { inside, acknowledges } => {
                let known = !self.handoff || *acknowledges == Some(1) || acknowledges.is_none() && submitted;
                self.at == 2 && *inside && known
            }
            Event::Approve | Event::RefusePlan => self.at == 2 && submitted,
            Event::Finish { .. } | Event::ChildStarted(_) => self.at == 3,
            Event::Verified(_) => self.at == 4,
            Event::Packaged(_) => self.at == 5,
            Event::Reported => self.at == 6,
            Event::Refuse => self.at < 3,
            _ => true,
        }
    }

    /// The errors so far.
    fn errors(&self) -> Vec<String> {
        self.accepted.iter().filter_map(Event::error).collect()
    }

    fn violations(&self) -> usize {
        self.accepted.iter().filter(|e| matches!(e, Event::Violation)).count()
    }

    /// How the last accepted event ended the run.
    fn ending(&self, event: &Event) -> Option<&'static str> {
        match event {
            Event::RefusePlan => return Some("refused PLAN_REFUSED"),
            Event::Finish { week, notes } if !(*week && *notes) => return Some("revoked MISSING_ARTIFACT"),
            Event::Verified(false) => return Some("failed CRITERION_FAILED"),
            Event::Packaged(false) => return Some("failed MISSING_DELIVERABLE"),
            Event::Reported => return Some("completed COMPLETED"),
            Event::Forbidden => return Some("revoked FORBIDDEN_ACTION"),
            Event::Fail => return Some("failed F"),
            Event::Refuse => return Some("refused R"),
            Event::Stop => return Some("stopped STOPPED"),
            Event::Revoke => return Some("revoked BY_PERSON"),
            Event::Looked(false) => return Some("stopped ESCALATED"),
            Event::Violation if self.violations() >= self.budget.max_procedure_violations as usize => {
                return Some("revoked PROCEDURE_VIOLATION");
            }
            _ => {}
        }
        if let Some(this) = event.error() {
            let errors = self.errors();
            if errors.iter().filter(|e| **e == this).count() >= self.budget.max_same_error_repeats as usize {
                return Some("revoked REPEATED_ERROR");
            }
            if errors.len() >= self.budget.max_total_errors as usize {
                return Some("revoked ERROR_BUDGET_EXCEEDED");
            }
        }
        let thens: Vec<Then> = self.newly(event).iter().map(|(_, then)| *then).collect();
        thens.contains(&Then::Stop).then_some("stopped ESCALATED")
    }

    /// What the last accepted event escalates for the first time.
    fn newly(&self, event: &Event) -> Vec<(When, Then)> {
        let is_first = |kind: fn(&Event) -> bool| kind(event) && self.accepted.iter().filter(|e| kind(e)).count() == 1;
        let errors = self.errors().len();
        let happened = |when: When| match when {
            When::Denial => is_first(|e| matches!(e, Event::Denied(_))),
            When::FirstError => event.error().is_some() && errors == 1,
            // The first time that twice the errors are the budget or more.
            When::HalfOfBudget => {
                let budget = self.budget.max_total_errors as usize;
                event.error().is_some() && 2 * errors >= budget && 2 * (errors - 1) < budget
            }
            When::PlanRefused => matches!(event, Event::RefusePlan),
            When::UnknownOutcome => is_first(|e| matches!(e, Event::Unknown)),
            When::CriterionFailed => matches!(event, Event::Verified(false)),
        };
        self.rules.iter().copied().filter(|(when, _)| happened(*when)).collect()
    }

    fn children(&self) -> BTreeSet<RunId> {
        let mut live = BTreeSet::new();
        for event in &self.accepted {
            match event {
                Event::ChildStarted(n) => drop(live.insert(run_id(*n))),
                Event::ChildEnded(n) => drop(live.remove(&run_id(*n))),
                _ => {}
            }
        }
        live
    }
}

fn rules() -> impl Strategy<Value = Vec<(When, Then)>> {
    let then = prop_oneof![3 => Just(None), 3 => Just(Some(Then::Notify)), 1 => Just(Some(Then::Review)), 1 => Just(Some(Then::Stop))];
    prop::collection::vec(then, When::ALL.len())
        .prop_map(|thens| When::ALL.iter().zip(thens).filter_map(|(when, then)| Some((*when, then?))).collect())
}

fn start(rules: &[(When, Then)], budget: ErrorBudget, handoff: Option<HandoffId>) -> Run {
    let rules = rules.iter().map(|(when, then)| EscalationRule { when: *when, then: *then }).collect();
    let packet = Packet { escalation_rules: rules, error_budget: budget, ..packet() };
    Run::begin(Begin { handoff, ..begin(packet) }).unwrap()
}

/// What holds of every step, whatever the model says.
fn check_step(before: &Run, after: &Run, effects: &[Effect]) -> Result<(), TestCaseError> {
    let (from, to) = (before.phase, after.phase);
    prop_assert!(to == from || Some(to) == from.next() || to == Phase::Exit, "{} to {}", from, to);
    prop_assert!(from != Phase::Exit);
    prop_assert_eq!(to == Phase::Exit, after.ended.is_some());
    let has = |effect: &Effect| effects.contains(effect);
    prop_assert_eq!(has(&Effect::RenewLease), to != from && to != Phase::Exit);
    for release in [Effect::KillAgent, Effect::RevokeCredential, Effect::ReleaseLock] {
        prop_assert_eq!(has(&release), to == Phase::Exit, "{:?}", release);
    }
    if to == Phase::Exit {
        prop_assert_eq!(effects.last(), Some(&Effect::ReleaseLock));
    }
    let stopped =
        effects.iter().find_map(|e| if let Effect::StopChildren(runs) = e { Some(runs.clone()) } else { None });
    let live: Vec<RunId> = before.children.iter().cloned().collect();
    prop_assert_eq!(stopped.unwrap_or_default(), if to == Phase::Exit { live } else { Vec::new() });
    let revoked = after.ended.as_ref().is_some_and(|e| e.ending == Ending::Revoked);
    let reasons = effects.iter().filter(|e| matches!(e, Effect::RevokeAgent { .. } | Effect::HandOff { .. })).count();
    prop_assert_eq!(reasons, if revoked { 2 } else { 0 });
    let (spent, budget) = (&after.spent, &after.packet.error_budget);
    let most = spent.repeats.values().max().copied().unwrap_or_default();
    prop_assert!(spent.total <= budget.max_total_errors && most <= budget.max_same_error_repeats);
    prop_assert!(spent.violations <= budget.max_procedure_violations);
    let at_limit = spent.total == budget.max_total_errors
        || most == budget.max_same_error_repeats
        || spent.violations == budget.max_procedure_violations;
    prop_assert!(!at_limit || revoked, "a limit was reached, and the run lives");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_machine_does_what_the_model_says(
        events in prop::collection::vec(event(), 1..80),
        rules in rules(),
        (total, repeats, violations) in (1_u32..8, 1_u32..5, 1_u32..4),
        handoff: bool,
    ) {
        let budget = ErrorBudget {
            max_total_errors: total,
            max_same_error_repeats: repeats,
            max_procedure_violations: violations,
        };
        let mut run = start(&rules, budget, handoff.then(|| handoff_id(1)));
        let mut model = Model { budget, rules, handoff, accepted: Vec::new(), at: 0, held: false, over: None };
        let mut visited = vec![run.phase];
        for (second, event) in (1..).zip(&events) {
            let expected = model.take(event);
            let step = match run.step(event.command(), at(second)) {
                Ok(step) => step,
                Err(refusal) => {
                    prop_assert!(!expected, "{:?} was refused: {}", event, refusal);
                    continue;
                }
            };
            prop_assert!(expected, "{:?} was accepted in {}", event, run.phase);
            check_step(&run, &step.run, &step.effects)?;
            let escalated: BTreeSet<(When, Then)> = step.effects.iter().filter_map(|e| match e {
                Effect::Escalate { when, then } => Some((*when, *then)),
                _ => None,
            }).collect();
            prop_assert_eq!(escalated, model.newly(event).into_iter().collect());
            run = step.run;
            if run.phase != *visited.last().unwrap() {
                visited.push(run.phase);
            }
            prop_assert_eq!(run.phase.as_str(), WORDS[model.at], "after {:?}", event);
            let ended = run.ended.as_ref().map(|e| format!("{} {}", e.ending, e.code));
            prop_assert_eq!(ended.as_deref(), model.over);
            prop_assert_eq!(run.ended.is_none() && run.held.is_some(), model.over.is_none() && model.held, "after {:?}", event);
            prop_assert_eq!(run.spent.total as usize, model.errors().len());
            prop_assert_eq!(run.spent.violations as usize, model.violations());
            prop_assert_eq!(&run.children, &if model.over.is_some() { BTreeSet::new() } else { model.children() });
        }
        let stored: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
        prop_assert_eq!(&stored, &run);
        let mut once = visited.clone();
        once.dedup();
        once.sort();
        prop_assert_eq!(once, visited, "no phase twice, none before its time");
    }
}

/// The random walks are no use if they all end in BOOTSTRAP.
#[test]
fn the_walks_come_far() {
    let events = [
        Event::Booted,
        Event::Preflight,
        Event::Submit { inside: true, acknowledges: None },
        Event::Approve,
        Event::Finish { week: true, notes: true },
        Event::Verified(true),
        Event::Packaged(true),
        Event::Reported,
        Event::RefusePlan,
        Event::Finish { week: false, notes: true },
        Event::Verified(false),
        Event::Packaged(false),
        Event::Error(1),
        Event::Error(2),
        Event::Error(3),
        Event::Denied(1),
        Event::Violation,
        Event::Forbidden,
        Event::Unknown,
        Event::Fail,
        Event::Refuse,
        Event::Stop,
        Event::Revoke,
        Event::Looked(true),
        Event::Looked(true),
    ];
    let rules = [(When::Denial, Then::Stop), (When::UnknownOutcome, Then::Review)];
    let mut endings = BTreeSet::new();
    let mut seed = 1_u32;
    for walk in 0..1500_u32 {
        let budget = ErrorBudget { max_total_errors: 1 + walk % 3, ..packet().error_budget };
        let mut run = start(&rules, budget, None);
        for _ in 0..10_000 {
            if run.ended.is_some() {
                break;
            }
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Mostly the first eight, which lead on.
            let at = (seed >> 8) as usize % if seed >> 28 == 0 { events.len() } else { 8 };
            run = run.step(events[at].command(), self::at(1)).map_or(run, |step| step.run);
        }
        endings.extend(run.ended.map(|e| format!("{} {}", e.ending, e.code)));
    }
    assert_eq!(endings.len(), 14, "every ending is walked to: {endings:?}");
}
