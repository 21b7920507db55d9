# The agent of these stories: its packet's objective says what it does.
import json, os, sys, time
begin = json.loads(sys.stdin.readline())
calls = 0
def ask(tool, **arguments):
    global calls
    calls += 1
    print(json.dumps({"id": calls, "tool": tool, "arguments": arguments}), flush=True)
    return json.loads(sys.stdin.readline())
packet, handoff = begin["packet"], begin["handoff"]
plan = {"summary": "Write it.", "steps": [{"step": "write " + path, "artifact": path} for path in packet["deliverables"]]}
if handoff: plan["acknowledges"] = handoff["id"]
ask("submit_plan", **plan)
what = packet["objective"]
if what.startswith("fumble"):
    ask("fs.write", path="/reports/draft.md", content="A draft.\n")
    for problem in ("one", "two", "three", "four"): ask("report_problem", message=problem)
if what.startswith("wait"):
    ask("fs.write", path="/reports/ready", content="")
    time.sleep(3000)
if what.startswith("fetch"):
    print(ask("http.get", url=what.split(" ")[1]), file=sys.stderr)
for path in packet["deliverables"]:
    ask("fs.write", path=path, content="# " + what + "\n")
ask("finish")
