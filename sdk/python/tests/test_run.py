"""The client against a scripted node: what it sends, what it makes of each kind of answer.

    PYTHONPATH=src python3 -m unittest discover tests
"""

from __future__ import annotations

import json
import os
import threading
import unittest
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest import mock

from steward import Failed, Refused, Run, Unavailable

Answer = tuple[int, str, bytes]


class Node(ThreadingHTTPServer):
    """Answers each request with the next thing of its script, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, *script: Any) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def said(self, request: dict[str, Any]) -> Answer:
        answer = self.script.pop(0)
        if isinstance(answer, tuple):
            return answer
        key = "error" if "message" in answer and "content" not in answer else "result"
        return 200, "application/json", json.dumps({"jsonrpc": "2.0", "id": request["id"], key: answer}).encode()


class Handler(BaseHTTPRequestHandler):
    server: Node

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(request)
        self.server.headers.append(dict(self.headers.items()))
        status, kind, body = self.server.said(request)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def tool(said: Any, error: bool = False) -> dict[str, Any]:
    text = said if isinstance(said, str) else json.dumps(said)
    return {"content": [{"type": "text", "text": text}], "isError": error}


class RunTest(unittest.TestCase):
    def node(self, *script: Any) -> tuple[Node, Run]:
        node = Node(*script)
        thread = threading.Thread(target=node.serve_forever, args=(0.01,))
        thread.start()

        def stop() -> None:
            node.shutdown()
            thread.join()
            node.server_close()

        self.addCleanup(stop)
        return node, Run(f"{node.url}/mcp", "stw_key")

    def asked(self, answer: Any, ask: Callable[[Run], Any]) -> tuple[Any, dict[str, Any]]:
        """What came back, and the call that was made."""
        node, run = self.node(answer)
        given = ask(run)
        self.assertEqual(node.asked[0]["method"], "tools/call")
        params: dict[str, Any] = node.asked[0]["params"]
        return given, params

    def test_a_plan(self) -> None:
        done = tool({"approved": True, "plan": "sha256:1", "phase": "EXECUTE"})
        plan, asked = self.asked(done, lambda run: run.plan("Do it.", ["one", {"step": "two", "artifact": "/a"}], {"id": "h"}))
        self.assertTrue(plan["approved"])
        steps = [{"step": "one"}, {"step": "two", "artifact": "/a"}]
        self.assertEqual(asked, {"name": "submit_plan", "arguments": {"summary": "Do it.", "steps": steps, "acknowledges": "h"}})

    def test_what_is_not_given_is_left_out(self) -> None:
        _, asked = self.asked(tool({"finished": True, "phase": "VERIFY"}), lambda run: run.finish())
        self.assertEqual(asked, {"name": "finish", "arguments": {}})

    def test_text_and_bytes_are_written_and_read(self) -> None:
        done = tool({"status": "succeeded", "bytes": 2, "phase": "EXECUTE"})
        _, asked = self.asked(done, lambda run: run.write("/a", "hi", confidence=0.75))
        self.assertEqual(asked["arguments"], {"path": "/a", "content": "hi", "confidence_bp": 7500})
        _, asked = self.asked(done, lambda run: run.write("/a", b"\xff"))
        self.assertEqual(asked["arguments"], {"path": "/a", "content_base64": "/w=="})
        text, _ = self.asked(tool({"content": "é", "phase": "PLAN"}), lambda run: run.read("/a"))
        self.assertEqual(text, "é")
        raw, _ = self.asked(tool({"content_base64": "/w==", "phase": "PLAN"}), lambda run: run.read_bytes("/a"))
        self.assertEqual(raw, b"\xff")

    def test_half_a_file_is_none(self) -> None:
        with self.assertRaisesRegex(Failed, "TRUNCATED"):
            self.asked(tool({"content": "a", "truncated": True, "phase": "PLAN"}), lambda run: run.read("/a"))

    def test_a_program_that_ends_with_another_code_is_no_error(self) -> None:
        done = tool({"status": "succeeded", "code": 3, "signal": None, "stdout": "a", "stderr_base64": "/w==", "phase": "EXECUTE"})
        output, asked = self.asked(done, lambda run: run.exec("wc", "-l"))
        self.assertEqual((output.code, output.ok, output.stdout, output.stderr), (3, False, "a", "\ufffd"))
        self.assertEqual(asked["arguments"], {"argv": ["wc", "-l"]})
        _, asked = self.asked(done, lambda run: run.shell("true"))
        self.assertEqual(asked, {"name": "shell", "arguments": {"script": "true"}})

    def test_a_page(self) -> None:
        done = tool({"status": "succeeded", "http_status": 404, "content_type": "text/plain", "body": "no", "phase": "EXECUTE"})
        page, _ = self.asked(done, lambda run: run.get("example.org/a"))
        self.assertEqual((page.status, page.text, page.location), (404, "no", None))

    def test_a_pending_answer_is_waited_for(self) -> None:
        pending = tool({"status": "pending", "ticket": 7, "message": "later"})
        node, run = self.node(pending, pending, tool({"errors_left": 4, "phase": "EXECUTE"}))
        self.assertEqual(run.problem("odd", "mine"), 4)
        self.assertEqual([asked["params"]["name"] for asked in node.asked], ["report_problem", "await_result", "await_result"])
        self.assertEqual(node.asked[2]["params"]["arguments"], {"ticket": 7})
        self.assertEqual(run.phase, "EXECUTE")

    def test_what_is_refused_says_why(self) -> None:
        said = {
            "code": "OUT_OF_SCOPE",
            "message": "not that",
            "action": "act_1",
            "phase": "EXECUTE",
            "problems": [{"at": "p", "message": "m"}, {"at": "q", "message": "not that"}],
        }
        with self.assertRaises(Refused) as raised:
            self.asked(tool(said, error=True), lambda run: run.read("/b"))
        error = raised.exception
        self.assertEqual((error.code, error.message, error.action), ("OUT_OF_SCOPE", "not that; p: m", "act_1"))

    def test_what_fails_was_allowed(self) -> None:
        said = {"status": "unknown", "error": {"code": "LOST", "message": "who knows"}, "action": "act_1", "phase": "EXECUTE"}
        with self.assertRaises(Failed) as raised:
            self.asked(tool(said, error=True), lambda run: run.write("/b", ""))
        self.assertEqual((raised.exception.code, raised.exception.status), ("LOST", "unknown"))

    def test_tools_of_other_servers_answer_as_they_do(self) -> None:
        given, _ = self.asked(tool("plain words"), lambda run: run.call("search", query="x"))
        self.assertEqual(given["content"][0]["text"], "plain words")
        with self.assertRaisesRegex(Failed, "plain words"):
            self.asked(tool("plain words", error=True), lambda run: run.call("search"))

    def test_what_it_is_told(self) -> None:
        packet = {"contents": [{"text": '{"objective": "o"}'}]}
        listed = {"resources": [{"uri": "steward://packet"}]}
        node, run = self.node(packet, listed, {"resources": [{"uri": "steward://handoff"}]}, {"contents": [{"text": '{"id": "h"}'}]})
        self.assertEqual((run.packet["objective"], run.packet["objective"]), ("o", "o"))
        self.assertIsNone(run.handoff)
        self.assertEqual(Run(f"{node.url}/mcp").handoff, {"id": "h"})
        self.assertEqual(len(node.asked), 4)

    def test_who_asks_and_how(self) -> None:
        node, run = self.node({"tools": []}, {"tools": []})
        run.tools()
        self.assertEqual(node.headers[0]["Authorization"], "Bearer stw_key")
        self.assertIn("text/event-stream", node.headers[0]["Accept"])
        with mock.patch.dict(os.environ, {"STEWARD_URL": f"{node.url}/", "STEWARD_KEY": "k"}, clear=True):
            Run.from_env().tools()
        self.assertEqual(node.headers[1]["Authorization"], "Bearer k")
        with mock.patch.dict(os.environ, {"STEWARD_MCP_URL": f"{node.url}/mcp"}, clear=True):
            self.assertEqual(Run.from_env()._node.url, f"{node.url}/mcp")
        with mock.patch.dict(os.environ, {}, clear=True), self.assertRaisesRegex(RuntimeError, "STEWARD_KEY"):
            Run.from_env()

    def test_an_event_stream_is_read_too(self) -> None:
        said = b'event: message\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\ndata: {"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}\n\n'
        _, run = self.node((200, "text/event-stream", said))
        self.assertEqual(run.tools(), [{"name": "a"}])

    def test_errors_of_the_protocol(self) -> None:
        refused = json.dumps({"id": None, "error": {"code": -32000, "message": "revoked", "data": {"code": "AGENT_REVOKED"}}})
        _, run = self.node(
            (403, "application/json", refused.encode()), {"code": -32602, "message": "no"}, (503, "application/json", refused.encode())
        )
        with self.assertRaises(Refused) as raised:
            run.tools()
        self.assertEqual(raised.exception.code, "AGENT_REVOKED")
        with self.assertRaisesRegex(Refused, "-32602: no"):
            run.tools()
        with self.assertRaisesRegex(Unavailable, "AGENT_REVOKED"):
            run.tools()

    def test_a_node_that_does_not_answer(self) -> None:
        _, run = self.node((502, "text/html", b"<p>bad</p>"), (200, "application/json", b"[]"))
        with self.assertRaisesRegex(Unavailable, "502.*bad"):
            run.tools()
        with self.assertRaises(Unavailable):
            run.tools()
        with self.assertRaisesRegex(Unavailable, "cannot be reached"):
            Run("http://127.0.0.1:9/mcp").tools()
        for url in ("127.0.0.1:7373/mcp", "file:///etc/passwd"):
            with self.assertRaises(ValueError):
                Run(url)


if __name__ == "__main__":
    unittest.main()
