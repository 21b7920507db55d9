"""The run that an agent is in.

    run = Run.from_env()
    print(run.packet["objective"])
    run.plan("Write it.", ["write it"])
    run.write("/reports/a.md", "# Summary\n")
    run.exec("wc", "-w", "reports/a.md").stdout
    run.finish()

Each tool gives what it did, or raises: ``Refused``, ``Failed``, ``Unavailable``.

Deliberately absent: what is allowed. The node decides that, call by call.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypedDict

from .errors import Failed, Refused
from .mcp import Endpoint


class _Named(TypedDict):
    step: str


class Step(_Named, total=False):
    """A step of a plan: what is done; which action, as a pattern; which file it leaves."""

    action: str
    artifact: str


@dataclass(frozen=True)
class Output:
    """How a program ended. Another ``code`` than 0 is no error to the node: look at it."""

    code: int | None
    signal: int | None
    stdout: str
    stderr: str
    action: str
    truncated: bool

    @property
    def ok(self) -> bool:
        """Whether it ended with 0."""
        return self.code == 0


@dataclass(frozen=True)
class Page:
    """What a host answered. Redirects are not followed: ``location`` says where one leads."""

    status: int
    content_type: str | None
    location: str | None
    body: bytes
    action: str
    truncated: bool

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


class Run:
    """A run, as its agent sees it."""

    def __init__(self, url: str, key: str | None = None) -> None:
        """The run behind an endpoint: the door of a sandbox, or a node's ``/mcp`` with an agent's key."""
        self._node = Endpoint(url, key)
        #: The phase that the last answer named.
        self.phase: str | None = None

    @classmethod
    def from_env(cls) -> Run:
        """The run of this sandbox (``STEWARD_MCP_URL``), else that of the agent whose key is ``STEWARD_KEY``, at
        ``STEWARD_URL``."""
        if inside := os.environ.get("STEWARD_MCP_URL"):
            return cls(inside)
        url, key = os.environ.get("STEWARD_URL"), os.environ.get("STEWARD_KEY")
        if not url or not key:
            raise RuntimeError(
                "this is no sandbox of Steward's; elsewhere set STEWARD_URL (http://127.0.0.1:7878) and STEWARD_KEY "
                "(`steward key create --agent NAME --label NAME --scope act`)"
            )
        url = url.rstrip("/")
        return cls(url if url.endswith("/mcp") else f"{url}/mcp", key)

    # ---- what it is told

    @cached_property
    def packet(self) -> dict[str, Any]:
        """The instructions: ``objective``, ``deliverables``, ``constraints``, ``success_criteria`` and so on."""
        return self.resource("steward://packet")

    @cached_property
    def handoff(self) -> dict[str, Any] | None:
        """What a revoked predecessor left; acknowledge it in the plan."""
        listed = self._node.request("resources/list", {}).get("resources", [])
        if not any(one.get("uri") == "steward://handoff" for one in listed):
            return None
        return self.resource("steward://handoff")

    def evidence(self) -> dict[str, Any]:
        """Where the run stands, and what it did so far, from the record."""
        return self.resource("steward://evidence")

    def resource(self, uri: str) -> dict[str, Any]:
        """A resource of the run's, by its address."""
        contents = self._node.request("resources/read", {"uri": uri}).get("contents") or [{}]
        return _object(contents[0].get("text"))

    def tools(self) -> list[dict[str, Any]]:
        """The tools that this run could ever use: ``name``, ``description``, ``inputSchema``."""
        found: list[dict[str, Any]] = self._node.request("tools/list", {}).get("tools", [])
        return found

    # ---- what it does

    def plan(
        self,
        summary: str,
        steps: Iterable[str | Step],
        acknowledges: str | Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Submits the plan, once, before anything but reading. ``acknowledges`` is the handoff, or its id."""
        listed = [{"step": step} if isinstance(step, str) else step for step in steps]
        known = acknowledges["id"] if isinstance(acknowledges, Mapping) else acknowledges
        return self.call("submit_plan", summary=summary, steps=listed, acknowledges=known)

    def read(self, path: str) -> str:
        """The text of a file of the agent's own folder."""
        return self.read_bytes(path).decode()

    def read_bytes(self, path: str) -> bytes:
        """A file of the agent's own folder. One that is cut off is ``Failed``: read it at ``STEWARD_FILES``."""
        done = self.call("fs_read", path=path)
        if done.get("truncated"):
            raise Failed("TRUNCATED", f"`{path}` is too long for one answer", done.get("action"))
        return _bytes(done, "content")

    def write(self, path: str, content: str | bytes, *, confidence: float | None = None) -> dict[str, Any]:
        """Writes a file of the agent's own folder, whole or not at all. ``confidence`` is from 0 to 1, and recorded."""
        given = _content(content)
        return self.call("fs_write", path=path, confidence_bp=_basis_points(confidence), **given)

    def exec(self, *argv: str, confidence: float | None = None) -> Output:
        """Runs a program in a sandbox of its own, without a shell."""
        return _output(self.call("exec", argv=list(argv), confidence_bp=_basis_points(confidence)))

    def shell(self, script: str, *, confidence: float | None = None) -> Output:
        """Runs a script with ``/bin/sh`` in a sandbox of its own."""
        return _output(self.call("shell", script=script, confidence_bp=_basis_points(confidence)))

    def get(self, url: str, *, confidence: float | None = None) -> Page:
        """Fetches a page; ``https://`` is left out: ``example.org/docs/a``."""
        done = self.call("http_get", url=url, confidence_bp=_basis_points(confidence))
        return Page(
            status=int(done.get("http_status", 0)),
            content_type=done.get("content_type"),
            location=done.get("location"),
            body=_bytes(done, "body"),
            action=str(done.get("action", "")),
            truncated=bool(done.get("truncated")),
        )

    def problem(self, message: str, kind: str | None = None) -> int:
        """Reports a problem; it counts as one error. Gives how many are left."""
        return int(self.call("report_problem", message=message, kind=kind)["errors_left"])

    def finish(self, summary: str | None = None) -> None:
        """Says that all is done. Ask for nothing after it."""
        self.call("finish", summary=summary)

    def call(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Calls any tool of the run's, and waits for its answer. An argument that is ``None`` is left out.

        A tool of the node's gives what it did; one of another MCP server gives its result as that server has it.
        """
        given = {name: value for name, value in arguments.items() if value is not None}
        result = self._node.request("tools/call", {"name": tool, "arguments": given})
        while (ticket := _ticket(result)) is not None:
            result = self._node.request("tools/call", {"name": "await_result", "arguments": {"ticket": ticket}})
        said = _said(result)
        self.phase = said.get("phase", self.phase)
        if result.get("isError"):
            raise _error(said, result)
        return said if "phase" in said else result


def _error(said: dict[str, Any], result: dict[str, Any]) -> Refused | Failed:
    action = said.get("action")
    if (status := said.get("status")) in ("failed", "unknown"):
        why = said.get("error") or {}
        return Failed(str(why.get("code", "FAILED")), str(why.get("message", "no reason was given")), action, status)
    if "code" in said:
        message = str(said.get("message"))
        for problem in said.get("problems", []):
            if (what := str(problem.get("message"))) not in message:
                message += f"; {problem.get('at')}: {what}"
        return Refused(str(said["code"]), message, action)
    texts = [str(one.get("text")) for one in result.get("content", []) if one.get("type") == "text"]
    return Failed("TOOL_FAILED", "\n".join(texts) or "no reason was given")


def _ticket(result: dict[str, Any]) -> int | None:
    said = _said(result)
    ticket = said.get("ticket")
    return ticket if said.get("status") == "pending" and isinstance(ticket, int) else None


def _said(result: dict[str, Any]) -> dict[str, Any]:
    """What the node says in a result: an object in its one text."""
    content = result.get("content")
    if not isinstance(content, list) or len(content) != 1:
        return {}
    return _object(content[0].get("text"))


def _object(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _bytes(done: dict[str, Any], name: str) -> bytes:
    """A content: what is not text comes under the same name with ``_base64``."""
    if (encoded := done.get(f"{name}_base64")) is not None:
        return base64.b64decode(encoded)
    return str(done.get(name, "")).encode()


def _content(content: str | bytes) -> dict[str, str]:
    if isinstance(content, str):
        return {"content": content}
    return {"content_base64": base64.b64encode(content).decode()}


def _output(done: dict[str, Any]) -> Output:
    return Output(
        code=done.get("code"),
        signal=done.get("signal"),
        stdout=_bytes(done, "stdout").decode(errors="replace"),
        stderr=_bytes(done, "stderr").decode(errors="replace"),
        action=str(done.get("action", "")),
        truncated=bool(done.get("truncated")),
    )


def _basis_points(confidence: float | None) -> int | None:
    return None if confidence is None else round(confidence * 10_000)
