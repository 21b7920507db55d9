//! Evidence that holds, and everything that can be wrong with it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use expect_test::expect;
use serde_json::{Value, json};
use steward_ledger::kind;
use steward_wire::EvidenceFile;

use super::{Examination, examine};
use crate::testing::{
    Ledger,
    story::{Story, WRITE, completed_run, evidence_entry},
};

/// What is wrong with a file; nothing if it holds.
fn wrong(file: &EvidenceFile, ledger: &Ledger) -> String {
    told(examine(file, &ledger.key(), None))
}

fn told(found: Examination) -> String {
    found.wrong.map(|wrong| format!("{}: {}", wrong.at, wrong.message)).unwrap_or_default()
}

/// What is wrong with a story that is told truly: all that the ledger cannot see.
fn wrong_story(change: impl FnOnce(&mut Story)) -> String {
    let mut story = Story::completed();
    change(&mut story);
    let (file, ledger) = story.tell();
    wrong(&file, &ledger)
}

/// What is wrong with a file that was changed after it was made.
fn wrong_file(change: impl FnOnce(&mut EvidenceFile, &Ledger)) -> String {
    let (mut file, ledger) = completed_run();
    change(&mut file, &ledger);
    wrong(&file, &ledger)
}

#[track_caller]
fn finds(what: &str, found: &str) {
    assert!(found.contains(what), "`{what}` was expected, and found is `{found}`");
}

#[test]
fn what_holds_is_told_and_so_is_what_no_file_can_show() {
    let (file, ledger) = completed_run();
    let found = examine(&file, &ledger.key(), None);
    assert_eq!((found.wrong, found.artifacts), (None, 1));
    let text = format!("{}\n--\n{}\n", found.proven.join("\n"), found.not_proven.join("\n"));
    let root = found.head.unwrap().root.to_base64();
    let text = text.replace(&root, "ROOT");
    expect![[r#"
        14 entries stand in the ledger `acme.internal`, under one signed tree head of 14 entries (root ROOT), and say what they said when they were recorded
        the run's story is whole: started by olivia@acme.internal at 2026-11-20T20:14:27.123Z, through BOOTSTRAP, PREFLIGHT, PLAN, EXECUTE, VERIFY, PACKAGE, REPORT to EXIT, and ended completed at 2026-11-20T20:14:39.123Z
        4 documents are the ones that these entries name: package, packet, plan, report
        what `scribe.acme.internal` was told on the task `design` is the packet sha256:dc5a55aaba41cfaf2a63414bb9416f4b3323cd17632261fec5e5bdaf391f0c24
        the evidence package's 1 artifacts are what the run's settled writes left; its 1 decisions and 1 outputs are on record
        --
        what the run's summary says beyond that: its tier, version, sandbox, fence, number of errors and times; and the node's identity
        what the artifacts say: this file has their digests, not their bytes
    "#]]
    .assert_eq(&text);
}

#[test]
fn only_its_own_key_opens_it() {
    let (file, ledger) = completed_run();
    finds("no signature", &told(examine(&file, &ledger.signed_by(9).key(), None)));
    // The key in the file is not what is believed.
    assert_eq!(wrong_file(|file, _| file.vkey = "nobody".into()), "");
}

#[test]
fn a_head_that_was_seen_before_is_compared() {
    let (file, ledger) = completed_run();
    assert_eq!(told(examine(&file, &ledger.key(), Some(&ledger.head()))), "");
    assert_eq!(
        told(examine(&file, &ledger.key(), Some(&Ledger::of(3).head()))),
        "",
        "of another size nothing is known"
    );
    let other = ledger.clone().rewritten_at(2).head();
    finds("SPLIT VIEW", &told(examine(&file, &ledger.key(), Some(&other))));
}

#[test]
fn what_is_changed_in_an_entry_is_found() {
    finds("entry 6", &wrong_file(|file, _| file.entries[6].body = file.entries[5].body.clone()));
    finds("do not fit the leaf", &wrong_file(|file, _| file.entries[6].salt = Some("00".repeat(32))));
    finds("not 32 bytes", &wrong_file(|file, _| file.entries[6].salt = Some("0".into())));
    finds("only one", &wrong_file(|file, _| file.entries[6].salt = None));
    finds("entry 6", &wrong_file(|file, _| file.entries[6].leaf = file.entries[5].leaf.clone()));
    finds("entry 6", &wrong_file(|file, _| file.entries[6].proof = file.entries[5].proof.clone()));
    finds("its proof is that of entry 6", &wrong_file(|file, _| file.entries[6].seq = 60));
    finds("in order", &wrong_file(|file, _| file.entries.swap(6, 7)));
    finds("in order", &wrong_file(|file, _| file.entries[7] = file.entries[6].clone()));
    finds("there are none", &wrong_file(|file, _| file.entries.clear()));
    finds("this program reads", &wrong_file(|file, _| file.format = "steward.evidence/v2".into()));
}

#[test]
fn entries_of_two_histories_are_not_one_story() {
    let story = Story::completed();
    let (mut file, ledger) = story.tell();
    let mut longer = story.clone();
    longer.told.push(longer.told[13].clone());
    let (_, other) = longer.tell();
    file.entries[13] = evidence_entry(&other, 13);
    finds("another tree head", &wrong(&file, &ledger));
}

#[test]
fn entries_of_other_runs_are_found() {
    let other = || Some("trc_01KAHW5V8NQ4Z0M7C2R9T3XBYE".parse().unwrap());
    finds("not of this run", &wrong_story(|story| story.told[6].body.trace = other()));
    finds("not of this run", &wrong_story(|story| story.first(kind::RUN_PHASE).trace = None));
    finds("not about this run", &wrong_story(|story| story.first(kind::RUN_PLANNED).subject = "run_2".into()));
}

#[test]
fn documents_are_those_that_entries_name() {
    let reread = |file: &mut EvidenceFile, n: usize, bytes: &[u8]| {
        file.documents[n].bytes = STANDARD.encode(bytes);
    };
    finds("they were changed", &wrong_file(|file, _| reread(file, 0, b"{}")));
    finds("not base 64", &wrong_file(|file, _| file.documents[0].bytes = "*".into()));
    finds("no run has such", &wrong_file(|file, _| file.documents[0].kind = "poem".into()));
    finds("no entry of the run names it", &wrong_file(|file, _| file.documents[0].kind = "plan".into()));
    finds("there twice", &wrong_file(|file, _| file.documents.push(file.documents[0].clone())));
    for kind in ["packet", "plan", "package", "report"] {
        let missing = wrong_file(|file, _| file.documents.retain(|document| document.kind != kind));
        finds(&format!("it names the {kind}"), &missing);
        let unnamed = wrong_story(|story| story.told.iter_mut().for_each(|told| drop(told.body.detail.remove(kind))));
        finds("no entry of the run names it", &unnamed);
    }
}

#[test]
fn a_story_has_a_beginning_its_phases_and_an_end() {
    let without = |n: usize| wrong_story(|story| drop(story.told.remove(n)));
    finds("the beginning is missing", &without(0));
    finds("a plan was submitted in PREFLIGHT", &without(2));
    for n in [1, 5, 9, 10] {
        finds("something is missing before", &without(n));
    }
    finds("`phase`: it says `REPORT`, where `PACKAGE` is claimed", &without(11));
    finds("is not over", &without(12));
    let twice = |n: usize| wrong_story(|story| story.told.insert(n, story.told[n].clone()));
    finds("starts a second time", &twice(0));
    finds("something is missing before", &twice(5));
    finds("after the run's end", &twice(12));
    for late in [1, 3, 4, 6, 7] {
        finds("after the run's end", &wrong_story(|story| story.told.push(story.told[late].clone())));
    }
    finds("a plan was submitted in EXECUTE", &wrong_story(|story| story.told.swap(4, 5)));
    let skipped = |story: &mut Story| drop(story.first(kind::RUN_PHASE).detail.insert("to".into(), "PLAN".into()));
    finds("which is not the phase after it", &wrong_story(skipped));
    let unknown = |story: &mut Story| drop(story.first(kind::RUN_PHASE).detail.insert("to".into(), "NAP".into()));
    finds("is not a phase", &wrong_story(unknown));
}

#[test]
fn an_ending_is_the_one_that_was_recorded() {
    finds("`status`", &wrong_file(|file, _| file.run.status = "stopped".into()));
    finds("`code`", &wrong_file(|file, _| file.run.code = Some("X".into())));
    finds("`message`", &wrong_file(|file, _| file.run.message = None));
    finds("`ended_in`", &wrong_file(|file, _| file.run.ended_in = Some("PLAN".into())));
    finds("`task`", &wrong_file(|file, _| file.run.task = "other".into()));
    finds("`agent`", &wrong_file(|file, _| file.run.agent = "other.acme.internal".into()));
    finds("`started_by`", &wrong_file(|file, _| file.run.started_by = "rita@acme.internal".into()));
    finds("`parent`", &wrong_file(|file, _| file.run.parent = Some("run_2".into())));
    finds("`objective`", &wrong_file(|file, _| file.run.objective = "Design another".into()));
    // Who completes has gone all the way.
    let early = wrong_story(|story| {
        story.told.truncate(6);
        let ended = json!({"ending": "completed", "code": "COMPLETED", "message": "m", "phase": "EXECUTE"});
        end(story, ended);
        (story.run.message, story.run.ended_in) = (Some("m".into()), Some("EXECUTE".into()));
    });
    finds("had only come to EXECUTE", &early);
}

/// Ends a story where it stands.
fn end(story: &mut Story, detail: Value) {
    let mut ended = Story::completed().told[12].clone();
    ended.body.detail = detail.as_object().unwrap().clone();
    story.told.push(ended);
    story.documents.retain(|kind, _| ["packet", "plan"].contains(kind));
}

#[test]
fn a_run_that_ended_early_holds_too_and_says_what_it_lacks() {
    let mut story = Story::completed();
    story.told.truncate(9);
    end(&mut story, json!({"ending": "stopped", "code": "STOPPED", "message": "enough", "phase": "EXECUTE"}));
    let run = &mut story.run;
    (run.status, run.code, run.message) = ("stopped".into(), Some("STOPPED".into()), Some("enough".into()));
    run.ended_in = Some("EXECUTE".into());
    let (file, ledger) = story.tell();
    let found = examine(&file, &ledger.key(), None);
    assert_eq!(found.wrong, None);
    assert!(found.not_proven[0].contains("did not come as far"), "{:?}", found.not_proven);
}

#[test]
fn artifacts_are_what_settled_writes_left() {
    finds(
        "was not written in this run",
        &wrong_story(|story| {
            story.repackage(|package| package["artifacts"][0]["path"] = "/other.md".into());
        }),
    );
    finds(
        "what was written last",
        &wrong_story(|story| {
            story.repackage(|package| package["artifacts"][0]["digest"] = format!("sha256:{}", "0".repeat(64)).into());
        }),
    );
    finds("not among the artifacts", &wrong_story(|story| story.repackage(|package| package["artifacts"] = json!([]))));
    let failed = |story: &mut Story| {
        story.first(kind::ACTION_SETTLED).outcome.as_mut().unwrap().success = false;
        story.repackage(|package| package["outputs"] = json!([]));
    };
    finds("was not written in this run", &wrong_story(failed));
    for name in ["run", "task", "agent", "packet", "plan"] {
        let other = match name {
            "run" => json!("run_01KAHW5V8NQ4Z0M7C2R9T3XBYE"),
            "task" => json!("other"),
            "agent" => json!("other.acme.internal"),
            _ => format!("sha256:{}", "0".repeat(64)).into(),
        };
        finds("is not that of this file", &wrong_story(|story| story.repackage(|package| package[name] = other)));
    }
    finds("cannot be read", &wrong_story(|story| story.repackage(|package| package["more"] = json!(1))));
}

#[test]
fn decisions_and_outputs_are_on_record() {
    for (name, other) in [("action", "fs.read"), ("resource", "/x"), ("verdict", "deny"), ("seq", "5")] {
        let changed = |story: &mut Story| story.repackage(|package| package["decisions"][0][name] = other.into());
        finds("which is not what was decided", &wrong_story(changed));
    }
    finds(
        "which is not here",
        &wrong_story(|story| {
            story.repackage(|package| package["decisions"][0]["seq"] = "99".into());
        }),
    );
    let policies = |story: &mut Story| story.repackage(|package| package["decisions"][0]["policies"] = json!(["T9"]));
    finds("which is not what was decided", &wrong_story(policies));
    let other = WRITE.replace("BYD", "BYE");
    let stranger = |story: &mut Story| story.repackage(|package| package["outputs"][0]["action"] = other.into());
    finds("no action of this run", &wrong_story(stranger));
    let failed = |story: &mut Story| story.repackage(|package| package["outputs"][0]["status"] = "failed".into());
    finds("its entry says otherwise", &wrong_story(failed));
}

#[test]
fn handoffs_are_named_beside_their_id() {
    let bytes = b"{\"id\":\"hnd_1\"}".to_vec();
    let digest = steward_seal::Digest::of(&bytes).to_string();
    let found = |change: &dyn Fn(&mut Story)| {
        let mut story = Story::completed();
        change(&mut story);
        let (file, ledger) = story.tell();
        examine(&file, &ledger.key(), None)
    };
    let name = |story: &mut Story, digest: &str| {
        let named = json!({"id": "hnd_1", "digest": digest});
        story.first(kind::RUN_STARTED).detail.insert("handoff".into(), named);
    };
    let named = found(&|story| {
        name(story, &digest);
        story.documents.insert("handoff", bytes.clone());
    });
    assert_eq!(named.wrong, None);
    assert!(named.proven.iter().any(|proven| proven.contains("5 documents")), "{:?}", named.proven);
    let unnamed = found(&|story| drop(story.documents.insert("handoff", bytes.clone())));
    finds("no entry of the run names it", &told(unnamed));
    finds("which is missing", &told(found(&|story| name(story, &digest))));
}

#[test]
fn of_several_plans_the_last_is_there() {
    let replaced = |last: bool| {
        wrong_story(|story| {
            let mut first = story.told[4].clone();
            let digest = steward_seal::Digest::of(b"{}").to_string();
            first.body.detail.insert("plan".into(), digest.into());
            story.told.insert(if last { 5 } else { 4 }, first);
            story.repackage(|package| package["decisions"][0]["seq"] = "7".into());
        })
    };
    assert_eq!(replaced(false), "");
    finds("it names the plan", &replaced(true));
}

#[test]
fn of_two_writes_of_a_file_the_last_one_counts() {
    // After the first write has settled, another of the same file begins and settles; or they overlap.
    let twice = |overlap: bool, second: &str| {
        wrong_story(|story| {
            let other = WRITE.replace("BYD", "BYE");
            let mut more: Vec<_> = story.told[6..9].to_vec();
            for told in &mut more {
                told.body.subject.clone_from(&other);
                if let Some(decision) = &mut told.body.decision {
                    decision.id = other.parse().unwrap();
                    decision.arguments = decision.arguments.map(|_| steward_seal::Digest::of(second.as_bytes()));
                }
            }
            let at = if overlap { 8 } else { 9 };
            story.told.splice(at..at, more);
        })
    };
    assert_eq!(twice(false, "# A design\n"), "");
    finds("what was written last", &twice(false, "another"));
    assert_eq!(twice(true, "another"), "");
}

#[test]
fn what_a_person_resolved_is_not_held_against_the_entry() {
    let unknown = |error: &str| {
        let error = error.to_owned();
        wrong_story(|story| {
            let settled = story.first(kind::ACTION_SETTLED).outcome.as_mut().unwrap();
            (settled.success, settled.error_type) = (false, Some(error));
            story.repackage(|package| package["artifacts"] = json!([]));
        })
    };
    assert_eq!(unknown("OUTCOME_UNKNOWN"), "");
    finds("its entry says otherwise", &unknown("FETCH_FAILED"));
}

#[test]
fn an_erased_body_is_said_and_stops_where_the_story_needs_it() {
    let erase = |n: usize| {
        let (mut file, ledger) = completed_run();
        (file.entries[n].body, file.entries[n].salt) = (None, None);
        (told(examine(&file, &ledger.key(), None)), examine(&file, &ledger.key(), None).not_proven)
    };
    let (wrong, open) = erase(13);
    assert_eq!(wrong, "");
    assert!(open.iter().any(|open| open.contains("1 of the entries")), "{open:?}");
    finds("was erased", &erase(1).0);
    assert_ne!(erase(0).0, "");
    assert_ne!(erase(12).0, "");
}

#[test]
fn what_may_have_been_left_out_is_said() {
    let mut story = Story::completed();
    // An entry of somebody else in between, which the file does not have.
    let mut other = story.told[3].clone();
    other.body.trace = None;
    story.told.insert(3, other);
    story.repackage(|package| package["decisions"][0]["seq"] = "7".into());
    let (mut file, ledger) = story.tell();
    file.entries.remove(3);
    let found = examine(&file, &ledger.key(), None);
    assert_eq!(found.wrong, None);
    assert!(found.not_proven.iter().any(|open| open.contains("1 of the ledger's entries")), "{:?}", found.not_proven);
}
