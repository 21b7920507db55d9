//! People are told what waits for them: at least once, nothing twice as something new, and nothing that an agent wrote.

use std::{
    fs,
    path::Path,
    task::{Context as TaskContext, Waker},
};

use steward_app_flows::{reviews, runs::Runner};
use steward_app_hooks::{Event, Hook, HookRow, NEWS_FOR_MS, RETRY_AFTER_S, Round, To, deliveries};
use steward_app_node::rows::ReviewFilter;
use steward_app_secrets::Value as Holds;
use steward_fetch::Target;
use steward_ledger::{Body, kind};
use steward_naming::ReviewId;
use steward_permit::{Role, Tier};
use steward_policy::Source;
use steward_seal::secret::Secret;
use steward_testkit::{Known, TestNode};

use crate::{
    code, entries,
    receiver::{Answers, Receiver, SECRET},
};

fn chat(receiver: &Receiver) -> Hook {
    let target = Target::parse(&receiver.at("/hooks/path-that-nobody-sees")).expect("an address");
    let to = To::Web { target, secret: "chat-hook".parse().expect("a label"), inside: false };
    Hook { name: "chat".parse().expect("a label"), to, events: Event::ALL.to_vec() }
}

fn command(script: &str) -> Hook {
    let to = To::Command(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
    Hook { name: "page".parse().expect("a label"), to, events: Event::ALL.to_vec() }
}

/// A node with a hook that began already, an operator, a reviewer, and an architect, whose every write waits for a person.
async fn house(hook: Hook) -> (TestNode, Known, Known) {
    house_with(hook, |_| {}).await
}

async fn house_with(hook: Hook, edit: impl FnOnce(&mut steward_policy::Sources)) -> (TestNode, Known, Known) {
    let name = hook.name.clone();
    let node = TestNode::builder().with(edit).hook(hook).start().await;
    let otto = node.person("otto", &[Role::Operator]).await;
    let rita = node.person("rita", &[Role::Reviewer]).await;
    node.agent("architect", Tier::T4).await;
    let value = Holds::Given(Secret::new(SECRET));
    node.runner().put_secret(&node.admin().await, "chat-hook", &value).await.expect("put");
    assert_eq!(round(&node, name.as_str()).await, Round::default(), "it begins here");
    (node, otto, rita)
}

async fn round(node: &TestNode, name: &str) -> Round {
    node.runner().hooks.round(node.context(), node.runner().keeper(), name).await.expect("a round")
}

fn later(node: &TestNode, ms: u64) {
    node.clock().advance_ms(i64::try_from(ms).expect("not that long"));
}

/// Rounds until there is nothing to do.
async fn rounds(node: &TestNode, name: &str) -> Round {
    let mut all = Round::default();
    loop {
        let one = round(node, name).await;
        if one == Round::default() {
            return all;
        }
        all = Round { queued: all.queued + one.queued, told: all.told + one.told, failed: all.failed + one.failed };
    }
}

async fn asks(node: &TestNode, otto: &Known, path: &str) -> ReviewId {
    let error = node.act(otto, "architect", "fs.write", path, b"what it would write").await.expect_err("it waits");
    error.review.as_deref().cloned().unwrap_or_else(|| panic!("{error}"))
}

async fn reject(node: &TestNode, rita: &Known, id: &ReviewId) {
    reviews::reject(node.runner(), &node.again(rita), id, "not like this").await.expect("a reviewer");
}

fn hook(node: &TestNode, name: &str) -> HookRow {
    let name = name.parse().expect("a label");
    let found = node.context().store.read(|reader| steward_app_hooks::hook(reader, node.namespace(), &name));
    found.expect("it reads").expect("it began")
}

fn waiting(node: &TestNode, name: &str) -> usize {
    let name = name.parse().expect("a label");
    node.context().store.read(|reader| deliveries(reader, node.namespace(), &name, 1_000)).expect("it reads").len()
}

fn bodies(node: &TestNode, kind: &str) -> Vec<Body> {
    entries(node, kind).iter().map(|entry| entry.read_body().expect("a body").expect("it is there")).collect()
}

fn pending(node: &TestNode) -> usize {
    let status = Some(steward_review::Status::Pending);
    let filter = ReviewFilter { status, limit: 1_000, ..ReviewFilter::default() };
    node.context().store.read(|reader| steward_app_node::rows::reviews(reader, &filter)).expect("it reads").len()
}

#[tokio::test]
async fn people_are_told_what_waits_and_what_became_of_it() {
    let receiver = Receiver::new();
    let (node, otto, rita) = house(chat(&receiver)).await;
    let review = asks(&node, &otto, "/plans/takeover.md").await;
    assert_eq!(round(&node, "chat").await, Round { queued: 1, told: 1, failed: 0 });
    let told = receiver.told().remove(0);
    assert_eq!((told.id.as_str(), told.at_s), (format!("{review}_opened").as_str(), node.now().unix_ms() / 1_000));
    let data = &told.body["data"];
    assert_eq!(told.body["type"], "review.opened");
    assert_eq!((&data["review"], &data["status"]), (&review.as_str().into(), &"pending".into()));
    assert_eq!((&data["agent"], &data["action"]), (&"architect.acme.internal".into(), &"fs.write".into()));
    assert_eq!(
        (&data["kind"], &data["tier"], &data["node"]),
        (&"action".into(), &"T4".into(), &"acme.internal".into())
    );
    assert_eq!(data["show"], format!("steward review show {review}"));
    assert!(data["expires_at"].as_str().is_some_and(|at| at > node.now().to_string().as_str()), "{data}");
    // Nothing that an agent wrote, and nothing that is not for a chat.
    for hidden in ["takeover", "what it would write", "whsec_", "otto"] {
        assert!(!told.text.contains(hidden), "{hidden}: {}", told.text);
    }
    assert_eq!(round(&node, "chat").await, Round::default(), "once");

    reject(&node, &rita, &review).await;
    assert_eq!(round(&node, "chat").await.told, 1);
    let told = receiver.told().remove(0);
    assert_eq!((told.id, &told.body["type"]), (format!("{review}_decided"), &"review.decided".into()));
    assert_eq!(told.body["data"]["status"], "rejected");
    assert!(!told.text.contains("not like this"), "{}", told.text);

    // Both, if they come between two rounds.
    let quick = asks(&node, &otto, "/plans/b.md").await;
    reviews::approve(node.runner(), &node.again(&rita), &quick, "good").await.expect("a reviewer");
    assert_eq!(round(&node, "chat").await.told, 2);
    let types: Vec<_> = receiver.told().into_iter().map(|told| told.body["data"]["status"].clone()).collect();
    assert_eq!(types, ["pending", "approved"]);
    // That it is used is no news.
    node.act(&otto, "architect", "fs.write", "/plans/b.md", b"what it would write").await.expect("approved");
    assert_eq!(rounds(&node, "chat").await, Round::default());

    let late = asks(&node, &otto, "/plans/c.md").await;
    let void = asks(&node, &otto, "/plans/d.md").await;
    assert_eq!(rounds(&node, "chat").await.told, 2);
    node.runner().revoke(&node.again(&otto), "architect", "it went astray").await.expect("revoked");
    assert_eq!(rounds(&node, "chat").await.told, 2, "what the revocation voided in its own commit is told, too");
    let ids: Vec<_> = receiver.told().into_iter().map(|told| told.id).collect();
    let voided = |id: &ReviewId| format!("{id}_voided");
    assert!(ids.contains(&voided(&late)) && ids.contains(&voided(&void)), "{ids:?}");
    assert_eq!(pending(&node), 0);

    // Each attempt was decided, and stands in the record with how it ended.
    let (sending, settled) = (bodies(&node, kind::HOOK_SENDING), bodies(&node, kind::HOOK_SETTLED));
    assert_eq!((sending.len(), settled.len()), (8, 8));
    let decision = sending[0].decision.as_ref().expect("it was decided");
    assert_eq!((decision.action.as_str(), decision.resource.id.as_str()), ("hook.deliver", receiver.at("").as_str()));
    assert_eq!(sending[0].detail["secrets"]["chat-hook"], "1", "with which value it was signed");
    assert!(settled.iter().all(|body| body.outcome.as_ref().is_some_and(|outcome| outcome.success)));
    let recorded = serde_json::to_string(&(sending, settled)).expect("JSON");
    assert!(!recorded.contains("path-that-nobody-sees") && !recorded.contains("whsec_"), "paths are secrets, too");
    assert_eq!((hook(&node, "chat").told, waiting(&node, "chat")), (8, 0));
}

#[tokio::test]
async fn an_answer_that_is_late_or_wanted_twice_is_told() {
    let receiver = Receiver::new();
    let two = |sources: &mut steward_policy::Sources| {
        let text = "@id(\"two\")\n@description(\"Two people.\")\nforbid (principal is Node, action == Action::\"review.suffice\", \
                    resource is Review) when { context has review && context.review.approvals < 2 };\n";
        sources.policies.push(Source { name: "two.cedar".to_owned(), text: text.to_owned() });
    };
    let (node, otto, rita) = house_with(chat(&receiver), two).await;
    let rolf = node.person("rolf", &[Role::Reviewer]).await;
    let review = asks(&node, &otto, "/plans/a.md").await;
    let approved = reviews::approve(node.runner(), &node.again(&rita), &review, "good").await.expect("a reviewer");
    let approved = approved.entry_seq;
    rounds(&node, "chat").await;
    reviews::approve(node.runner(), &node.again(&rolf), &review, "good").await.expect("another");
    rounds(&node, "chat").await;
    let late = asks(&node, &otto, "/plans/b.md").await;
    rounds(&node, "chat").await;
    node.clock().advance_ms(8 * 24 * 3600 * 1000);
    steward_app_reviews::end_due(node.context()).await.expect("ended");
    rounds(&node, "chat").await;
    let told: Vec<_> =
        receiver.told().iter().map(|told| (told.id.clone(), told.body["data"]["status"].clone())).collect();
    let expected = [
        (format!("{review}_opened"), "pending".into()),
        (format!("{review}_needs_another_{approved}"), "pending".into()),
        (format!("{review}_decided"), "approved".into()),
        (format!("{late}_opened"), "pending".into()),
        // What was approved and not used in time, too.
        (format!("{review}_expired"), "expired".into()),
        (format!("{late}_expired"), "expired".into()),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn who_does_not_take_it_is_told_again_under_the_same_id() {
    let (receiver, trap) = (Receiver::new(), Receiver::new());
    let (node, otto, _) = house(chat(&receiver)).await;
    receiver.answers([Answers::Status(500), Answers::Redirect(trap.port()), Answers::Closes, Answers::Status(404)]);
    let review = asks(&node, &otto, "/plans/a.md").await;
    let mut seconds = Vec::new();
    for (attempt, why) in ["answered 500", "answered 307", "whole answer", "answered 404"].into_iter().enumerate() {
        let told = round(&node, "chat").await;
        assert_eq!((told.told, told.failed), (0, 1), "{why}");
        assert_eq!(round(&node, "chat").await, Round::default(), "not before its time");
        later(&node, RETRY_AFTER_S[attempt] * 1_000 - 1);
        assert_eq!(round(&node, "chat").await, Round::default(), "not a moment before its time");
        let row = hook(&node, "chat");
        assert!(row.why.as_deref().is_some_and(|said| said.contains(why)), "{why}: {row:?}");
        assert!(row.failing_since.is_some() && waiting(&node, "chat") == 1);
        node.clock().advance_ms(1);
        let told = receiver.told();
        assert_eq!((told.len(), told[0].id.as_str()), (1, format!("{review}_opened").as_str()));
        seconds.push(told[0].at_s);
    }
    assert_eq!(round(&node, "chat").await.told, 1);
    seconds.push(receiver.told().remove(0).at_s);
    assert!(seconds.is_sorted_by(|before, after| before < after), "each is signed when it is sent: {seconds:?}");
    let row = hook(&node, "chat");
    assert_eq!((row.failing_since, row.why, row.told, row.gave_up), (None, None, 1, 0));
    assert_eq!(waiting(&node, "chat"), 0);
    assert!(trap.told().is_empty(), "a redirect is not followed");
}

#[tokio::test]
async fn what_nobody_takes_is_given_up_and_on_record() {
    let receiver = Receiver::new();
    let (node, otto, _) = house(chat(&receiver)).await;
    receiver.answers([Answers::Status(503); RETRY_AFTER_S.len() + 1]);
    asks(&node, &otto, "/plans/a.md").await;
    for after_s in RETRY_AFTER_S.into_iter().chain([0]) {
        assert_eq!(round(&node, "chat").await.failed, 1);
        later(&node, after_s * 1_000);
    }
    assert_eq!(receiver.told().len(), RETRY_AFTER_S.len() + 1);
    let row = hook(&node, "chat");
    assert_eq!((row.gave_up, row.told, waiting(&node, "chat")), (1, 0, 0));
    assert!(row.gave_up_at.is_some() && row.failing_since.is_some());
    let last = bodies(&node, kind::HOOK_SETTLED).pop().expect("on record");
    assert_eq!((&last.detail["gave_up"], &last.detail["attempt"]), (&true.into(), &9.into()));
    assert_eq!(last.outcome.expect("it ended").error_type.as_deref(), Some("HOOK_FAILED"));
    // The next is told, and who says that they are gone is believed.
    asks(&node, &otto, "/plans/b.md").await;
    assert_eq!(round(&node, "chat").await.told, 1);
    receiver.answers([Answers::Status(410)]);
    asks(&node, &otto, "/plans/c.md").await;
    assert_eq!(rounds(&node, "chat").await, Round { queued: 1, told: 0, failed: 1 });
    assert_eq!((hook(&node, "chat").gave_up, waiting(&node, "chat")), (2, 0));
}

#[tokio::test]
async fn one_that_is_refused_does_not_keep_the_others() {
    let receiver = Receiver::new();
    let (node, otto, _) = house(chat(&receiver)).await;
    let first = asks(&node, &otto, "/plans/0.md").await;
    for n in 1..8 {
        asks(&node, &otto, &format!("/plans/{n}.md")).await;
    }
    receiver.answers([Answers::Status(400)]);
    // Who does not answer is not asked again in the same round.
    assert_eq!(round(&node, "chat").await, Round { queued: 8, told: 0, failed: 1 });
    assert_eq!(receiver.told().remove(0).id, format!("{first}_opened"), "the oldest first");
    assert_eq!(rounds(&node, "chat").await, Round { queued: 0, told: 7, failed: 0 });
    receiver.told();
    later(&node, RETRY_AFTER_S[0] * 1_000);
    assert_eq!(rounds(&node, "chat").await, Round { queued: 0, told: 1, failed: 0 });
    assert_eq!(receiver.told()[0].id, format!("{first}_opened"));
}

#[tokio::test]
async fn a_command_that_says_a_secret_is_heard_without_it() {
    let (node, otto, _) = house(command(&format!("echo \"boom {SECRET}\" >&2; exit 3"))).await;
    asks(&node, &otto, "/plans/a.md").await;
    assert_eq!(round(&node, "page").await.failed, 1);
    assert!(hook(&node, "page").why.is_some_and(|why| why.contains("boom [secret]")));
    let admin = node.admin().await;
    let tested = node.runner().hooks.test(node.context(), node.runner().keeper(), &admin, "page").await.expect("tried");
    assert!(tested.why.is_some_and(|why| why.contains("boom [secret]") && !why.contains("whsec_")));
    for body in bodies(&node, kind::HOOK_SETTLED) {
        assert!(!serde_json::to_string(&body).expect("JSON").contains("whsec_"), "{body:?}");
    }
}

#[tokio::test]
async fn a_node_that_dies_loses_nothing_and_tells_nothing_anew() {
    let receiver = Receiver::new();
    let (mut node, otto, rita) = house(chat(&receiver)).await;
    let told = asks(&node, &otto, "/plans/a.md").await;
    assert_eq!(round(&node, "chat").await.told, 1);
    let unseen = asks(&node, &otto, "/plans/b.md").await;
    node.kill();
    node.revive().await.expect("it starts");
    assert_eq!(rounds(&node, "chat").await, Round { queued: 1, told: 1, failed: 0 });
    let ids: Vec<_> = receiver.told().into_iter().map(|told| told.id).collect();
    assert_eq!(ids, [format!("{told}_opened"), format!("{unseen}_opened")]);

    // Told, and the node dies before that is on record.
    reject(&node, &rita, &told).await;
    let (hooks, keeper) = (&node.runner().hooks, node.runner().keeper());
    {
        let mut tells = std::pin::pin!(hooks.round(node.context(), keeper, "chat"));
        let before = entries(&node, kind::HOOK_SENDING).len();
        while entries(&node, kind::HOOK_SENDING).len() == before {
            assert!(tells.as_mut().poll(&mut TaskContext::from_waker(Waker::noop())).is_pending());
            tokio::task::yield_now().await;
        }
        // It is on its way, and nobody waits for it any more.
    }
    assert_eq!(waiting(&node, "chat"), 1, "it is not settled");
    node.kill();
    node.revive().await.expect("it starts");
    assert_eq!(rounds(&node, "chat").await, Round::default(), "it has its time");
    later(&node, RETRY_AFTER_S[0] * 1_000);
    assert_eq!(rounds(&node, "chat").await, Round { queued: 0, told: 1, failed: 0 });
    let ids: Vec<_> = receiver.told().into_iter().map(|told| told.id).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == format!("{told}_decided")), "{ids:?}");
    assert_eq!(waiting(&node, "chat"), 0);
}

#[tokio::test]
async fn a_hook_that_was_away_tells_what_still_waits_and_no_old_news() {
    let receiver = Receiver::new();
    let (mut node, otto, rita) = house(chat(&receiver)).await;
    node.tell(Vec::new());
    node.restart().await;
    assert_eq!(code(node.runner().hooks.round(node.context(), node.runner().keeper(), "chat").await), "NOT_FOUND");
    let decided = asks(&node, &otto, "/plans/a.md").await;
    reject(&node, &rita, &decided).await;
    let waits = asks(&node, &otto, "/plans/b.md").await;
    later(&node, NEWS_FOR_MS + 1);
    node.tell(vec![chat(&receiver)]);
    node.restart().await;
    assert_eq!(rounds(&node, "chat").await, Round { queued: 1, told: 1, failed: 0 });
    assert_eq!(receiver.told()[0].id, format!("{waits}_opened"));
}

#[tokio::test]
async fn many_at_once_are_each_told_once() {
    let receiver = Receiver::new();
    let (node, otto, _) = house(chat(&receiver)).await;
    node.agent("architect-2", Tier::T4).await;
    let mut expected = Vec::new();
    for n in 0..25 {
        for agent in ["architect", "architect-2"] {
            let path = format!("/plans/{n}.md");
            let waits = node.act(&otto, agent, "fs.write", &path, b"x").await.expect_err("it waits");
            expected.push(format!("{}_opened", waits.review.expect("a review")));
        }
    }
    assert_eq!(rounds(&node, "chat").await, Round { queued: 50, told: 50, failed: 0 });
    let told: Vec<_> = receiver.told().into_iter().map(|told| told.id).collect();
    assert_eq!(told, expected, "in order");
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let receiver = Receiver::new();
    let (node, otto, rita) = house(Hook { events: vec![Event::Decided], ..chat(&receiver) }).await;
    let review = asks(&node, &otto, "/plans/a.md").await;
    assert_eq!(rounds(&node, "chat").await, Round::default());
    let before = crate::size(&node);
    assert_eq!(
        (round(&node, "chat").await, crate::size(&node)),
        (Round::default(), before),
        "what is no news costs no entry"
    );
    reject(&node, &rita, &review).await;
    assert_eq!(rounds(&node, "chat").await.told, 1);
    assert_eq!(receiver.told()[0].body["type"], "review.decided");
}

#[tokio::test]
async fn without_its_secret_it_waits_and_says_so() {
    let receiver = Receiver::new();
    let (node, otto, _) = house(chat(&receiver)).await;
    let (runner, admin) = (node.runner(), node.admin().await);
    let why = async |node: &TestNode| {
        assert_eq!(round(node, "chat").await.failed, 1);
        later(node, RETRY_AFTER_S[7] * 1_000);
        hook(node, "chat").why.expect("it failed")
    };
    runner.rotate_secret(&admin, "chat-hook", &Holds::Given(Secret::new("hunter2hunter2"))).await.expect("rotated");
    asks(&node, &otto, "/plans/a.md").await;
    let said = why(&node).await;
    assert!(said.contains("whsec_") && said.contains("chat-hook") && !said.contains("hunter2"), "{said}");
    runner.revoke_secret(&admin, "chat-hook", "it leaked").await.expect("revoked");
    assert!(why(&node).await.contains("chat-hook"));
    assert!(receiver.told().is_empty(), "unsigned, nothing is sent");
    runner.put_secret(&admin, "chat-hook", &Holds::Given(Secret::new(SECRET))).await.expect("put");
    assert_eq!(rounds(&node, "chat").await.told, 1);
}

#[tokio::test]
async fn policy_decides_who_is_told() {
    let receiver = Receiver::new();
    let (node, otto, _) = house(chat(&receiver)).await;
    node.edit_policies(|sources| {
        let text = "@id(\"quiet\")\n@description(\"Nobody outside is told.\")\nforbid (principal is Node, action == \
                    Action::\"hook.deliver\", resource is Host);\n";
        sources.policies.push(Source { name: "quiet.cedar".to_owned(), text: text.to_owned() });
    });
    let mut tended = steward_app_flows::Tended::default();
    steward_app_flows::tend(node.runner(), &node.home().policies(), &mut tended).await.expect("a round");
    asks(&node, &otto, "/plans/a.md").await;
    assert_eq!(rounds(&node, "chat").await, Round { queued: 1, told: 0, failed: 1 });
    assert!(receiver.told().is_empty());
    let settled = bodies(&node, kind::HOOK_SETTLED).pop().expect("on record");
    assert_eq!(settled.outcome.expect("it ended").error_type.as_deref(), Some("FORBIDDEN"));
    assert_eq!((hook(&node, "chat").gave_up, waiting(&node, "chat")), (1, 0));
}

#[tokio::test]
async fn a_command_is_told_on_its_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = folder.path().join("said");
    let script = format!("test -e '{0}.ready' || {{ echo 'no pager' >&2; exit 7; }}; cat >> '{0}'", said.display());
    let (node, otto, _) = house(command(&script)).await;
    let review = asks(&node, &otto, "/plans/secret-name.md").await;
    assert_eq!(rounds(&node, "page").await, Round { queued: 1, told: 0, failed: 1 });
    assert_eq!(hook(&node, "page").why.as_deref(), Some("`/bin/sh` ended with 7: no pager"));
    fs::write(Path::new(&format!("{}.ready", said.display())), "").expect("written");
    later(&node, RETRY_AFTER_S[0] * 1_000);
    assert_eq!(rounds(&node, "page").await, Round { queued: 0, told: 1, failed: 0 });
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(&said).expect("it wrote")).expect("JSON");
    assert_eq!((&told["type"], &told["data"]["review"]), (&"review.opened".into(), &review.as_str().into()));
    assert!(!told.to_string().contains("secret-name"));
    let sending = bodies(&node, kind::HOOK_SENDING);
    let decision = sending[0].decision.as_ref().expect("it was decided");
    assert_eq!((decision.action.as_str(), decision.resource.id.as_str()), ("hook.deliver", "/bin/sh"));
}

#[tokio::test]
async fn an_administrator_tries_a_hook_and_nobody_else() {
    let receiver = Receiver::new();
    let (node, otto, _) = house(chat(&receiver)).await;
    let admin = node.admin().await;
    let tries =
        async |runner: &Runner, caller| runner.hooks.test(node.context(), runner.keeper(), caller, "chat").await;
    let tested = tries(node.runner(), &admin).await.expect("an administrator");
    assert_eq!((tested.status, tested.why), (Some(204), None));
    let told = receiver.told().remove(0);
    assert_eq!((told.id, &told.body["type"]), (tested.id, &"hook.test".into()));
    receiver.answers([Answers::Status(401)]);
    let tested = tries(node.runner(), &admin).await.expect("an administrator");
    assert_eq!(tested.status, Some(401));
    assert!(tested.why.is_some_and(|why| why.contains("answered 401")));
    assert_eq!(receiver.told().len(), 1, "a test is not repeated");
    assert_eq!(code(tries(node.runner(), &node.again(&otto)).await), "NOT_PERMITTED");
    assert!(receiver.told().is_empty());
    let sending = bodies(&node, kind::HOOK_SENDING);
    assert_eq!((sending.len(), sending[0].actor.kind.as_str()), (2, "person"));
    assert_eq!(hook(&node, "chat").why, None, "a test says nothing of what the hook is to be told");
}
