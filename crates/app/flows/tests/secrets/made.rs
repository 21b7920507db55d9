//! Secrets that are made for each lease: made when a run first needs one, and ended however its lease came to its end.

use std::sync::{Arc, Mutex};

use serde_json::json;
use steward_app_flows::runs::Asking;
use steward_app_models::NewModel;
use steward_app_secrets::{
    self as secrets, FAILURES_BEFORE_ALERT, MadeRow, MadeState, REST_AFTER_FAILURE_S, RoundEnded, UNCERTAIN_FOR_S,
    Value as Holds,
};
use steward_ledger::kind;
use steward_permit::{Role, Tier};
use steward_seal::secret::Secret;
use steward_testkit::{Known, TestNode};

use crate::{
    common::{MINUTE, ask, end, ends, entries, leases, model_with, planned, planning, put, refused, run},
    maker::Maker,
    provider::{Provider, Reply, said},
};

/// The keys with which a provider was asked.
#[derive(Clone, Default)]
pub(crate) struct Keys(Arc<Mutex<Vec<String>>>);

impl Keys {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().expect("no holder of this lock panics").clone()
    }
}

/// A provider that answers, and the keys with which it was asked.
pub(crate) async fn provider() -> (Provider, Keys) {
    let keys = Keys::default();
    let seen = keys.clone();
    let provider = Provider::start(move |_, _, headers| {
        let key = headers["authorization"].to_str().expect("text").trim_start_matches("Bearer ").to_owned();
        seen.0.lock().expect("no holder of this lock panics").push(key);
        Reply::Json(200, said("hello", 10, 5))
    })
    .await;
    (provider, keys)
}

/// A node with an operator, the agents `reader` and `other`, and the secret `db` that the generator makes, which is the key of the model `fast`.
async fn house(maker: &Maker) -> (TestNode, Known, Keys) {
    house_with(maker.generator()).await
}

async fn house_with(generator: steward_app_secrets::Generator) -> (TestNode, Known, Keys) {
    let node = TestNode::builder().generator(generator).start().await;
    let olivia = node.person("olivia", &[Role::Operator]).await;
    node.agent("reader", Tier::T1).await;
    node.agent("other", Tier::T1).await;
    put(&node, "maker", "the-makers-own-key").await;
    put_made(&node, "db").await;
    let (provider, keys) = provider().await;
    model_with(&node, &provider, "db").await;
    (node, olivia, keys)
}

async fn put_made(node: &TestNode, name: &str) {
    let by = Holds::MadeBy("roles".parse().expect("a label"));
    node.runner().put_secret(&node.admin().await, name, &by).await.expect("put");
}

fn made(node: &TestNode) -> Vec<MadeRow> {
    node.context().store.read(|reader| secrets::not_ended(reader, node.namespace())).expect("it reads")
}

async fn round(node: &TestNode) -> RoundEnded {
    node.runner().end_made("roles").await.expect("a round")
}

fn later(node: &TestNode, s: u64) {
    node.clock().advance_ms(i64::try_from(s * 1_000).expect("not that long"));
}

/// One round, after which nothing is left.
async fn nothing_is_left(node: &TestNode, maker: &Maker, when: &str) {
    round(node).await;
    assert_eq!(maker.living(), [] as [String; 0], "{when}: it lives");
    assert_eq!(made(node), [], "{when}: it is on record as living");
}

#[tokio::test]
async fn a_run_has_a_value_of_its_own_which_is_ended_with_it() {
    let maker = Maker::new();
    let (node, olivia, keys) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    assert_eq!(maker.told().len(), 0, "it needed none yet");
    ask(&node, &id).await.expect("an answer");
    ask(&node, &id).await.expect("an answer");
    let living = maker.living();
    assert_eq!(keys.all(), [living[0].clone(), living[0].clone()], "one value, for both");
    let lease = leases(&node, &id).pop().expect("one");
    let row = made(&node).pop().expect("one");
    assert_eq!((row.state, &row.lease, row.expires_at), (MadeState::Made, &lease.id, lease.expires_at));
    assert_eq!(row.maker_id.as_deref(), Some(format!("role-{}", lease.id).as_str()));
    let told = maker.told().remove(0);
    assert_eq!(
        told,
        json!({"do": "make", "secret": "db", "lease": lease.id.as_str(), "run": id.as_str(), "agent": "reader.acme.internal", "seconds": 1800})
    );
    // The journal comes before the program; the lease and what was made are one commit.
    let making = entries(&node, kind::SECRET_MAKING).pop().expect("one");
    assert_eq!(making.decision.as_ref().map(|decision| decision.action.as_str()), Some("secret.make"));
    assert_eq!((&making.detail["generator"], &making.detail["secrets"]["maker"]), (&"roles".into(), &"1".into()));
    let leased = entries(&node, kind::SECRET_LEASED).pop().expect("one");
    assert_eq!(leased.detail["made_by"], "roles");
    assert_eq!(row.entry_seq, lease.entry_seq);
    assert_eq!(making.trace.as_ref(), Some(&node.run(&id).trace), "it is found with the run");
    assert_eq!(round(&node).await, RoundEnded::default(), "nothing is over");

    // Another run has another.
    let (other, theirs) = run(&node, &olivia, "other").await;
    ask(&node, &other).await.expect("an answer");
    assert_eq!(maker.living().len(), 2);
    assert_ne!(keys.all()[2], keys.all()[0]);
    end(&node, &other, &theirs).await;
    assert_eq!(round(&node).await, RoundEnded { ended: 1, failed: 0 });
    assert_eq!(maker.living(), living, "that of the other run only");

    end(&node, &id, &agent).await;
    nothing_is_left(&node, &maker, "both are over").await;
    let told = maker.told().pop().expect("it was told");
    assert_eq!(
        told,
        json!({"do": "end", "secret": "db", "lease": lease.id.as_str(), "id": format!("role-{}", lease.id)})
    );
    let (ending, ended) = (entries(&node, kind::SECRET_ENDING), entries(&node, kind::SECRET_ENDED));
    assert_eq!((ending.len(), ended.len()), (2, 2));
    assert_eq!(ending[0].decision.as_ref().map(|decision| decision.action.as_str()), Some("secret.end"));
    assert!(ended.iter().all(|body| body.outcome.as_ref().is_some_and(|outcome| outcome.success)));
}

#[tokio::test]
async fn however_it_comes_to_its_end() {
    for how in [
        "completed",
        "failed",
        "stopped",
        "revoked",
        "errors",
        "silent",
        "halted",
        "lease",
        "secret",
        "rotated",
        "lapsed",
        "stop of the node",
        "death of the node",
    ] {
        let maker = Maker::new();
        let (mut node, olivia, keys) = house(&maker).await;
        let (id, mut agent) = run(&node, &olivia, "reader").await;
        ask(&node, &id).await.expect("an answer");
        let lease = leases(&node, &id).pop().expect("one");
        assert_eq!(maker.living().len(), 1, "{how}");
        later(&node, 1);
        let admin = node.admin().await;
        let mut goes_on = false;
        match how {
            "completed" => _ = agent.call("finish", json!({})).await,
            "failed" => agent.exit(1),
            "stopped" => _ = node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped"),
            "revoked" => _ = node.runner().revoke(&admin, "reader", "it strays").await.expect("revoked"),
            "errors" => {
                for n in 0..51 {
                    agent.call("report_problem", json!({"message": format!("{n} went wrong")})).await;
                    if !node.run(&id).is_live() {
                        break;
                    }
                }
            }
            "silent" => {
                node.clock().advance_ms(31 * MINUTE);
                node.runner().look_after().await.expect("looked after");
            }
            "halted" => _ = node.runner().halt(&node.again(&olivia), "smoke").await.expect("halted"),
            "lease" => {
                secrets::revoke_lease(node.context(), &admin, &lease.id, "enough").await.expect("revoked");
                goes_on = true;
            }
            "secret" => {
                node.runner().revoke_secret(&admin, "db", "it leaked").await.expect("revoked");
                goes_on = true;
            }
            "rotated" => {
                node.runner().rotate_secret(&admin, "db", &Holds::Again).await.expect("rotated");
                goes_on = true;
            }
            "lapsed" => {
                for _ in 0..4 {
                    node.clock().advance_ms(8 * MINUTE);
                    node.runner().look_after().await.expect("looked after");
                    let wrote = agent.call("fs.write", json!({"path": "/reports/a.md", "content": "alive"})).await;
                    assert_eq!(wrote["ok"], true, "{wrote}");
                }
                goes_on = true;
            }
            "stop of the node" => {
                node.stop().await;
                assert_eq!(maker.living(), [] as [String; 0], "it is ended before the node is gone");
                node.revive().await.expect("it starts");
            }
            _ => {
                node.kill();
                node.revive().await.expect("it starts");
            }
        }
        if !goes_on {
            agent.exit(0);
            node.ended(&id).await;
        }
        nothing_is_left(&node, &maker, how).await;
        if goes_on {
            let asked = ask(&node, &id).await.map(|_| ()).map_err(|error| error.code);
            let (expected, over) = match how {
                "lease" => (Err("LEASE_REVOKED"), vec![Some("person")]),
                "secret" => (Err("SECRET_REVOKED"), vec![Some("secret")]),
                "rotated" => (Ok(()), vec![Some("replaced"), None]),
                _ => (Ok(()), vec![Some("lapsed"), None]),
            };
            assert_eq!((asked, ends(&node, &id)), (expected, over), "{how}");
            assert_eq!(maker.living().len(), usize::from(asked.is_ok()), "{how}: another is made where one may be");
            if asked.is_ok() {
                assert_ne!(keys.all()[0], keys.all()[1], "{how}");
            }
            end(&node, &id, &agent).await;
            nothing_is_left(&node, &maker, how).await;
        }
        assert_eq!(maker.count("make"), maker.ever().len());
    }
}

#[tokio::test]
async fn what_was_made_is_not_renewed_and_what_nobody_has_is_not_used() {
    let maker = Maker::new();
    let (node, olivia, keys) = house(&maker).await;
    let (id, mut agent) = planning(&node, &olivia, "reader").await;
    ask(&node, &id).await.expect("an answer");
    let issued = leases(&node, &id)[0].clone();
    node.clock().advance_ms(5 * MINUTE);
    planned(&mut agent).await;
    assert_eq!(leases(&node, &id)[0].expires_at, issued.expires_at, "it was made for no longer");
    // As after a restart: the value was in memory only.
    node.runner().keeper().end_made(issued.id.as_str());
    ask(&node, &id).await.expect("an answer");
    assert_eq!(ends(&node, &id), [Some("lapsed"), None]);
    assert_eq!(maker.living().len(), 2);
    assert_eq!(round(&node).await.ended, 1);
    assert_eq!(maker.living(), [keys.all()[1].clone()]);
    end(&node, &id, &agent).await;
    nothing_is_left(&node, &maker, "it is over").await;
}

#[tokio::test]
async fn two_calls_at_once_have_one_made() {
    let maker = Maker::new();
    let (node, olivia, keys) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    let (one, two, three) = tokio::join!(ask(&node, &id), ask(&node, &id), ask(&node, &id));
    assert!(one.is_ok() && two.is_ok() && three.is_ok(), "{one:?} {two:?} {three:?}");
    assert_eq!((maker.count("make"), maker.living().len()), (1, 1));
    assert_eq!(keys.all().len(), 3);
    end(&node, &id, &agent).await;
    nothing_is_left(&node, &maker, "it is over").await;
}

#[tokio::test]
async fn a_run_that_ends_while_its_secret_is_made_does_not_wait_and_leaves_nothing() {
    let maker = Maker::new();
    maker.first("if [ $does = make ]; then touch $folder/begun; while [ ! -e $folder/go ]; do sleep 0.02; done; fi");
    let (node, olivia, keys) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    let asked = async {
        let asked = ask(&node, &id).await;
        asked.expect_err("it was stopped")
    };
    let stopped = async {
        while !maker.has("begun") {
            tokio::task::yield_now().await;
        }
        assert_eq!(round(&node).await, RoundEnded::default(), "what is being made is not ended meanwhile");
        node.runner().stop(&node.again(&olivia), &id, "enough").await.expect("stopped");
        agent.exit(0);
        node.ended(&id).await;
        assert!(!node.run(&id).is_live(), "and its generator still waits");
        maker.go();
    };
    let (error, ()) = tokio::join!(asked, stopped);
    assert!(["RUN_OVER", "STALE", "LOCK_LOST"].contains(&error.code), "{error:?}");
    assert_eq!((keys.all().len(), leases(&node, &id).len()), (0, 0));
    maker.mend();
    // What it was making is ended, and once more when nothing can be at work any more.
    assert_eq!(round(&node).await.ended, 1);
    assert_eq!((maker.living(), made(&node).len()), (Vec::new(), 1), "as of a process that died");
    later(&node, UNCERTAIN_FOR_S);
    nothing_is_left(&node, &maker, "it is over").await;
}

#[tokio::test]
async fn a_slow_generator_keeps_nobody_else_waiting() {
    let maker = Maker::new();
    maker.first("if [ $does = make ]; then touch $folder/begun; while [ ! -e $folder/go ]; do sleep 0.02; done; fi");
    let (node, olivia, keys) = house(&maker).await;
    let (provider, plain) = provider().await;
    let model = NewModel {
        name: "plain".to_owned(),
        wire: "openai".to_owned(),
        url: provider.url.clone(),
        secret: Some("maker".to_owned()),
        ..NewModel::default()
    };
    steward_app_models::add(node.context(), &node.admin().await, &model).await.expect("added");
    let (one, reader) = run(&node, &olivia, "reader").await;
    let (two, other) = run(&node, &olivia, "other").await;
    let meanwhile = async {
        while !maker.has("begun") {
            tokio::task::yield_now().await;
        }
        let question = json!({"model": "plain", "messages": [{"role": "user", "content": "hi"}]});
        node.runner().chat(Asking::Run(two.clone(), None), question).await.expect("an answer");
        assert_eq!(
            (keys.all().len(), plain.all()),
            (0, vec!["the-makers-own-key".to_owned()]),
            "the other waits still"
        );
        maker.go();
    };
    let (asked, ()) = tokio::join!(ask(&node, &one), meanwhile);
    asked.expect("an answer");
    end(&node, &one, &reader).await;
    end(&node, &two, &other).await;
    nothing_is_left(&node, &maker, "both are over").await;
}

#[tokio::test]
async fn a_node_that_stops_ends_what_was_being_made() {
    let maker = Maker::new();
    maker.first("if [ $does = make ]; then touch $folder/begun; while [ ! -e $folder/go ]; do sleep 0.02; done; fi");
    let (mut node, olivia, _) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    let runner = std::sync::Arc::clone(node.runner());
    let question = json!({"model": "fast", "messages": [{"role": "user", "content": "hi"}]});
    let asked = tokio::spawn(async move { runner.chat(Asking::Run(id, None), question).await });
    while !maker.has("begun") {
        tokio::task::yield_now().await;
    }
    agent.exit(0);
    let goes_on = async {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        maker.go();
    };
    tokio::join!(node.stop(), goes_on);
    assert!(asked.await.expect("it ended").is_err());
    while maker.ever().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(maker.living(), [] as [String; 0]);
    node.revive().await.expect("it starts");
    later(&node, UNCERTAIN_FOR_S);
    nothing_is_left(&node, &maker, "it is over").await;
}

#[tokio::test]
async fn whoever_gives_up_waiting_leaves_nothing_half_made() {
    let maker = Maker::new();
    maker.first("if [ $does = make ]; then touch $folder/begun; while [ ! -e $folder/go ]; do sleep 0.02; done; fi");
    let (node, olivia, keys) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    tokio::select! {
        biased;
        asked = ask(&node, &id) => panic!("it is not made yet: {asked:?}"),
        () = async { while !maker.has("begun") { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(round(&node).await, RoundEnded::default(), "it is still being made");
    assert_eq!(maker.count("end"), 0);
    maker.go();
    while leases(&node, &id).is_empty() {
        tokio::task::yield_now().await;
    }
    ask(&node, &id).await.expect("an answer");
    assert_eq!((maker.count("make"), keys.all()), (1, maker.living()));
    end(&node, &id, &agent).await;
    nothing_is_left(&node, &maker, "it is over").await;
}

#[tokio::test]
async fn a_generator_that_makes_nothing_is_not_the_agents_doing() {
    let maker = Maker::new();
    let (node, olivia, keys) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    // It made it all the same.
    maker.first("if [ $does = make ]; then make; echo '{\"error\":\"no room for roles\"}'; exit 3; fi");
    let error = ask(&node, &id).await.expect_err("it is not made");
    assert_eq!(error.code, "SECRET_NOT_MADE");
    assert!(error.message.contains("ended with 3;") && !error.message.contains("no room"), "{error}");
    assert_eq!((keys.all().len(), leases(&node, &id).len()), (0, 0));
    assert_eq!(node.run(&id).state.spent, Default::default());
    let body = entries(&node, kind::SECRET_NOT_MADE).pop().expect("it is on record");
    let outcome = body.outcome.expect("how it ended");
    assert_eq!((outcome.success, outcome.error_type.as_deref()), (false, Some("SECRET_NOT_MADE")));
    assert_eq!(outcome.error_message.as_deref(), Some("the generator `roles` ended with 3: no room for roles"));
    // Whoever tries in a loop starts no program each time.
    assert_eq!(ask(&node, &id).await.expect_err("a moment later").code, "SECRET_NOT_MADE");
    assert_eq!(maker.count("make"), 1);
    // Whatever it made is ended; and again once it cannot be at work any more.
    assert_eq!(round(&node).await, RoundEnded { ended: 1, failed: 0 });
    assert_eq!(maker.living(), [] as [String; 0]);
    assert_eq!(round(&node).await, RoundEnded::default());
    assert_eq!(made(&node).len(), 1, "it may be at work still");
    maker.mend();
    later(&node, REST_AFTER_FAILURE_S);
    ask(&node, &id).await.expect("it works again");
    later(&node, UNCERTAIN_FOR_S);
    assert_eq!(round(&node).await, RoundEnded { ended: 1, failed: 0 });
    assert_eq!((maker.count("end"), maker.living().len()), (2, 1));
    end(&node, &id, &agent).await;
    nothing_is_left(&node, &maker, "it is over").await;
}

#[tokio::test]
async fn what_is_no_value_is_none() {
    let maker = Maker::new();
    let (node, olivia, keys) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    for (what, prints) in [
        ("nothing", ":"),
        ("no JSON", "echo $value"),
        ("another shape", "printf '[\"%s\"]' $value"),
        ("no value", "echo '{\"id\":\"role\"}'"),
        ("no text", "echo '{\"value\":12345678}'"),
        ("something more", "printf '{\"value\":\"%s\",\"note\":\"x\"}' $value"),
        ("twice", "printf '{\"value\":\"%s\"}{\"value\":\"%s\"}' $value $value"),
        ("two lines", "printf '{\"value\":\"%s\\\\nx\"}' $value"),
        ("a newline at its end", "printf '{\"value\":\"%s\\\\n\"}' $value"),
        ("empty", "echo '{\"value\":\"\"}'"),
        ("too short", "echo '{\"value\":\"abc\"}'"),
        ("too long", "printf '{\"value\":\"%s' $value; head -c 65536 /dev/zero | tr '\\\\0' x; printf '\"}'"),
        ("without end", "printf '{\"value\":\"%s' $value; head -c 600000 /dev/zero | tr '\\\\0' x; printf '\"}'"),
        ("an id with the value", "printf '{\"value\":\"%s\",\"id\":\"of %s\"}' $value $value"),
        ("an id of two lines", "printf '{\"value\":\"%s\",\"id\":\"a\\\\nb\"}' $value"),
        ("the value, and a failure", "printf '{\"value\":\"%s\",\"error\":\"not %s\"}' $value $value; exit 1"),
        ("a value, and death", "printf '{\"value\":\"%s\"}' $value; kill -9 $$"),
    ] {
        maker.first(&format!("if [ $does = make ]; then make; {prints}; exit 0; fi"));
        let error = ask(&node, &id).await.expect_err(what);
        assert_eq!(error.code, "SECRET_NOT_MADE", "{what}: {error}");
        assert_eq!((keys.all().len(), maker.living().len()), (0, 1), "{what}");
        let all = node.context().store.read(|reader| reader.entries("ORDER BY seq", &[])).expect("it reads");
        let all: String = all.iter().map(|entry| format!("{:?}", entry.read_body())).collect();
        for value in maker.ever() {
            assert!(!all.contains(&value) && !error.message.contains(&value), "{what}: {error}");
        }
        maker.mend();
        round(&node).await;
        assert_eq!(maker.living(), [] as [String; 0], "{what}");
        later(&node, REST_AFTER_FAILURE_S);
    }
    end(&node, &id, &agent).await;
    later(&node, UNCERTAIN_FOR_S);
    nothing_is_left(&node, &maker, "all are over").await;
}

#[tokio::test]
async fn one_that_takes_too_long_is_killed_and_what_it_made_is_ended() {
    let maker = Maker::new();
    maker.first("if [ $does = make ]; then make; exec sleep 1000; fi");
    let (node, olivia, _) = house_with(maker.within(1)).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    let error = ask(&node, &id).await.expect_err("it takes too long");
    assert!(error.code == "SECRET_NOT_MADE" && error.message.contains("within 1 s"), "{error}");
    assert_eq!(round(&node).await.ended, 1);
    assert_eq!(maker.living(), [] as [String; 0]);
    later(&node, UNCERTAIN_FOR_S);
    nothing_is_left(&node, &maker, "too long").await;
    end(&node, &id, &agent).await;
}

#[tokio::test]
async fn it_is_told_until_it_ended_it_and_people_are_told_meanwhile() {
    let maker = Maker::new();
    let (node, olivia, _) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    ask(&node, &id).await.expect("an answer");
    end(&node, &id, &agent).await;
    maker.first("if [ $does = end ]; then echo \"role owns things: $(cat $folder/living/$lease)\" >&2; exit 4; fi");
    let trouble = || node.runner().not_ended().expect("it reads");
    for attempt in 1..=FAILURES_BEFORE_ALERT + 4 {
        assert_eq!(round(&node).await, RoundEnded { ended: 0, failed: 1 }, "{attempt}");
        assert_eq!(round(&node).await, RoundEnded::default(), "{attempt}: not at once again");
        let row = made(&node).pop().expect("it lives");
        assert_eq!((row.attempts, row.state), (attempt, MadeState::Ending));
        let why = row.why.as_deref().expect("why");
        assert!(why.contains("ended with 4: role owns things"), "{why}");
        assert_eq!(trouble().len(), usize::from(attempt >= FAILURES_BEFORE_ALERT), "{attempt}");
        node.clock().advance_ms(i64::try_from(row.next_at.since_ms(node.now())).expect("not that long"));
    }
    let told = trouble().remove(0);
    assert_eq!((told.generator.as_str(), told.count), ("roles", 1));
    let last = entries(&node, kind::SECRET_ENDED).pop().expect("it is on record");
    assert!(last.outcome.is_some_and(|outcome| !outcome.success));
    maker.mend();
    nothing_is_left(&node, &maker, "it works again").await;
    assert_eq!(trouble(), []);
}

#[tokio::test]
async fn a_generator_that_is_not_configured_any_more_makes_nothing_and_what_it_made_waits() {
    let maker = Maker::new();
    let (mut node, olivia, _) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    ask(&node, &id).await.expect("an answer");
    node.kill();
    node.generate(Vec::new());
    node.revive().await.expect("it starts");
    agent.exit(0);
    node.ended(&id).await;
    let told = node.runner().not_ended().expect("it reads").remove(0);
    assert!(told.generator.as_str() == "roles" && told.why.contains("put it back"), "{told:?}");
    assert_eq!(maker.living().len(), 1);
    let (id, agent) = run(&node, &olivia, "reader").await;
    let error = ask(&node, &id).await.expect_err("nobody makes it");
    assert!(error.code == "NO_GENERATOR" && error.message.contains("`roles`"), "{error}");
    assert_eq!(node.run(&id).state.spent, Default::default(), "it is not the agent's doing");
    end(&node, &id, &agent).await;
    node.stop().await;
    node.generate(vec![maker.generator()]);
    node.revive().await.expect("it starts");
    nothing_is_left(&node, &maker, "it is back").await;
    assert_eq!(node.runner().not_ended().expect("it reads"), []);
}

#[tokio::test]
async fn what_was_made_is_ended_on_a_full_store_too() {
    let maker = Maker::new();
    let (mut node, olivia, _) = house(&maker).await;
    let (id, agent) = run(&node, &olivia, "reader").await;
    ask(&node, &id).await.expect("an answer");
    node.kill();
    agent.exit(0);
    let size = std::fs::metadata(node.home().store()).expect("a store").len();
    node.limit_store(Some(size + (256 << 10)));
    node.revive().await.expect("it starts");
    node.ended(&id).await;
    let (mut n, admin) = (0_u32, node.admin().await);
    let error = loop {
        let name = format!("p{n}").parse().expect("a label");
        match steward_app_people::add(node.context(), &admin, name, vec![Role::Viewer]).await {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    // Down to what is as small as telling that it is to be ended.
    while secrets::grant(node.context(), &admin, "db", "reader", n.is_multiple_of(2)).await.is_ok() {
        n += 1;
    }
    assert_eq!((error.code, maker.living().len()), ("STORE_FULL", 1), "{error}");
    nothing_is_left(&node, &maker, "the store is full").await;
}

#[tokio::test]
async fn who_is_in_no_run_has_none() {
    let maker = Maker::new();
    let (node, _, keys) = house(&maker).await;
    let outside = node.agent_key("other").await;
    let asking = Asking::Outside(Box::new(node.again(&outside)));
    let question = json!({"model": "fast", "messages": [{"role": "user", "content": "hi"}]});
    let error = node.runner().chat(asking.clone(), question).await.expect_err("it is in no run");
    assert!(error.code == "SECRET_NEEDS_RUN" && error.message.contains("ask in a run"), "{error}");
    assert_eq!(refused(&node), ["model.call", "fast", "SECRET_NEEDS_RUN"]);
    assert!(node.runner().usable_models(&asking).expect("models").is_empty());
    let tested = node.runner().test_model(&node.admin().await, "fast").await.expect_err("a person is in no run");
    assert_eq!(tested.code, "SECRET_NEEDS_RUN");
    assert_eq!((keys.all().len(), maker.told().len()), (0, 0));
}

#[tokio::test]
async fn how_one_is_put_rotated_and_made_a_plain_one() {
    let maker = Maker::new();
    let (node, olivia, _) = house(&maker).await;
    let by = |name: &str| Holds::MadeBy(name.parse().expect("a label"));
    let admin = node.admin().await;
    let error = node.runner().put_secret(&admin, "other", &by("nobody")).await.expect_err("there is none");
    assert!(error.code == "NO_GENERATOR" && error.message.contains("`roles`"), "{error}");
    let error = node.runner().put_secret(&node.again(&olivia), "other", &by("nobody")).await.expect_err("she may not");
    assert!(error.code == "NOT_PERMITTED" && !error.message.contains("roles"), "{error}");
    let given = Holds::Given(Secret::new("a-value-of-its-own"));
    for value in [given.clone(), Holds::Generated(32), by("roles")] {
        let error = node.runner().rotate_secret(&admin, "db", &value).await.expect_err("it has no value");
        assert!(error.code == "INVALID_REQUEST" && error.message.contains("revoke it"), "{error}");
    }
    let shown = secrets::list(node.context(), node.runner().keeper(), &admin).await.expect("listed");
    let row = shown.into_iter().find(|view| view.name == "db").and_then(|view| view.row).expect("it is there");
    assert_eq!((row.made_by.as_ref().map(|name| name.as_str()), row.sealed, row.version), (Some("roles"), None, 1));
    assert_eq!(node.runner().rotate_secret(&admin, "db", &Holds::Again).await.expect("rotated").version, 2);
    node.runner().revoke_secret(&admin, "db", "no more").await.expect("revoked");
    let row = node.runner().put_secret(&admin, "db", &given).await.expect("put");
    assert_eq!((row.made_by, row.version), (None, 3));
    let (id, agent) = run(&node, &olivia, "reader").await;
    ask(&node, &id).await.expect("an answer");
    end(&node, &id, &agent).await;
    assert_eq!(maker.told().len(), 0);
}
