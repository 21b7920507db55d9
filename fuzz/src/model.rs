//! What agents ask of models.

use serde_json::Value;
use steward_model::{ChatRequest, EmbedRequest, Limits};

/// A chat completion as an agent wrote it. The bound of its prompt is no smaller than its messages, and a bound of the answer holds.
pub(crate) fn chat_request(bytes: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return false };
    let messages = value["messages"].to_string().len() as u64;
    let Ok(request) = ChatRequest::read(value, Limits::default()) else { return false };
    assert!(request.prompt_bound() + 1024 >= messages / 2, "a bound is one");
    let bounded = request.clone().with_max_completion(7);
    assert_eq!(bounded.max_completion_tokens(), Some(7));
    assert!((1..=4).contains(&request.choices()));
    assert_ne!(request.digest(), bounded.with_max_completion(8).digest());
    true
}

/// A request for embeddings.
pub(crate) fn embed_request(bytes: &[u8]) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return false };
    let Ok(request) = EmbedRequest::read(value, Limits::default()) else { return false };
    assert!(request.prompt_bound() > 0 && !request.model().is_empty());
    true
}
