//! What a review lets happen, and what not.

use std::collections::BTreeSet;

use proptest::prelude::*;
use steward_clock::{Dice, Timestamp};
use steward_naming::{ActionId, ReviewId};
use steward_permit::{Action, ActionName, Resource, ResourceKind, ReviewKind, Tier};
use steward_seal::Digest;

use crate::{Asked, Asks, Refusal, Review, Status, Step};

struct Fixed;

impl Dice for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_ms(1_700_000_000_000).plus_ms(ms)
}

fn action(path: &str) -> Action {
    let name = ActionName::parse("fs.write").expect("an action");
    let resource = Resource::new(ResourceKind::File, path).expect("a resource");
    Action::new("acme.internal".parse().expect("a namespace"), name, resource).with_arguments(Digest::of(b"text"))
}

fn policy() -> Digest {
    Digest::of(b"the policy")
}

fn by() -> ActionId {
    ActionId::new(at(0), &Fixed)
}

fn review() -> Review {
    let asks = Asks {
        id: ReviewId::new(at(0), &Fixed),
        kind: ReviewKind::Action,
        asker: "scribe.acme.internal".to_owned(),
        chain: BTreeSet::from(["olivia@acme.internal".to_owned()]),
        asked: Asked::from(&action("/a")),
        policy: policy(),
        tier: Tier::T4,
        run: None,
        agent: Some("scribe.acme.internal".to_owned()),
        why: "because".to_owned(),
        document: None,
        before: None,
        lifetime_ms: 1_000,
    };
    Review::open(asks, at(0))
}

fn approve(by: &str, enough: bool) -> Step {
    Step::Approve { by: by.to_owned(), own: false, enough, reason: "it is good".to_owned() }
}

fn reject() -> Step {
    Step::Reject { by: "rita@acme.internal".to_owned(), reason: "no".to_owned() }
}

fn uses() -> Step {
    Step::Use { digest: action("/a").digest(), policy: policy(), action: by() }
}

#[test]
fn an_approval_is_used_once_and_by_what_it_was_asked_for() {
    let approved = review().step(approve("rita@acme.internal", true), at(1)).expect("it waits");
    assert_eq!(approved.status, Status::Approved);
    let other = Step::Use { digest: action("/b").digest(), policy: policy(), action: by() };
    assert!(matches!(approved.step(other, at(2)), Err(Refusal::OtherAction(_))));
    let later = Step::Use { digest: action("/a").digest(), policy: Digest::of(b"another"), action: by() };
    assert!(matches!(approved.step(later, at(2)), Err(Refusal::OtherPolicy(_))));
    let used = approved.step(uses(), at(2)).expect("what was asked for");
    assert_eq!(used.step(uses(), at(3)), Err(Refusal::Over { id: used.id.clone(), status: Status::Used }));
    assert!(used.allows(&action("/a").digest(), &policy(), &by(), at(9_999)), "what began is finished");
    let another = ActionId::new(at(5), &Fixed);
    assert!(!used.allows(&action("/a").digest(), &policy(), &another, at(3)));
}

#[test]
fn nothing_is_used_before_it_is_approved_or_after_its_time() {
    assert!(matches!(review().step(uses(), at(1)), Err(Refusal::NotApproved(_))));
    let approved = review().step(approve("rita@acme.internal", true), at(1)).expect("it waits");
    assert!(matches!(approved.step(uses(), at(1_000)), Err(Refusal::Expired(_))));
    assert!(!approved.allows(&action("/a").digest(), &policy(), &by(), at(1_000)));
    assert_eq!(approved.step(Step::Expire, at(1_000)).expect("it is time").status, Status::Expired);
    assert!(matches!(approved.step(Step::Expire, at(999)), Err(Refusal::NotExpired(_))));
    assert!(matches!(review().step(approve("rita@acme.internal", true), at(1_000)), Err(Refusal::Expired(_))));
}

#[test]
fn two_people_are_two_people() {
    let one = review().step(approve("rita@acme.internal", false), at(1)).expect("it waits");
    assert_eq!((one.status, one.approvals()), (Status::Pending, 1));
    assert!(matches!(one.step(approve("rita@acme.internal", true), at(2)), Err(Refusal::Twice { .. })));
    let two = one.step(approve("rolf@acme.internal", true), at(2)).expect("another person");
    assert_eq!((two.status, two.approvals()), (Status::Approved, 2));
    assert_eq!(one.step(reject(), at(2)).expect("changed their mind").status, Status::Rejected);
}

#[test]
fn a_decision_has_a_reason() {
    for reason in ["", "  ", "a\nb", &"x".repeat(1_001)] {
        let no = Step::Reject { by: "rita@acme.internal".to_owned(), reason: reason.to_owned() };
        assert_eq!(review().step(no, at(1)), Err(Refusal::NoReason), "{reason:?}");
    }
}

#[test]
fn who_asks_stands_in_the_chain() {
    assert!(review().is_of("scribe.acme.internal") && review().is_of("olivia@acme.internal"));
    assert!(!review().is_of("rita@acme.internal"));
}

/// The stored form: what an older node wrote, a newer one must read.
#[test]
fn its_form_is_frozen() {
    let used = review().step(approve("rita@acme.internal", true), at(1)).and_then(|r| r.step(uses(), at(2)));
    let text = serde_json::to_value(used.expect("it was approved")).expect("JSON");
    let expected = serde_json::json!({
        "id": "rvw_01HF7YAT000W3GE1R70W3GE1R7", "kind": "action", "status": "used", "asker": "scribe.acme.internal",
        "chain": ["olivia@acme.internal", "scribe.acme.internal"],
        "asked": {"action": "fs.write", "kind": "file", "resource": "/a", "arguments": Digest::of(b"text"), "digest": action("/a").digest()},
        "policy": policy(), "tier": "T4", "agent": "scribe.acme.internal", "why": "because",
        "opened_at": "2023-11-14T22:13:20.000Z", "expires_at": "2023-11-14T22:13:21.000Z",
        "decisions": [{"by": "rita@acme.internal", "approves": true, "reason": "it is good", "at": "2023-11-14T22:13:20.001Z"}],
        "used_by": "act_01HF7YAT000W3GE1R70W3GE1R7",
    });
    assert_eq!(text, expected);
    let read: Review = serde_json::from_value(text).expect("its own form");
    assert_eq!(read.status, Status::Used);
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3u8, any::<bool>()).prop_map(|(who, enough)| approve(&format!("p{who}@acme.internal"), enough)),
        Just(reject()),
        Just(uses()),
        Just(Step::Use { digest: action("/b").digest(), policy: policy(), action: by() }),
        Just(Step::Expire),
        Just(Step::Void { why: "gone".to_owned() }),
    ]
}

proptest! {
    /// Whatever is said in whatever order: it is used only after somebody approved, once, in time; and what is over stays so.
    #[test]
    fn no_order_of_steps_gets_round_a_person(steps in proptest::collection::vec((any_step(), 0..300u64), 0..20)) {
        let (mut review, mut now, mut uses) = (review(), 0, 0);
        for (step, later) in steps {
            now += later;
            let was = review.clone();
            if let Ok(after) = review.step(step.clone(), at(now)) {
                prop_assert!(was.is_open(), "{was:?} is over");
                if after.status == Status::Used {
                    uses += 1;
                    prop_assert!(was.status == Status::Approved && was.approvals() > 0 && now < 1_000);
                    prop_assert!(was.decisions.iter().all(|decision| decision.approves));
                }
                review = after;
            }
        }
        prop_assert!(uses <= 1);
    }
}
