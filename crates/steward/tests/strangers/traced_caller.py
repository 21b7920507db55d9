"""Somebody whose own program is traced with OpenTelemetry's SDK, and who has an agent do something within a span of theirs.

Prints the trace and the span. STEWARD_URL, STEWARD_KEY; the agent is the first argument.
"""

import base64
import json
import os
import sys
import urllib.request

from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider

trace.set_tracer_provider(TracerProvider())
with trace.get_tracer("caller").start_as_current_span("a day's work") as span:
    headers = {"Authorization": f"Bearer {os.environ['STEWARD_KEY']}", "Content-Type": "application/json"}
    propagate.inject(headers)
    asked = {"action": "fs.write", "resource": "/plans/traced.md", "content": base64.b64encode(b"traced").decode()}
    url = f"{os.environ['STEWARD_URL']}/v1/agents/{sys.argv[1]}/actions"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(asked).encode(), headers)) as answer:
        assert answer.status in (200, 201), answer.status
    context = span.get_span_context()
    print(f"{context.trace_id:032x} {context.span_id:016x}")
