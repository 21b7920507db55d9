//! A node dies when spans were sent, and before that is on record: the same are sent again, and nothing is lost.

use std::os::unix::process::ExitStatusExt as _;

use steward_testkit::Collector;
use steward_wire::{AddAgent, SearchQuery};

use crate::{common::Place, life::KILL, load::write};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_when_the_node_died_is_sent_again_as_the_same() {
    let (place, collector) = (Place::new(), Collector::new());
    let node = place.up(&[]);
    let (operator, key) = node.login().await;
    let agent = AddAgent {
        name: "clerk".to_owned(),
        version: "1.0.0".to_owned(),
        tier: "T1".to_owned(),
        ..AddAgent::default()
    };
    operator.add_agent(&agent).await.expect("added");
    node.stop();
    let (url, dies) = (collector.url(), "traces.sent.before_settled:1");
    let node = place.try_up(&[], &[("STEWARD_TRACES_URL", &url), ("STEWARD_MISHAP", dies)]).expect("it comes up");
    let operator = node.caller(Some(&key.secret));
    // What happened before it began is not sent.
    let began = SearchQuery { kind: Some("traces.settled".to_owned()), ..SearchQuery::default() };
    while operator.entries(&began).await.expect("they can be searched").entries.is_empty() {}
    operator.act("clerk", &write("/plans/a.md", b"x")).await.expect("it may");
    assert_eq!(node.wait().signal(), Some(KILL), "{}", place.log());
    let first = collector.spans();
    assert!(!first.is_empty());

    let node = place.try_up(&[], &[("STEWARD_TRACES_URL", &url)]).expect("it comes up");
    let operator = node.caller(Some(&key.secret));
    let traces = loop {
        let traces = operator.traces().await.expect("it answers");
        if traces.sent > 0 {
            break traces;
        }
    };
    assert_eq!((traces.sent as usize, traces.dropped, traces.why), (first.len(), 0, None));
    assert_eq!(collector.spans(), first, "the same, once more");
    node.stop();
    let verified = place.steward(&["ledger", "verify", "--state"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}
