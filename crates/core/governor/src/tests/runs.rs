//! How runs begin, alone and under others, and what they may do.

use steward_permit::Tier;

use super::sample::{action, after, at, begin, error, executing, packet, run, run_id, run_in_each_phase};
use crate::{
    command::Command,
    ending::Reason,
    handoff::{Handoff, MAX_HANDED_ARTIFACTS, MAX_TRIED, Tried},
    packet::Packet,
    pattern::Pattern,
    phase::Phase,
    refusal::Refusal,
    run::{Begin, MAX_CHILDREN, MAX_RUN_DEPTH, READS, Run},
};

/// What `may` says in each phase, by the refusal's code.
fn asked(name: &str, resource: &str) -> String {
    let said = run_in_each_phase().into_iter().map(|run| match run.may(&action(name), resource) {
        Ok(()) => "ok",
        Err(refusal) => refusal.code(),
    });
    let short = said.map(|code| match code {
        "WRONG_PHASE" => "phase",
        "FORBIDDEN_ACTION" => "forbidden",
        "OUT_OF_SCOPE" => "scope",
        "RUN_OVER" => "over",
        other => other,
    });
    short.collect::<Vec<_>>().join(" ")
}

#[test]
fn what_may_be_done_in_each_phase() {
    for (name, resource, said) in [
        ("fs.read", "/a", "phase phase ok ok phase phase phase over"),
        ("fs.write", "/reports/a", "phase phase phase ok phase phase phase over"),
        ("fs.write", "/other", "phase phase phase scope phase phase phase over"),
        ("logs.read", "x", "phase phase scope scope phase phase phase over"),
        ("exec", "grep", "phase phase phase ok phase phase phase over"),
        ("http.get", "www.example.org/x", "phase phase phase ok phase phase phase over"),
        ("fs.list", "/a", "phase phase phase scope phase phase phase over"),
        // What is forbidden is that wherever an agent could attempt it.
        ("fs.write", "/reports/secret/a", "phase phase forbidden forbidden forbidden forbidden forbidden over"),
        ("shell", "ls", "phase phase forbidden forbidden forbidden forbidden forbidden over"),
        // Tricks are outside of every scope.
        ("fs.write", "/reports/x/../secret/a", "phase phase phase scope phase phase phase over"),
    ] {
        assert_eq!(asked(name, resource), said, "{name} {resource}");
    }
    for read in READS {
        assert!(!asked(read, "/x").starts_with("phase phase phase"), "{read} is for PLAN, too");
    }
}

/// Without the second look, `http://` would be a way around what is forbidden.
#[test]
fn a_host_that_is_forbidden_is_so_however_it_is_asked() {
    let mut run = executing();
    let pattern = |text: &str| text.parse::<Pattern>().unwrap();
    run.packet.constraints.scope = vec![pattern("http.get:http://*/**"), pattern("http.get:*/**")];
    run.packet.constraints.forbidden = vec![pattern("http.get:evil.org/**")];
    for (resource, code) in [
        ("evil.org/a", Some("FORBIDDEN_ACTION")),
        ("http://evil.org/a", Some("FORBIDDEN_ACTION")),
        ("good.org/a", None),
        ("http://good.org/a", None),
    ] {
        let said = run.may(&action("http.get"), resource);
        assert_eq!(said.err().map(|refusal| refusal.code()), code, "{resource}");
    }
}

#[test]
fn a_refusal_says_what_it_costs() {
    let execute = executing();
    let forbidden = execute.may(&action("shell"), "ls").unwrap_err();
    assert_eq!(forbidden.to_string(), "`shell` on `ls` is forbidden by `shell:*` of the packet");
    assert!(matches!(forbidden.charge(), Some(Command::Forbidden { .. })));
    let outside = execute.may(&action("fs.write"), "/x").unwrap_err();
    assert_eq!(
        outside.to_string(),
        "`fs.write` on `/x` is outside the packet's scope; it is `fs.write:/reports/**`, `fs.read:/**`, `http.get:*.example.org/**`, `exec:grep`"
    );
    assert!(matches!(outside.charge(), Some(Command::Denied { code, .. }) if code == "OUT_OF_SCOPE"));
    let early = run().may(&action("fs.write"), "/reports/a").unwrap_err();
    assert_eq!(early.to_string(), "`fs.write` is not for BOOTSTRAP; it is for EXECUTE");
    assert!(matches!(early.charge(), Some(Command::Violation { .. })));
    let over = run_in_each_phase()[7].may(&action("fs.read"), "/a").unwrap_err();
    assert_eq!((over.charge(), over.code()), (None, "RUN_OVER"));
    // Charged, the second occurrence of what is forbidden never comes.
    let revoked = after(&execute, [forbidden.charge().unwrap()]);
    assert_eq!(revoked.ended.unwrap().code, Reason::ForbiddenAction.as_str());
}

/// A packet within the sample's, for another agent.
fn child_packet(scope: &[&str]) -> Packet {
    let mut packet = packet();
    packet.agent = "editor.acme.internal".parse().unwrap();
    packet.constraints.scope = scope.iter().map(|text| text.parse().unwrap()).collect();
    packet.constraints.forbidden.clear();
    packet
}

fn under<'a>(parent: &'a Run, packet: Packet, tier: Tier) -> Begin<'a> {
    Begin { id: run_id(2), packet, tier, handoff: None, parent: Some(parent), now: at(3) }
}

#[test]
fn a_child_has_no_more_than_its_parent() {
    let parent = executing();
    let child = Run::begin(under(&parent, child_packet(&["fs.read:/a"]), Tier::T2)).unwrap();
    assert_eq!((child.parent.as_ref(), child.depth, child.phase), (Some(&parent.id), 1, Phase::Bootstrap));
    let forbidden: Vec<String> = child.packet.constraints.forbidden.iter().map(Pattern::to_string).collect();
    assert_eq!(forbidden, ["fs.write:/reports/secret/**", "shell:*"], "its parent's");
    let wider =
        Run::begin(under(&parent, child_packet(&["fs.read:/a", "fs.write:/**", "fs.*:/a"]), Tier::T3)).unwrap_err();
    let Refusal::WiderThanParent(reasons) = &wider else { panic!("{wider}") };
    let scope = "the parent's is `fs.write:/reports/**`, `fs.read:/**`, `http.get:*.example.org/**`, `exec:grep`";
    assert_eq!(
        reasons,
        &[
            "tier T3, under T2 there may be T0, T1, T2".to_owned(),
            format!("scope `fs.write:/**`, {scope}"),
            format!("scope `fs.*:/a`, {scope}"),
        ]
    );
    assert!(matches!(wider.charge(), Some(Command::Denied { code, .. }) if code == "WIDER_THAN_PARENT"));
}

#[test]
fn a_child_may_waste_what_is_left_only() {
    let parent =
        after(&executing(), [error("E", "a"), error("E", "b"), Command::Violation { details: "x".to_owned() }]);
    let left = parent.left();
    assert_eq!((left.max_total_errors, left.max_same_error_repeats, left.max_procedure_violations), (3, 3, 1));
    let mut packet = child_packet(&["fs.read:/a"]);
    let refusal = Run::begin(under(&parent, packet.clone(), Tier::T0)).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::WiderThanParent(vec![
            "`max_total_errors` 5, at most 3 is left".to_owned(),
            "`max_procedure_violations` 2, at most 1 is left".to_owned(),
        ])
    );
    packet.error_budget = left;
    assert!(Run::begin(under(&parent, packet.clone(), Tier::T0)).is_ok());
    packet.error_budget.max_same_error_repeats = 4;
    assert!(Run::begin(under(&parent, packet, Tier::T0)).is_err());
}

#[test]
fn tiers_under_tiers() {
    let can = |parent: Tier| {
        let parent = Run { tier: parent, ..executing() };
        let below = Tier::ALL.iter().filter(|tier| Run::begin(under(&parent, child_packet(&[]), **tier)).is_ok());
        below.map(|tier| tier.as_str()).collect::<Vec<_>>().join(" ")
    };
    let found: Vec<String> = Tier::ALL.iter().map(|tier| can(*tier)).collect();
    assert_eq!(found, ["T0", "T0 T1", "T0 T1 T2", "T0 T1 T2 T3", "T0 T4"]);
}

#[test]
fn a_parent_is_live_in_execute_and_not_too_deep() {
    for parent in run_in_each_phase() {
        let begun = Run::begin(under(&parent, child_packet(&[]), Tier::T0));
        match parent.phase {
            Phase::Execute => assert!(begun.is_ok()),
            Phase::Exit => assert_eq!(begun.unwrap_err().code(), "RUN_OVER"),
            _ => assert_eq!(begun.unwrap_err().code(), "WRONG_PHASE"),
        }
    }
    for depth in 0..6 {
        let parent = Run { depth, ..executing() };
        let begun = Run::begin(under(&parent, child_packet(&[]), Tier::T0));
        assert_eq!(begun.is_ok(), depth + 1 < MAX_RUN_DEPTH, "{depth}");
        if let Err(refusal) = begun {
            assert_eq!(refusal.code(), "RUN_TOO_DEEP");
        }
    }
    let children = (0..u32::try_from(MAX_CHILDREN).unwrap()).map(|n| Command::ChildStarted(run_id(n)));
    let full = after(&executing(), children);
    assert_eq!(Run::begin(under(&full, child_packet(&[]), Tier::T0)).unwrap_err().code(), "TOO_MANY_CHILDREN");
}

#[test]
fn a_run_alone_begins_with_what_it_is_given() {
    let run = Run::begin(begin(packet())).unwrap();
    assert_eq!((run.agent.to_string().as_str(), run.task.as_str()), ("scribe.acme.internal", "weekly-report"));
    assert_eq!((run.depth, run.parent.clone(), run.phase_at), (0, None, at(0)));
    assert_eq!(run.packet, packet());
}

#[test]
fn a_handoff_is_bounded() {
    let tried = |n: usize| Tried {
        action: "fs.write".to_owned(),
        resource: format!("/{n}"),
        outcome: "failed".to_owned(),
        error: Some("x\n".repeat(5_000)),
    };
    let artifacts = (0..300).rev().map(|n| super::sample::artifact(&format!("/{n:03}"))).collect();
    let id = super::sample::handoff_id(1);
    let handoff = Handoff::write(id, &executing(), Reason::ByPerson, "x", (0..80).map(tried).collect(), artifacts);
    assert_eq!((handoff.what_was_tried.len(), handoff.artifacts.len()), (MAX_TRIED, MAX_HANDED_ARTIFACTS));
    assert_eq!(handoff.what_was_tried[0].error, Some("x ".repeat(500)));
    assert_eq!((handoff.what_was_tried[0].resource.as_str(), handoff.artifacts[0].path.as_str()), ("/30", "/000"));
}

#[test]
fn a_handoff_says_how_far_it_came() {
    let said = |run: &Run, paths: &[&str]| {
        let artifacts = paths.iter().map(|path| super::sample::artifact(path)).collect();
        let id = super::sample::handoff_id(1);
        let handoff = Handoff::write(id, run, Reason::ByPerson, "x", Vec::new(), artifacts);
        format!("{}: {}", handoff.last_known_state.phase, handoff.last_known_state.step)
    };
    let runs = run_in_each_phase();
    assert_eq!(said(&runs[0], &[]), "BOOTSTRAP: no plan was submitted");
    assert_eq!(said(&runs[2], &[]), "PLAN: a plan was submitted and not approved");
    assert_eq!(said(&runs[3], &[]), "EXECUTE: step 2 of 2: write");
    assert_eq!(said(&runs[3], &["/reports/week.md"]), "EXECUTE: every artifact of the plan's 2 steps is there");
    let revoked = after(&runs[3], [Command::Revoke { details: "x".to_owned() }]);
    assert_eq!(said(&revoked, &[]), "EXECUTE: step 2 of 2: write", "the phase in which it was, not EXIT");
}

#[test]
fn a_handoff_asks_for_what_is_not_there() {
    let mut run = executing();
    run.packet.success_criteria = ["/extra.md", "/reports/week.md"]
        .map(|path| crate::packet::Criterion::Artifact { path: path.to_owned(), contains: None })
        .into();
    let asked = |paths: &[&str]| {
        let artifacts = paths.iter().map(|path| super::sample::artifact(path)).collect();
        let id = super::sample::handoff_id(1);
        let handoff = Handoff::write(id, &run, Reason::ByPerson, "x", Vec::new(), artifacts);
        handoff.required_next_actions[1..].join("; ")
    };
    assert_eq!(
        asked(&[]),
        "write the required artifact `/reports/notes.md`; write the required artifact `/reports/week.md`; \
         see to it that `/extra.md` is there"
    );
    assert_eq!(asked(&["/extra.md", "/reports/notes.md"]), "write the required artifact `/reports/week.md`");
    assert_eq!(asked(&["/reports/week.md", "/reports/notes.md"]), "see to it that `/extra.md` is there");
}
