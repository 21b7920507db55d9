"""A crew as frameworks have it: roles, tasks, and a loop that lets each role use tools until its task is done. In plain Python, on
Steward's SDK.

    env PYTHONPATH=/programs/site python3 /programs/crew_loop.py

The model is scripted: `think` is where yours goes. What it wants is a tool and its arguments, or an answer.
"""

import json
from dataclasses import dataclass

from steward import Failed, Refused, Run


@dataclass
class Role:
    name: str
    goal: str


@dataclass
class Task:
    what: str
    by: Role
    script: list  # what the model will say, in place of a model


def think(role, task, seen):
    """What a role does next, from what it has seen so far."""
    return task.script[len(seen)]


def work(run, task):
    """Lets a role use tools until it answers."""
    seen = []
    while True:
        wanted = think(task.by, task, seen)
        if isinstance(wanted, str):
            return wanted
        tool, arguments = wanted
        try:
            seen.append(run.call(tool, **arguments))
        except (Refused, Failed) as error:  # the model is told, and tries another way
            seen.append({"error": error.code, "message": error.message})
        print(f"{task.by.name}: {tool} -> {json.dumps(seen[-1])[:120]}")


run = Run.from_env()
path = run.packet["deliverables"][0]
draft = "/reports/draft.md"
researcher = Role("researcher", "find out what there is to say")
writer = Role("writer", "say it in one page")
tasks = [
    Task("Look for an older report, and make notes", researcher, [
        ("fs_write", {"path": "/elsewhere/notes.md", "content": "x"}),  # refused, and told why
        ("fs_write", {"path": draft, "content": f"Notes on: {run.packet['objective']}\n"}),
        "The notes are written.",
    ]),
    Task("Write the report from the notes", writer, [
        ("fs_read", {"path": draft}),
        ("fs_write", {"path": path, "content": f"# Summary\n\n{run.packet['objective']}\n"}),
        ("exec", {"argv": ["wc", "-w", path.lstrip("/")]}),
        "The report is written.",
    ]),
]  # fmt: skip
run.plan(
    "; ".join(task.what for task in tasks),
    [{"step": tasks[0].what}, {"step": tasks[1].what, "action": f"fs.write:{path}", "artifact": path}],
    acknowledges=run.handoff,
)
for task in tasks:
    print(f"{task.by.name}: {work(run, task)}")
assert run.evidence()["phase"] == "EXECUTE"
run.finish("Both tasks are done.")
