//! A run as an MCP server.
//!
//! ```text
//! tools/list        the tools that the run was begun with
//! tools/call        one of them, in its turn among all that the agent asks
//! resources/list    steward://packet, steward://handoff, steward://evidence
//! ```
//!
//! Deliberately absent: the transport (lib.rs).

use std::{sync::Arc, time::Duration};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, JsonObject,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ReadResourceResult, Resource, ResourceContents, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
    },
    service::RequestContext,
};
use serde_json::{Value, json};
use steward_app_flows::runs::{Answered, Brief, Called, Offered, Runner};
use steward_app_node::{Caller, Error, Kind};
use steward_naming::{RunId, visible};

/// How long a call is waited for before it answers with a ticket: clients give up after a minute.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// The tool that asks for the answer of a call that took longer.
const AWAIT: &str = "await_result";

/// What a model is told of all this.
const INSTRUCTIONS: &str = "You are an agent in a governed run. Read steward://packet first: your objective, what you may do, and what must be \
    there at the end; and steward://handoff, if it is listed. Then call submit_plan, once. When it is approved, act through the tools, \
    within the packet's scope. Do not try again what was refused: repeated errors end the run. When all is done, call finish, once.";

/// A run, for one request of its agent.
#[derive(Clone)]
pub(crate) struct RunServer {
    runner: Arc<Runner>,
    run: RunId,
    by: Option<Caller>,
}

impl RunServer {
    pub(crate) fn new(runner: Arc<Runner>, run: RunId, by: Option<Caller>) -> Self {
        Self { runner, run, by }
    }

    async fn called(&self, request: CallToolRequestParams) -> Result<Called, Error> {
        let arguments = request.arguments.unwrap_or_default();
        if request.name != AWAIT {
            let by = self.by.clone();
            return self.runner.call(&self.run, by, &request.name, Value::Object(arguments), ANSWER_WITHIN).await;
        }
        let ticket = arguments.get("ticket").and_then(Value::as_u64);
        let ticket =
            ticket.ok_or_else(|| Error::invalid("`ticket` is the number that a pending call answered with"))?;
        self.runner.await_result(&self.run, ticket, ANSWER_WITHIN).await
    }

    /// The protocol's own error for a tool that is none of the run's; that it was asked for is on record, and charged, all the same. What
    /// is not the tool's doing, as too many calls, is told as of any other.
    fn unknown(&self, name: &str, answered: &Answered) -> Option<ErrorData> {
        let error = answered.outcome.as_ref().err()?;
        let is_refused = matches!(error.kind, Kind::Refused | Kind::Invalid | Kind::NotFound);
        let is_offered = || {
            name == AWAIT || self.runner.offered(&self.run).map_or(true, |all| all.iter().any(|tool| tool.name == name))
        };
        if !is_refused || is_offered() {
            return None;
        }
        let message = format!("`{}` is no tool of this run; tools/list names those that are", visible(name));
        Some(ErrorData::invalid_params(message, Some(said(Some(answered.phase.as_str()), error))))
    }

    fn brief(&self) -> Result<Brief, ErrorData> {
        self.runner.brief(&self.run).map_err(|error| ErrorData::internal_error(error.message, None))
    }
}

impl ServerHandler for RunServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_resources().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("steward", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let offered = self.runner.offered(&self.run);
        let offered = offered.map_err(|error| ErrorData::invalid_request(error.message, None))?;
        let tools = offered.iter().map(tool).chain([awaiting()]);
        Ok(ListToolsResult { tools: tools.collect(), ..ListToolsResult::default() })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.to_string();
        let called = self.called(request).await;
        Ok(match called {
            Ok(Called::Done(answered)) => match self.unknown(&name, &answered) {
                Some(error) => return Err(error),
                None => result(answered),
            },
            Ok(Called::Pending(ticket)) => {
                let said = json!({
                    "status": "pending", "ticket": ticket,
                    "message": format!("it is under way; call {AWAIT} with this ticket for its answer"),
                });
                CallToolResult::success(vec![text(&said)])
            }
            Err(error) => refused(None, &error),
        }
        .into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let resource = |name: &str, description: &str| {
            Resource::new(format!("steward://{name}"), name)
                .with_description(description)
                .with_mime_type("application/json")
        };
        let mut resources = vec![
            resource("packet", "Your instructions: objective, scope, deliverables, criteria, error budget."),
            resource("evidence", "Where the run stands, and what it did so far, from the record."),
        ];
        if self.brief()?.handoff.is_some() {
            resources
                .push(resource("handoff", "What your revoked predecessor left; acknowledge its id in submit_plan."));
        }
        Ok(ListResourcesResult { resources, ..ListResourcesResult::default() })
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let brief = self.brief()?;
        let bytes = match (request.uri.as_str(), &brief.handoff) {
            ("steward://packet", _) => brief.packet.canonical(),
            ("steward://handoff", Some(handoff)) => handoff.canonical(),
            ("steward://evidence", _) => brief.evidence.to_string().into_bytes(),
            _ => {
                let message = "there is no such resource; resources/list names them";
                return Err(ErrorData::resource_not_found(message, Some(json!({"uri": request.uri}))));
            }
        };
        let contents = ResourceContents::text(String::from_utf8_lossy(&bytes), request.uri);
        Ok(ReadResourceResult::new(vec![contents.with_mime_type("application/json")]).into())
    }
}

fn object(schema: &Value) -> JsonObject {
    schema.as_object().cloned().unwrap_or_default()
}

fn tool(offered: &Offered) -> Tool {
    let tool = Tool::new(offered.name.clone(), offered.description.clone(), object(&offered.input_schema));
    if offered.reads_only { tool.with_annotations(ToolAnnotations::new().read_only(true)) } else { tool }
}

fn awaiting() -> Tool {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["ticket"],
        "properties": {"ticket": {"type": "integer", "description": "as the pending call answered"}},
    });
    let description = "Waits for the answer of a call that took long and answered with a ticket.";
    Tool::new(AWAIT, description, object(&schema)).with_annotations(ToolAnnotations::new().read_only(true))
}

fn text(value: &Value) -> ContentBlock {
    ContentBlock::text(value.to_string())
}

/// An answer: what a tool gave, with the phase in which the run is now.
fn result(answered: Answered) -> CallToolResult {
    let Answered { phase, outcome } = answered;
    match outcome {
        Err(error) => refused(Some(phase.as_str()), &error),
        // What a tool of another server gave is given as that server has it.
        Ok(Value::Object(mut given)) if given.contains_key("tool_result") => {
            let passed = given.remove("tool_result").unwrap_or_default();
            serde_json::from_value(passed).unwrap_or_else(|_| CallToolResult::error(vec![text(&Value::Object(given))]))
        }
        Ok(mut given) => {
            // An effect that did not happen is for the model an error, though the call was allowed.
            let failed = matches!(given["status"].as_str(), Some("failed" | "unknown"));
            given["phase"] = phase.as_str().into();
            let content = vec![text(&given)];
            if failed { CallToolResult::error(content) } else { CallToolResult::success(content) }
        }
    }
}

fn refused(phase: Option<&str>, error: &Error) -> CallToolResult {
    CallToolResult::error(vec![text(&said(phase, error))])
}

/// Why something was refused.
fn said(phase: Option<&str>, error: &Error) -> Value {
    let mut said = json!({"code": error.code, "message": error.message});
    if let Some(action) = &error.action {
        said["action"] = action.as_str().into();
    }
    if let Some(phase) = phase {
        said["phase"] = phase.into();
    }
    let problems: Vec<Value> = error.problems.iter().map(|p| json!({"at": p.at, "message": p.message})).collect();
    if !problems.is_empty() {
        said["problems"] = problems.into();
    }
    said
}
