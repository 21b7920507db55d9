//! The machine, command by command.

use steward_naming::ActionId;
use steward_permit::ActionName;

use super::sample::{
    after, artifact, at, error, executing, finish, handoff_id, packaged, packet, plan, run, run_id, run_in_each_phase,
    step, submit, verified,
};
use crate::{
    command::{Command, Effect},
    ending::{Ending, Reason},
    packet::{ErrorBudget, EscalationRule, Packet, Then, When},
    phase::Phase,
    recorded::Recorded,
    refusal::Refusal,
    run::{Begin, MAX_CHILDREN, Run},
};

fn unknown() -> Command {
    let action: ActionId = "act_01KAHW5V8NQ4Z0M7C2R9T3XBYD".parse().unwrap();
    Command::UnknownOutcome { action }
}

/// Code and message.
fn coded<T>(make: impl Fn(String, String) -> T) -> T {
    make("CODE".to_owned(), "message".to_owned())
}

/// Every command, the phases in which it is accepted (by first letter: `Boot`, `preFlight`, `Plan`, `Execute`, `Verify`, `pacKage`,
/// `Report`; EXIT accepts nothing), and where it leads: a phase, an ending, or nowhere.
fn table() -> Vec<(Command, &'static str, &'static str)> {
    vec![
        (Command::Booted, "B", "PREFLIGHT"),
        (Command::PreflightPassed, "F", "PLAN"),
        (submit(), "P", "="),
        (Command::Approve, "P", "EXECUTE"),
        (coded(|code, message| Command::RefusePlan { code, message }), "P", "refused CODE"),
        (finish(), "E", "VERIFY"),
        (Command::Finish { artifacts: vec![artifact("/reports/week.md")] }, "E", "revoked MISSING_ARTIFACT"),
        (Command::Finish { artifacts: vec![artifact("/reports/notes.md")] }, "E", "revoked MISSING_ARTIFACT"),
        (verified(), "V", "PACKAGE"),
        (Command::Verified { failed: vec!["too long".to_owned()] }, "V", "failed CRITERION_FAILED"),
        (packaged(), "K", "REPORT"),
        (Command::Packaged { missing: vec!["/a".to_owned()] }, "K", "failed MISSING_DELIVERABLE"),
        (Command::Reported, "R", "completed COMPLETED"),
        (error("KIND", "message"), "BFPEVKR", "="),
        (coded(|code, message| Command::Denied { code, message }), "BFPEVKR", "="),
        (Command::Violation { details: "x".to_owned() }, "BFPEVKR", "="),
        (Command::Forbidden { details: "x".to_owned() }, "BFPEVKR", "revoked FORBIDDEN_ACTION"),
        (unknown(), "BFPEVKR", "="),
        (Command::Looked { goes_on: true, message: "x".to_owned() }, "BFPEVKR", "="),
        (Command::Looked { goes_on: false, message: "x".to_owned() }, "BFPEVKR", "stopped ESCALATED"),
        (coded(|code, message| Command::Fail { code, message }), "BFPEVKR", "failed CODE"),
        (coded(|code, message| Command::Refuse { code, message }), "BFP", "refused CODE"),
        (Command::Stop { reason: "x".to_owned() }, "BFPEVKR", "stopped STOPPED"),
        (Command::Revoke { details: "x".to_owned() }, "BFPEVKR", "revoked BY_PERSON"),
        (Command::ChildStarted(run_id(7)), "E", "="),
        (Command::ChildEnded(run_id(7)), "BFPEVKR", "="),
    ]
}

#[test]
fn every_command_in_every_phase() {
    const LETTERS: &str = "BFPEVKRX";
    let runs = run_in_each_phase();
    assert_eq!(runs.iter().map(|run| run.phase).collect::<Vec<_>>(), Phase::ALL);
    for (command, legal, leads) in table() {
        for (run, letter) in runs.iter().zip(LETTERS.chars()) {
            let told = format!("{command:?} in {}", run.phase);
            let result = run.step(command.clone(), at(9));
            if run.phase == Phase::Exit {
                let refusal = result.expect_err(&told);
                assert!(matches!(refusal, Refusal::Over { .. }), "{told}");
                assert_eq!((refusal.code(), refusal.charge()), ("RUN_OVER", None), "{told}");
                continue;
            }
            if !legal.contains(letter) {
                let refusal = result.expect_err(&told);
                let Refusal::NotInPhase { legal: said, .. } = &refusal else { panic!("{told}: {refusal}") };
                let said: String = said.iter().map(|p| &LETTERS[*p as usize..=*p as usize]).collect();
                assert_eq!(said, legal, "{told}");
                assert!(matches!(refusal.charge(), Some(Command::Violation { .. })), "{told}");
                continue;
            }
            let next = result.expect(&told).run;
            let found = match &next.ended {
                None if next.phase == run.phase => "=".to_owned(),
                None => next.phase.to_string(),
                Some(ended) => {
                    assert_eq!((next.phase, ended.phase, ended.at), (Phase::Exit, run.phase, at(9)), "{told}");
                    format!("{} {}", ended.ending, ended.code)
                }
            };
            assert_eq!(found, leads, "{told}");
            let moved = next.phase != run.phase;
            assert_eq!(next.phase_at, if moved { at(9) } else { run.phase_at }, "{told}");
            assert_eq!(next.started_at, run.started_at);
        }
    }
}

#[test]
fn the_table_has_every_command() {
    let mut names: Vec<&str> = table().iter().map(|(command, ..)| command.name()).collect();
    names.dedup();
    assert_eq!(names.len(), 21, "a new command belongs into the table: {names:?}");
}

#[test]
fn each_transition_renews_and_each_ending_lets_go() {
    let (run, effects) = step(&run(), Command::Booted);
    assert_eq!((run.phase, effects), (Phase::Preflight, vec![Effect::RenewLease]));
    let (run, effects) = step(&run, Command::Stop { reason: "enough".to_owned() });
    assert_eq!(run.ended.unwrap().message, "enough");
    assert_eq!(effects, [Effect::KillAgent, Effect::RevokeCredential, Effect::ReleaseLock]);
    let parent = after(&executing(), [Command::ChildStarted(run_id(8)), Command::ChildStarted(run_id(7))]);
    let (run, effects) = step(&parent, Command::Forbidden { details: "fs.write\n/x".to_owned() });
    let (reason, details) = (Reason::ForbiddenAction, "fs.write /x".to_owned());
    assert_eq!(
        effects,
        [
            Effect::RevokeAgent { reason, details: details.clone() },
            Effect::HandOff { reason, details },
            Effect::StopChildren(vec![run_id(7), run_id(8)]),
            Effect::KillAgent,
            Effect::RevokeCredential,
            Effect::ReleaseLock,
        ]
    );
    assert!(run.children.is_empty());
}

#[test]
fn a_run_without_mistakes_completes() {
    let run = run_in_each_phase().pop().unwrap();
    let ended = run.ended.unwrap();
    assert_eq!((ended.ending, ended.code.as_str(), ended.phase), (Ending::Completed, "COMPLETED", Phase::Report));
    assert_eq!(run.spent.total, 0);
}

#[test]
fn a_plan_is_replaced_until_it_is_approved() {
    let planning = after(&run(), [Command::Booted, Command::PreflightPassed]);
    let refusal = planning.step(Command::Approve, at(1)).unwrap_err();
    assert_eq!((refusal.code(), refusal.charge()), ("NO_PLAN", None));
    let refused = Command::RefusePlan { code: "X".to_owned(), message: "x".to_owned() };
    assert_eq!(planning.step(refused, at(1)).unwrap_err().code(), "NO_PLAN");
    let planned = after(&planning, [submit()]);
    let mut other = plan();
    other.summary = "Otherwise.".to_owned();
    let replaced = after(&planned, [Command::Submit { plan: other.clone(), acknowledges: None }]);
    assert_eq!(replaced.plan.as_ref(), Some(&other));
    let approved = after(&replaced, [Command::Approve]);
    assert_eq!(approved.step(submit(), at(1)).unwrap_err().code(), "WRONG_PHASE");
    assert_eq!(approved.plan, Some(other));
}

#[test]
fn a_plan_stays_within_its_packet() {
    let planning = after(&run(), [Command::Booted, Command::PreflightPassed]);
    let mut wide = plan();
    wide.steps[0].action = Some("fs.read:/reports/**".parse().unwrap());
    wide.steps[1].action = Some("fs.write:/**".parse().unwrap());
    wide.steps.push(wide.steps[0].clone());
    wide.steps[2].action = Some("fs.write:/reports/secret/*".parse().unwrap());
    let refusal = planning.step(Command::Submit { plan: wide, acknowledges: None }, at(1)).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the plan is outside its packet: step 2: `fs.write:/**` is outside the scope, which is `fs.write:/reports/**`, \
         `fs.read:/**`, `http.get:*.example.org/**`, `exec:grep`; step 3: `fs.write:/reports/secret/*` is forbidden by \
         `fs.write:/reports/secret/**`"
    );
    assert_eq!(refusal.code(), "PLAN_OUTSIDE_PACKET");
    assert!(matches!(refusal.charge(), Some(Command::Denied { code, .. }) if code == "PLAN_OUTSIDE_PACKET"));
}

#[test]
fn a_successor_reads_its_handoff_first() {
    let begun = Run::begin(Begin { handoff: Some(handoff_id(1)), ..super::sample::begin(packet()) }).unwrap();
    let planning = after(&begun, [Command::Booted, Command::PreflightPassed]);
    let names = |handoff| Command::Submit { plan: plan(), acknowledges: handoff };
    for wrong in [None, Some(handoff_id(2))] {
        let refusal = planning.step(names(wrong), at(1)).unwrap_err();
        assert_eq!(refusal, Refusal::NotAcknowledged { handoff: handoff_id(1) });
        assert!(matches!(refusal.charge(), Some(Command::Denied { code, .. }) if code == "HANDOFF_NOT_ACKNOWLEDGED"));
    }
    let planned = after(&planning, [names(Some(handoff_id(1)))]);
    assert!(planned.acknowledged && !planning.acknowledged);
    assert!(planned.step(names(None), at(1)).is_ok(), "once is enough");
    assert!(planned.step(names(Some(handoff_id(2))), at(1)).is_err());
    let plain = after(&run(), [Command::Booted, Command::PreflightPassed, names(Some(handoff_id(9)))]);
    assert!(!plain.acknowledged, "there was nothing to acknowledge");
}

fn executing_with(rules: &[(When, Then)], budget: (u32, u32, u32)) -> Run {
    let rules = rules.iter().map(|(when, then)| EscalationRule { when: *when, then: *then });
    let (max_total_errors, max_same_error_repeats, max_procedure_violations) = budget;
    let packet = Packet {
        escalation_rules: rules.collect(),
        error_budget: ErrorBudget { max_total_errors, max_same_error_repeats, max_procedure_violations },
        ..packet()
    };
    let way = [Command::Booted, Command::PreflightPassed, submit(), Command::Approve];
    after(&Run::begin(super::sample::begin(packet)).unwrap(), way)
}

/// `running`, or how it ended; and what was escalated, in order.
fn outcome(run: &Run, commands: &[Command]) -> (String, Vec<(When, Then)>) {
    let (mut run, mut escalated) = (run.clone(), Vec::new());
    for command in commands {
        let effects;
        (run, effects) = step(&run, command.clone());
        escalated.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Escalate { when, then } => Some((*when, *then)),
            _ => None,
        }));
    }
    let lives = if run.held.is_some() { "held" } else { "running" };
    let ended = run.ended.as_ref().map_or(lives.to_owned(), |e| format!("{} {}", e.ending, e.code));
    assert_eq!(run.escalated, escalated.iter().map(|(when, _)| *when).collect());
    (ended, escalated)
}

#[test]
fn escalations_are_followed_once() {
    use Then::{Notify, Review, Stop};
    use When::{Denial, FirstError, HalfOfBudget, PlanRefused, UnknownOutcome};
    let e = |message: &str| error("E", message);
    let denied = || Command::Denied { code: "D".to_owned(), message: "no".to_owned() };
    let all = [(FirstError, Notify), (Denial, Notify), (HalfOfBudget, Notify), (UnknownOutcome, Notify)];
    for (rules, budget, commands, ended, escalated) in [
        (
            &all[..],
            (7, 9, 1),
            &[e("a"), e("b"), e("c"), e("d"), e("f")][..],
            "running",
            &[FirstError, HalfOfBudget][..],
        ),
        (&all, (8, 9, 1), &[e("a"), e("b"), e("c")], "running", &[FirstError]),
        (&all, (8, 9, 1), &[e("a"), e("b"), e("c"), e("d")], "running", &[FirstError, HalfOfBudget]),
        (&all, (8, 9, 1), &[denied(), denied()], "running", &[Denial, FirstError]),
        (&all, (8, 9, 1), &[unknown(), unknown()], "running", &[UnknownOutcome]),
        (&all, (2, 9, 1), &[denied()], "running", &[Denial, FirstError, HalfOfBudget]),
        (&all, (1, 9, 1), &[denied()], "revoked ERROR_BUDGET_EXCEEDED", &[Denial, FirstError, HalfOfBudget]),
        (&[], (8, 9, 1), &[e("a"), denied(), unknown()], "running", &[]),
        (&[(FirstError, Stop)], (8, 9, 1), &[e("a")], "stopped ESCALATED", &[FirstError]),
        (&[(FirstError, Review)], (8, 9, 1), &[e("a")], "held", &[FirstError]),
        // The stricter one of a step decides, in whatever order.
        (&[(Denial, Review), (FirstError, Stop)], (8, 9, 1), &[denied()], "stopped ESCALATED", &[Denial, FirstError]),
        (&[(Denial, Stop), (FirstError, Review)], (8, 9, 1), &[denied()], "stopped ESCALATED", &[Denial, FirstError]),
        (&[(Denial, Notify), (FirstError, Review)], (8, 9, 1), &[denied()], "held", &[Denial, FirstError]),
        // A revocation beats an escalation.
        (&[(FirstError, Stop)], (1, 9, 1), &[e("a")], "revoked ERROR_BUDGET_EXCEEDED", &[FirstError]),
        (&[(PlanRefused, Stop)], (8, 9, 1), &[e("a")], "running", &[]),
    ] {
        let found = outcome(&executing_with(rules, budget), commands);
        let words: Vec<When> = found.1.iter().map(|(when, _)| *when).collect();
        assert_eq!((found.0.as_str(), words.as_slice()), (ended, escalated), "{rules:?} {budget:?} {commands:?}");
    }
}

#[test]
fn who_is_held_goes_no_further_before_a_person_looked() {
    let held = after(&executing_with(&[(When::FirstError, Then::Review)], (8, 9, 1)), [error("E", "a")]);
    let write = ActionName::parse("fs.write").unwrap();
    assert_eq!(held.may(&write, "/reports/week.md").unwrap_err().code(), "NEEDS_REVIEW");
    assert_eq!(held.step(finish(), at(1)).unwrap_err().code(), "NEEDS_REVIEW");
    assert_eq!(
        held.step(error("E", "b"), at(1)).unwrap().run.held,
        held.held,
        "what goes wrong is counted all the same"
    );
    let looked = |goes_on| Command::Looked { goes_on, message: "looked".to_owned() };
    let goes_on = after(&held, [looked(true)]);
    assert!(goes_on.may(&write, "/reports/week.md").is_ok() && goes_on.step(finish(), at(2)).is_ok());
    assert_eq!(after(&held, [looked(false)]).ended.unwrap().code, "ESCALATED");
}

#[test]
fn what_ended_already_is_not_ended_by_an_escalation() {
    let rules = [(When::CriterionFailed, Then::Stop), (When::PlanRefused, Then::Stop)];
    let packet = executing_with(&rules, (8, 2, 1)).packet;
    let begun = Run::begin(super::sample::begin(packet)).unwrap();
    let planned = after(&begun, [Command::Booted, Command::PreflightPassed, submit()]);
    let refuse = Command::RefusePlan { code: "TIMEOUT".to_owned(), message: "nobody looked".to_owned() };
    let told = vec![(When::PlanRefused, Then::Stop)];
    assert_eq!(outcome(&planned, &[refuse]), ("refused TIMEOUT".to_owned(), told));
    let verifying = after(&planned, [Command::Approve, finish()]);
    let failed = Command::Verified { failed: vec!["x".to_owned()] };
    let told = vec![(When::CriterionFailed, Then::Stop)];
    assert_eq!(outcome(&verifying, &[failed]), ("failed CRITERION_FAILED".to_owned(), told));
}

#[test]
fn budgets_are_kept_by_the_machine() {
    let e = |message: &str| error("E", message);
    let violation = || Command::Violation { details: "x".to_owned() };
    for (budget, commands, ended) in [
        ((8, 2, 1), &[e("took 3 s"), e("took 4 s")][..], "revoked REPEATED_ERROR"),
        ((2, 2, 1), &[e("a"), e("a")], "revoked REPEATED_ERROR"),
        ((2, 2, 1), &[e("a"), e("b")], "revoked ERROR_BUDGET_EXCEEDED"),
        ((8, 2, 1), &[violation()], "revoked PROCEDURE_VIOLATION"),
        ((1, 1, 2), &[violation()], "running"),
        ((8, 2, 2), &[violation(), violation()], "revoked PROCEDURE_VIOLATION"),
        ((8, 2, 2), &[e("a"), violation(), e("b")], "running"),
    ] {
        assert_eq!(outcome(&executing_with(&[], budget), commands).0, ended, "{budget:?} {commands:?}");
    }
}

#[test]
fn messages_are_clipped() {
    let long = Command::Fail { code: "x".repeat(9_999), message: "ö\n".repeat(9_999) };
    let ended = step(&run(), long).0.ended.unwrap();
    assert_eq!((ended.code.chars().count(), ended.message.chars().count()), (1_000, 1_000));
    assert!(!ended.message.contains('\n'));
}

#[test]
fn children_have_a_limit() {
    let started = |n| Command::ChildStarted(run_id(n));
    let full = after(&executing(), (0..u32::try_from(MAX_CHILDREN).unwrap()).map(started));
    assert_eq!(full.children.len(), MAX_CHILDREN);
    assert_eq!(full.step(started(99), at(1)).unwrap_err().code(), "TOO_MANY_CHILDREN");
    assert!(full.step(started(0), at(1)).is_ok(), "saying it twice does no harm");
    let freed = after(&full, [Command::ChildEnded(run_id(0)), Command::ChildEnded(run_id(0))]);
    assert!(freed.step(started(99), at(1)).is_ok());
}

#[test]
fn a_step_leaves_the_run_as_it_was() {
    let before = executing();
    let copy = before.clone();
    let _ = before.step(error("E", "x"), at(5)).unwrap();
    let _ = before.step(Command::Booted, at(5)).unwrap_err();
    assert_eq!(before, copy);
}

#[test]
fn a_command_that_was_recorded_does_the_same_again() {
    for (command, ..) in table() {
        for run in run_in_each_phase() {
            let command = command.clone().plain();
            let Ok(step) = run.step(command.clone(), at(9)) else { continue };
            let text = serde_json::to_string(&Recorded::of(&command, &run)).unwrap();
            let read: Recorded = serde_json::from_str(&text).unwrap();
            let again = read.command(|digest| (*digest == plan().digest()).then(plan).ok_or(())).unwrap();
            assert_eq!(run.step(again, at(9)).unwrap(), step, "{text}");
        }
    }
    // Words of the record: they never change.
    let said = |command: Command| serde_json::to_string(&Recorded::of(&command, &executing())).unwrap();
    assert_eq!(said(Command::PreflightPassed), r#"{"name":"preflight_passed"}"#);
    assert_eq!(said(error("KIND", "no")), r#"{"name":"error","kind":"KIND","message":"no"}"#);
    let more = Command::Finish { artifacts: vec![artifact("/reports/notes.md"), artifact("/reports/other.md")] };
    assert!(!said(more).contains("other.md"), "what nobody requires is not recorded with it");
}

#[test]
fn what_is_told_to_the_machine_can_stand_in_a_record() {
    let long = "x\u{0}\n".repeat(2_000);
    for command in [
        error(&long, &long),
        Command::Denied { code: long.clone(), message: long.clone() },
        Command::Violation { details: long.clone() },
        Command::Verified { failed: vec![long.clone()] },
        Command::Stop { reason: long.clone() },
    ] {
        let plain = command.plain();
        let text = serde_json::to_string(&Recorded::of(&plain, &executing())).unwrap();
        assert!(text.len() < 1_200 && !text.contains("\\u0000") && !text.contains("\\n"), "{text}");
        assert_eq!(plain.clone().plain(), plain, "once is enough");
    }
}
