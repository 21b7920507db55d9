//! Spans as OTLP/HTTP has them in JSON (`ExportTraceServiceRequest`, opentelemetry-proto 1), and what a receiver answers.
//!
//! The JSON mapping of protobuf, with OTLP's exceptions: ids in hex, enums as numbers, 64-bit integers as text.

use serde::{Deserialize, Serialize};

use crate::span::{Attributes, Said, Span, SpanKind};

/// The path of traces beneath the address of a receiver.
pub(crate) const PATH: &str = "/v1/traces";

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

const NS_OF_MS: i128 = 1_000_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope<'a>,
    spans: Vec<OneSpan<'a>>,
}

#[derive(Serialize)]
struct Scope<'a> {
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneSpan<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<OneEvent<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    dropped_events_count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OneEvent<'a> {
    time_unix_nano: String,
    name: &'a str,
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    trace_id: String,
    span_id: String,
}

#[derive(Serialize)]
struct Status<'a> {
    message: &'a str,
    code: u8,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: Value<'a>,
}

#[derive(Serialize)]
enum Value<'a> {
    #[serde(rename = "stringValue")]
    Text(&'a str),
    #[serde(rename = "intValue")]
    Number(String),
    #[serde(rename = "arrayValue")]
    List { values: Vec<Value<'a>> },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn nanoseconds(at: steward_clock::Timestamp) -> String {
    (i128::from(at.unix_ms()).max(0) * NS_OF_MS).to_string()
}

fn attributes(all: &Attributes) -> Vec<Attribute<'_>> {
    let value = |said| match said {
        &Said::Number(number) => Value::Number(number.to_string()),
        Said::Text(text) => Value::Text(text),
        Said::List(texts) => Value::List { values: texts.iter().map(|text| Value::Text(text)).collect() },
    };
    all.iter().map(|(key, said)| Attribute { key, value: value(said) }).collect()
}

fn one(span: &Span) -> OneSpan<'_> {
    let events = span.events.iter().map(|event| OneEvent {
        time_unix_nano: nanoseconds(event.at),
        name: event.name,
        attributes: attributes(&event.attributes),
    });
    OneSpan {
        trace_id: span.place.trace.to_string(),
        span_id: span.id.to_string(),
        parent_span_id: span.place.parent.map(|parent| parent.to_string()),
        name: &span.name,
        kind: match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
        },
        start_time_unix_nano: nanoseconds(span.began),
        end_time_unix_nano: nanoseconds(span.ended),
        attributes: attributes(&span.attributes),
        events: events.collect(),
        dropped_events_count: span.more_events,
        links: span
            .link
            .iter()
            .map(|(trace, id)| Link { trace_id: trace.to_string(), span_id: id.to_string() })
            .collect(),
        status: span.error.as_deref().map(|code| Status { message: code, code: ERROR }),
    }
}

/// A request with these spans, of this node.
pub(crate) fn request(node: &str, version: &str, spans: &[Span]) -> Vec<u8> {
    let text = |key, text| Attribute { key, value: Value::Text(text) };
    let of_node =
        vec![text("service.instance.id", node), text("service.name", "steward"), text("service.version", version)];
    let request = Request {
        resource_spans: [ResourceSpans {
            resource: Resource { attributes: of_node },
            scope_spans: [ScopeSpans {
                scope: Scope { name: "steward", version },
                spans: spans.iter().map(one).collect(),
            }],
        }],
    };
    serde_json::to_vec(&request).expect("maps with text for keys can be written")
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answer {
    partial_success: PartialSuccess,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PartialSuccess {
    rejected_spans: Count,
    error_message: String,
}

/// A 64-bit integer, which protobuf's JSON has as text, and some as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u64),
    Text(String),
}

impl Default for Count {
    fn default() -> Self {
        Self::Number(0)
    }
}

/// How many spans a receiver did not take although it answered well, and why. One that answers something else took all: the status says so.
pub(crate) fn rejected(answer: &[u8]) -> (u64, String) {
    let answer: Answer = serde_json::from_slice(answer).unwrap_or_default();
    let PartialSuccess { rejected_spans, error_message } = answer.partial_success;
    let count = match rejected_spans {
        Count::Number(count) => count,
        Count::Text(text) => text.parse().unwrap_or_default(),
    };
    (count, error_message)
}

#[cfg(test)]
mod tests {
    use steward_clock::Timestamp;

    use super::{rejected, request};
    use crate::span::{Attributes, Event, Place, Said, Span, SpanId, SpanKind, TraceId};

    fn span() -> Span {
        let at = Timestamp::from_unix_ms;
        let trace = TraceId::new(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10).expect("not 0");
        let place = Place { trace, parent: SpanId::new(7) };
        let span = Span::new(
            place,
            SpanId::of(9),
            "chat small".to_owned(),
            SpanKind::Client,
            at(1_764_000_000_123),
            at(1_764_000_001_000),
        );
        let event = Event {
            at: at(1_764_000_000_500),
            name: "phase",
            attributes: Attributes::from([("steward.phase", "PLAN".into())]),
        };
        let span = span
            .says("gen_ai.usage.input_tokens", 12_u64)
            .says("steward.policies", Said::List(vec!["T1/call".to_owned()]));
        Span { events: vec![event], link: Some((trace, SpanId::of(5))), ..span.failed("MODEL_TIMEOUT") }
    }

    #[test]
    fn golden() {
        let text = String::from_utf8(request("acme.internal", "1.2.3", &[span()])).expect("it is text");
        let expected = concat!(
            r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.instance.id","value":{"stringValue":"acme.internal"}},"#,
            r#"{"key":"service.name","value":{"stringValue":"steward"}},{"key":"service.version","value":{"stringValue":"1.2.3"}}]},"#,
            r#""scopeSpans":[{"scope":{"name":"steward","version":"1.2.3"},"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10","#,
            r#""spanId":"0000000000000009","parentSpanId":"0000000000000007","name":"chat small","kind":3,"#,
            r#""startTimeUnixNano":"1764000000123000000","endTimeUnixNano":"1764000001000000000","#,
            r#""attributes":[{"key":"error.type","value":{"stringValue":"MODEL_TIMEOUT"}},"#,
            r#"{"key":"gen_ai.usage.input_tokens","value":{"intValue":"12"}},"#,
            r#"{"key":"steward.policies","value":{"arrayValue":{"values":[{"stringValue":"T1/call"}]}}}],"#,
            r#""events":[{"timeUnixNano":"1764000000500000000","name":"phase","attributes":[{"key":"steward.phase","value":{"stringValue":"PLAN"}}]}],"#,
            r#""links":[{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0000000000000005"}],"#,
            r#""status":{"message":"MODEL_TIMEOUT","code":2}}]}]}]}"#,
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let event = Event { at: Timestamp::from_unix_ms(0), name: "phase", attributes: Attributes::new() };
        let span = Span { events: vec![event; 2], more_events: 3, ..span() };
        let text = String::from_utf8(request("n", "1", &[span])).expect("it is text");
        assert!(text.contains(r#""droppedEventsCount":3"#) && text.matches("timeUnixNano").count() == 2);
    }

    #[test]
    fn a_clock_that_was_put_back_makes_no_negative_span() {
        let at = Timestamp::from_unix_ms;
        let span = Span::new(span().place, SpanId::of(1), String::new(), SpanKind::Internal, at(10), at(5));
        assert_eq!((span.began, span.ended), (at(10), at(10)));
        assert_eq!(SpanId::of(1 << 64), SpanId::of(1), "an id is never 0");
    }

    #[test]
    fn an_answer_says_what_was_not_taken() {
        let told = |answer: &str| rejected(answer.as_bytes());
        assert_eq!(
            told(r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#),
            (3, "too old".to_owned())
        );
        assert_eq!(told(r#"{"partialSuccess":{"rejectedSpans":2}}"#).0, 2);
        for all_taken in
            ["", "{}", r#"{"partialSuccess":{}}"#, "[]", "no JSON", r#"{"partialSuccess":{"rejectedSpans":-1}}"#]
        {
            assert_eq!(told(all_taken).0, 0, "{all_taken}");
        }
    }
}
