//! A home of an earlier version: its tables are brought up to date, its rows still verify, and its node goes on (OPS-5).

use steward_app_flows::{Look, check_upgrade, migrations};
use steward_permit::{Role, Tier};
use steward_testkit::{RELEASES, TestNode, write_old};

/// What is looked at before an upgrade.
fn look(node: &TestNode, name: &str) -> Result<String, String> {
    let looks: Vec<Look> = check_upgrade(node.home(), node.namespace(), node.clock(), node.dice());
    let found = looks.into_iter().find(|look| look.name == name);
    found.unwrap_or_else(|| panic!("`{name}` is looked at")).found
}

#[tokio::test]
async fn a_home_of_each_earlier_version_goes_on() {
    const TABLES: &str = "the tables can be brought up to date";
    for release in RELEASES {
        let mut node = TestNode::new().await;
        node.stop().await;
        write_old(&node, release).await;
        let report = node.audit(true);
        assert!(report.is_consistent(), "as the old version left it: {:?}", report.findings());

        // Looked at first: the steps are named, tried, and not taken.
        let found = look(&node, TABLES).expect("it can be done");
        let missing = migrations().into_iter().map(|m| m.name).filter(|name| !release.contains(name));
        for name in missing {
            assert!(found.contains(name), "{name}: {found}");
        }
        assert!(found.contains("4 entries and 3 rows verify"), "{found}");
        assert_eq!(look(&node, TABLES).as_ref(), Ok(&found), "nothing was changed");

        node.revive().await.expect("it starts");
        assert!(look(&node, TABLES).expect("it is done").contains("no step is to be taken"));
        let report = node.audit(true);
        assert!(report.is_consistent(), "after the steps: {:?}", report.findings());
        let agents = node.context().store.read(steward_app_agents::rows::agents).expect("it reads");
        assert_eq!(agents.len(), 1);
        let otto = node.person("otto", &[Role::Operator]).await;
        node.agent("clerk", Tier::T1).await;
        for agent in ["scribe", "clerk"] {
            node.act(&otto, agent, "fs.write", "/reports/new.md", b"new").await.expect("it is permitted");
        }
    }
}

#[tokio::test]
async fn what_would_keep_a_node_from_starting_is_told_before() {
    const POLICIES: &str = "the policies compile";
    let mut node = TestNode::new().await;
    assert!(look(&node, POLICIES).is_ok());
    let policy = node.home().policies().join("broken.cedar");
    std::fs::write(&policy, "permit (principal, action, resource) when { ;\n").expect("a file");
    assert!(look(&node, POLICIES).expect_err("a mistake").contains("broken.cedar:1:"));
    // It compiles, and the node could not go on under it.
    std::fs::write(&policy, "@id(\"no\")\nforbid (principal is Node, action, resource);\n").expect("a file");
    assert!(look(&node, POLICIES).expect_err("it locks the node out").contains("node.start"));
    std::fs::remove_file(policy).expect("a file");
    node.restart().await;
}
