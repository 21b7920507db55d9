//! Refusals as problem details (RFC 9457). Kind to status in one function.

use std::any::Any;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use steward_app_node::{Error, Kind, code};
use steward_naming::TraceId;
use steward_state::RetryAfter;
use steward_wire::{FieldProblem, Problem};

/// What a code is appended to, to name its page.
pub const ERROR_URN: &str = "urn:steward:error:";

/// A refusal on its way out.
pub(crate) struct Refused {
    error: Box<Error>,
    trace: Option<TraceId>,
    /// A status that says more than the error's kind.
    status: Option<StatusCode>,
    /// When to come back, in seconds.
    retry_after_s: u64,
}

impl Refused {
    pub(crate) fn new(error: Error, trace: Option<TraceId>) -> Self {
        Self { error: Box::new(error), trace, status: None, retry_after_s: 1 }
    }

    /// The same, with a status that says more than the error's kind.
    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        Self { status: Some(status), ..self }
    }

    /// It was too often: when to come back, from what is counted. A wait without end is told as a day.
    pub(crate) fn too_often(wait: RetryAfter, trace: Option<TraceId>) -> Self {
        let seconds = wait.ms.div_ceil(1_000).clamp(1, MAX_RETRY_AFTER_S);
        let message = format!("too many requests; come back in {seconds} s, and ask less often");
        let error = Error::new(Kind::Unavailable, code::RATE_LIMITED, message);
        Self { retry_after_s: seconds, ..Self::new(error, trace) }
    }
}

/// The longest that anybody is told to wait, in seconds.
const MAX_RETRY_AFTER_S: u64 = 86_400;

fn status(error: &Error) -> StatusCode {
    match error.kind {
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Taken | Kind::Stale => StatusCode::CONFLICT,
        Kind::Refused => StatusCode::FORBIDDEN,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Invalid if error.code == code::BODY_TOO_LARGE => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unavailable if error.code == code::RATE_LIMITED => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Broken => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "there is no such thing",
        Kind::Taken => "it is in use",
        Kind::Refused => "not allowed",
        Kind::Unauthenticated => "a key is needed",
        Kind::Invalid => "the request is wrong",
        Kind::Stale => "something changed meanwhile",
        Kind::Unavailable => "not now",
        Kind::Broken => "something is broken inside",
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self { error, trace, status: said, retry_after_s } = self;
        let error = *error;
        let trace = trace.map(|t| t.to_string());
        if let Some(context) = error.context() {
            tracing::error!(trace, code = error.code, context, "a request failed");
        }
        let status = said.unwrap_or_else(|| status(&error));
        let body = Problem {
            kind: format!("{ERROR_URN}{}", error.code),
            title: title(error.kind).to_owned(),
            status: status.as_u16(),
            code: error.code.to_owned(),
            detail: error.message,
            action: error.action.map(|id| id.to_string()),
            review: error.review.map(|id| id.to_string()),
            trace,
            problems: error.problems.into_iter().map(|p| FieldProblem { at: p.at, message: p.message }).collect(),
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
            }
            _ => {}
        }
        response
    }
}

pub(crate) async fn no_such_route() -> Response {
    Refused::new(Error::not_found("such route; GET /v1/openapi.json lists them"), None).into_response()
}

pub(crate) async fn no_such_method() -> Response {
    let error = Error::invalid("this route does not know that method; GET /v1/openapi.json lists them");
    Refused::new(error, None).with_status(StatusCode::METHOD_NOT_ALLOWED).into_response()
}

pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    // What was said is on standard error, where panics go; nothing of it is for the caller.
    Refused::new(Error::broken("a request panicked"), None).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::{Body, to_bytes},
        http::{Request, StatusCode},
        routing::get,
    };
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    #[tokio::test]
    async fn a_panic_leaks_nothing() {
        async fn broken() -> String {
            panic!("the secret of row 7")
        }
        let router = Router::new().route("/", get(broken)).layer(CatchPanicLayer::custom(super::panicked));
        let answer = router.oneshot(Request::get("/").body(Body::empty()).expect("a request")).await;
        let (parts, body) = answer.expect("a router does not fail").into_parts();
        let body = to_bytes(body, 1 << 16).await.expect("an answer");
        let problem: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((parts.status, &problem["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &"INTERNAL".into()));
        let said = problem.to_string();
        assert!(!said.contains("secret") && !said.contains("panic"), "{said}");
    }
}
