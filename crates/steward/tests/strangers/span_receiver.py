"""Somebody who is sent spans by OTLP/HTTP and reads them with OpenTelemetry's own protocol buffers, strictly.

It says where it listens in its first line, then one line of JSON for each span. What OpenTelemetry's conventions do not know is answered with 400.
"""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.attributes import error_attributes, service_attributes

KNOWN = {
    value
    for module in (gen_ai_attributes, error_attributes, service_attributes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
} | {"service.instance.id"}
OPERATIONS = {value.value for value in gen_ai_attributes.GenAiOperationNameValues}


def with_bytes(message):
    """OTLP's one exception from the JSON of protocol buffers: ids are hexadecimal digits."""
    if isinstance(message, list):
        return [with_bytes(item) for item in message]
    if isinstance(message, dict):
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode() if key in ids else with_bytes(value)
            for key, value in message.items()
        }
    return message


def read(body):
    request = json_format.ParseDict(with_bytes(json.loads(body)), ExportTraceServiceRequest())
    for of_resource in request.resource_spans:
        resource = {one.key: one.value.string_value for one in of_resource.resource.attributes}
        assert resource["service.name"] == "steward", resource
        for of_scope in of_resource.scope_spans:
            assert of_scope.scope.name == "steward"
            yield from of_scope.spans


def look(span):
    assert len(span.trace_id) == 16 and any(span.trace_id), span
    assert len(span.span_id) == 8 and any(span.span_id), span
    assert len(span.parent_span_id) in (0, 8), span
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
    assert span.kind in (Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT), span
    said = {}
    for one in span.attributes:
        assert one.key in KNOWN or one.key.startswith("steward."), f"{one.key} is in no convention"
        assert one.key not in said, f"{one.key} twice"
        said[one.key] = one.value.string_value or one.value.int_value
    operation = said.get("gen_ai.operation.name")
    assert operation is None or operation in OPERATIONS, operation
    assert operation is None or span.name.startswith(operation), span.name
    # What the conventions require of each.
    wanted = {"chat": ["gen_ai.provider.name", "gen_ai.request.model"], "execute_tool": ["gen_ai.tool.name"], "invoke_agent": ["gen_ai.agent.name"]}
    missing = [key for key in wanted.get(operation, []) if key not in said]
    assert not missing or span.status.code == Status.STATUS_CODE_ERROR, f"{span.name} lacks {missing}"
    return {
        "trace": span.trace_id.hex(), "span": span.span_id.hex(), "parent": span.parent_span_id.hex(), "name": span.name,
        "failed": span.status.code == Status.STATUS_CODE_ERROR, "said": said,
    }  # fmt: skip


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            assert self.path == "/v1/traces" and self.headers["Content-Type"] == "application/json"
            spans = [look(span) for span in read(body)]
            answer = json_format.MessageToJson(ExportTraceServiceResponse()).encode()
            self.send_response(200)
        except (AssertionError, KeyError, ValueError, json_format.ParseError) as error:
            spans, answer = [{"wrong": str(error)}], b""
            self.send_response(400)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        for span in spans:
            print(json.dumps(span), flush=True)

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
