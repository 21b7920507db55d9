"""An agent on the OpenAI SDK: it streams from the node's model, and carries out what the model asks for as tools of the run.

    env PYTHONPATH=/programs/site python3 /programs/openai_stream.py [--embed]

The SDK finds the node by OPENAI_BASE_URL, which is set in every sandbox. MODEL names the model, else it is the first that is offered.
"""

import json
import os
import sys

from openai import OpenAI
from steward import Failed, Refused, Run

MAX_TURNS = 20

run = Run.from_env()
client = OpenAI(max_retries=0)
models = [model.id for model in client.models.list()]
model = os.environ.get("MODEL") or models[0]
tools = [
    {
        "type": "function",
        "function": {"name": tool["name"], "description": tool["description"], "parameters": tool["inputSchema"]},
    }
    for tool in run.tools()
]

if "--embed" in sys.argv:  # where the node's model can do that, too
    vectors = client.embeddings.create(model=model, input=["one", "two"]).data
    assert len(vectors) == 2 and vectors[0].embedding and vectors[0].embedding != vectors[1].embedding, vectors


def turn(messages):
    """One answer of the model's, as it streams: its text, its tool calls, and how many pieces it came in."""
    text, calls, pieces, usage, why = "", {}, 0, None, None
    stream = client.chat.completions.create(
        model=model, messages=messages, tools=tools, stream=True, stream_options={"include_usage": True}
    )
    for piece in stream:
        pieces += 1
        usage = piece.usage or usage
        for choice in piece.choices:
            why = choice.finish_reason or why
            text += choice.delta.content or ""
            for part in choice.delta.tool_calls or []:
                call = calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
                call["id"] = part.id or call["id"]
                call["name"] += part.function.name or ""
                call["arguments"] += part.function.arguments or ""
    assert why == ("tool_calls" if calls else "stop"), (why, calls)
    assert pieces > 1, "it came in one piece: that is no stream"
    assert usage and usage.completion_tokens > 0, "the node counts what is used, and says so"
    return text, [calls[index] for index in sorted(calls)], pieces


def carry_out(call):
    """What a call of the model's gives: what the tool did, or why not. The model is told either way."""
    try:
        return run.call(call["name"], **json.loads(call["arguments"] or "{}"))
    except (Refused, Failed) as error:
        return {"error": error.code, "message": error.message}


messages = [
    {"role": "system", "content": "Submit a plan, act within the packet's scope, then finish."},
    {"role": "user", "content": json.dumps({"packet": run.packet, "handoff": run.handoff})},
]
for _ in range(MAX_TURNS):
    text, calls, pieces = turn(messages)
    print(f"{pieces} pieces: {text!r} {[call['name'] for call in calls]}")
    asked = [{"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}} for call in calls]
    messages.append({"role": "assistant", "content": text or None, **({"tool_calls": asked} if asked else {})})
    given = [carry_out(call) for call in calls]
    for call, result in zip(calls, given, strict=True):
        print(f"{call['name']}: {json.dumps(result)[:160]}")
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
    if any(call["name"] == "finish" and "finished" in result for call, result in zip(calls, given, strict=True)):
        break
else:
    raise SystemExit(f"the model did not finish within {MAX_TURNS} turns")
