"""A run's MCP endpoint: one request, one answer.

    node = Endpoint("http://127.0.0.1:7373/mcp")
    tools = node.request("tools/list", {})["tools"]

Deliberately absent: sessions, since the node has none, and everything that a server might ask of a client.
"""

from __future__ import annotations

import http.client
import itertools
import json
from typing import Any
from urllib.parse import urlsplit

from .errors import Refused, Unavailable

#: The revision of MCP that is spoken.
REVISION = "2025-11-25"

#: How long an answer may take, in seconds: longer than the node waits before it answers with a ticket.
TIMEOUT_S = 120.0

#: The most bytes of an answer that are read.
MAX_ANSWER_BYTES = 16 << 20


class Endpoint:
    """Where a run answers. Each request has a connection of its own, so threads may share it."""

    def __init__(self, url: str, key: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"`{url}` is no address of an endpoint; one looks like `http://127.0.0.1:7373/mcp`")
        self.url = url
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path or "/"
        self._is_tls = parts.scheme == "https"
        self._key = key
        self._timeout_s = timeout_s
        self._ids = itertools.count(1)

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Asks for something, and gives its result. Raises ``Refused`` or ``Unavailable``."""
        asked = next(self._ids)
        body = json.dumps({"jsonrpc": "2.0", "id": asked, "method": method, "params": params})
        status, kind, text = self._post(body.encode())
        for message in _messages(kind, text):
            if not isinstance(message, dict) or message.get("id") not in (asked, None):
                continue
            if isinstance(result := message.get("result"), dict):
                return result
            if isinstance(error := message.get("error"), dict):
                data = error.get("data")
                code = data.get("code") if isinstance(data, dict) else None
                kind_of = Unavailable if status >= 500 else Refused
                raise kind_of(str(code or error.get("code")), str(error.get("message")))
        what = text[:200].decode(errors="replace").strip()
        raise Unavailable("NO_ANSWER", f"`{self.url}` answered with status {status} and nothing to be read: {what}")

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": REVISION,
        }
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        connect = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        connection = connect(self._host, self._port, timeout=self._timeout_s)
        try:
            connection.request("POST", self._path, body, headers)
            response = connection.getresponse()
            text = response.read(MAX_ANSWER_BYTES + 1)
            if len(text) > MAX_ANSWER_BYTES:
                raise Unavailable("NO_ANSWER", f"an answer has more than {MAX_ANSWER_BYTES} bytes")
            return response.status, response.getheader("Content-Type", "") or "", text
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable("NO_ANSWER", f"`{self.url}` cannot be reached: {error}") from error
        finally:
            connection.close()


def _messages(kind: str, text: bytes) -> list[Any]:
    """The messages of a body: one as JSON, or those of an event stream."""
    try:
        if not kind.startswith("text/event-stream"):
            return [json.loads(text)]
        lines = text.decode().splitlines()
        data = [line[len("data:") :].strip() for line in lines if line.startswith("data:")]
        return [json.loads(said) for said in data if said]
    except ValueError:
        return []
