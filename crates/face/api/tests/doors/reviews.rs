//! The inbox over HTTP.

use axum::http::Method;
use serde_json::json;
use steward_permit::{Role, Tier};

use crate::House;

#[tokio::test]
async fn what_waits_is_shown_decided_and_asked_again() {
    let house = House::new().await;
    let rita = house.node.person("rita", &[Role::Reviewer]).await;
    house.node.agent("architect", Tier::T4).await;
    let write = json!({"action": "fs.write", "resource": "/plans/a.md", "content": "eA=="});
    let waits = house.post("/v1/agents/architect/actions", &write).await;
    assert_eq!((waits.status.as_u16(), waits.code().as_str()), (403, "NEEDS_REVIEW"));
    let id = waits.json()["review"].as_str().expect("it names the review").to_owned();
    let listed = house.get("/v1/reviews?status=pending&kind=action").await.json();
    assert_eq!(listed["reviews"][0]["id"], json!(id));
    let shown = house.get(&format!("/v1/reviews/{id}")).await.json();
    assert_eq!((&shown["document"]["text"], &shown["review"]["resource"]), (&json!("x"), &json!("/plans/a.md")));
    assert_eq!(shown["review"]["chain"], json!(["architect.acme.internal", "olivia@acme.internal"]));
    assert!(shown["if_approved"].as_str().is_some_and(|text| text.contains("once")));

    let path = format!("/v1/reviews/{id}/approve");
    let why = json!({"reason": "it is fine"});
    let own = house.post(&path, &why).await;
    assert_eq!((own.status.as_u16(), own.code().as_str()), (403, "FORBIDDEN"), "she asked for it");
    let silent = house.ask(Method::POST, &path, Some(&rita.token), Some(&json!({"reason": ""}))).await;
    assert_eq!((silent.status.as_u16(), silent.code().as_str()), (400, "INVALID_REQUEST"));
    let approved = house.ask(Method::POST, &path, Some(&rita.token), Some(&why)).await.json();
    assert_eq!(
        (&approved["status"], &approved["decisions"][0]["by"]),
        (&json!("approved"), &json!("rita@acme.internal"))
    );
    let twice = house.ask(Method::POST, &path, Some(&rita.token), Some(&why)).await;
    assert_eq!((twice.status.as_u16(), twice.code().as_str()), (409, "REVIEW_OVER"));
    let done = house.post("/v1/agents/architect/actions", &write).await;
    assert_eq!(done.status, 200, "{done:?}");
    let shown = house.get(&format!("/v1/reviews/{id}")).await.json();
    assert_eq!(
        (&shown["review"]["status"], &shown["review"]["used_by"]),
        (&json!("used"), &done.json()["action"]["id"])
    );

    for (path, status) in [
        ("/v1/reviews/rvw_01KAHW5V8NQ4Z0M7C2R9T3XBYD", 404),
        ("/v1/reviews/7", 400),
        ("/v1/reviews?status=open", 400),
        ("/v1/reviews?kind=whim", 400),
    ] {
        assert_eq!(house.get(path).await.status, status, "{path}");
    }
}
