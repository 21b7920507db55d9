"""{{name}}: an agent under Steward, with nothing but what comes with Python.

It reads its instructions, submits a plan, writes what it is to deliver, and says that it is done. Put your own work into `work`.
Standard output and standard error are for people: `print` what you like, but no secrets.
"""

import json
import os
import urllib.request

NODE = os.environ["STEWARD_MCP_URL"]


class Refused(Exception):
    """The node did not allow it, or it failed. Do not try the same again: repeated errors end the run."""


def ask(method, params):
    """One request to the run's MCP server, and its result."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    with urllib.request.urlopen(urllib.request.Request(NODE, body, headers), timeout=120) as answer:
        said = json.load(answer)
    if "error" in said:
        raise Refused(said["error"]["message"])
    return said["result"]


def read(uri):
    """What the agent may know of its run: steward://packet, steward://handoff, steward://evidence."""
    return json.loads(ask("resources/read", {"uri": uri})["contents"][0]["text"])


def call(tool, **arguments):
    """Calls a tool of the run, waits for its answer, and gives it."""
    result = ask("tools/call", {"name": tool, "arguments": arguments})
    said = json.loads(result["content"][0]["text"])
    if result.get("isError"):
        raise Refused(f"{tool}: {said.get('error') or said}")
    return call("await_result", ticket=said["ticket"]) if said.get("status") == "pending" else said


def work(packet, path):
    """What is written into a deliverable: this is where your agent begins."""
    return f"# {packet['objective']}\n\nHello from {packet['agent_id']}.\n"


packet = read("steward://packet")
resources = [resource["uri"] for resource in ask("resources/list", {})["resources"]]
paths = packet["deliverables"]
plan = {
    "summary": "Write each deliverable, and count its words.",
    "steps": [{"step": f"write {path}", "action": f"fs.write:{path}", "artifact": path} for path in paths],
}
if "steward://handoff" in resources:  # a predecessor was revoked: read what it left, and say so
    plan["acknowledges"] = read("steward://handoff")["id"]
call("submit_plan", **plan)
for path in paths:
    call("fs_write", path=path, content=work(packet, path))
    print(call("exec", argv=["wc", "-w", path.lstrip("/")])["stdout"], end="")
call("finish", summary="All deliverables are written.")
