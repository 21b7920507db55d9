//! Stand-in: what people may ask models for. Left out once the real one is there.

use steward_app_node::{Caller, Error};
use steward_permit::ResourceKind;

use super::runner::Runner;

/// What came of asking a model for one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTested {
    /// The model that answered.
    pub model: String,
    /// What it said.
    pub said: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// How long it took, in milliseconds.
    pub ms: u64,
}

impl Runner {
    /// Asks a model for one word.
    ///
    /// # Errors
    /// It is not allowed, or there is none.
    pub async fn test_model(&self, caller: &Caller, name: &str) -> Result<ModelTested, Error> {
        let model = steward_app_models::find(&self.context, name)?;
        self.context.allow(caller, self.context.action("model.test", ResourceKind::Model, name)?, None).await?;
        let model = model.name.to_string();
        Ok(ModelTested { model, said: "yes".to_owned(), prompt_tokens: 1, completion_tokens: 1, ms: 1 })
    }

    /// How the breaker of each model stands.
    pub fn breakers(&self) -> Vec<(String, &'static str)> {
        Vec::new()
    }
}
