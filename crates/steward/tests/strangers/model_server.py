"""A model of OpenAI's protocol that is no model: it writes the packet's deliverable, with the tools that it is offered.

    python3 model_server.py        # prints its address: http://127.0.0.1:…/v1; ends when its standard input does

It plans, tries a write that is out of scope, writes, reads, and finishes: one step for each answer of its own that it is shown.
"""

import hashlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODEL = "scripted"


def step(messages):
    said = sum(message["role"] == "assistant" for message in messages)
    shown = " ".join(str(message.get("content")) for message in messages)
    path = re.search(r'"deliverables": ?\["([^"]+)"', shown.replace("\\", "")).group(1)
    script = [
        ("submit_plan", {"summary": "Write it.", "steps": [{"step": "write it", "artifact": path}]}),
        ("fs_write", {"path": "/elsewhere/a.md", "content": "x"}),
        ("fs_write", {"path": path, "content": "# Summary\n\nBy a model.\n"}),
        ("fs_read", {"path": path}),
        ("finish", {"summary": "Done."}),
    ]
    return script[said] if said < len(script) else None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "test"}]})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/embeddings"):
            return self.embed(request)
        wanted = step(request["messages"]) if request.get("tools") else None
        head = {"id": "chatcmpl-1", "created": 0, "model": MODEL}
        usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
        call = None
        if wanted:
            function = {"name": wanted[0], "arguments": json.dumps(wanted[1])}
            call = {"id": f"call_{len(request['messages'])}", "type": "function", "function": function}
        why = "tool_calls" if call else "stop"
        if not request.get("stream"):
            message = {"role": "assistant", "content": None if call else "Done.", **({"tool_calls": [call]} if call else {})}
            choice = {"index": 0, "message": message, "finish_reason": why}
            return self.answer({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        deltas = [{"role": "assistant", "content": None if call else "Done."}]
        if call:
            arguments = call["function"]["arguments"]
            half = len(arguments) // 2
            begin = {**call, "index": 0, "function": {"name": wanted[0], "arguments": ""}}
            parts = [{"index": 0, "function": {"arguments": part}} for part in (arguments[:half], arguments[half:])]
            deltas += [{"tool_calls": [part]} for part in [begin, *parts]]
        pieces = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        pieces.append({"index": 0, "delta": {}, "finish_reason": why})
        chunks = [{**head, "object": "chat.completion.chunk", "choices": [piece]} for piece in pieces]
        if (request.get("stream_options") or {}).get("include_usage"):
            chunks.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
        self.send("text/event-stream", body.encode())

    def embed(self, request):
        texts = request["input"] if isinstance(request["input"], list) else [request["input"]]
        vectors = [[byte / 255 for byte in hashlib.sha256(str(text).encode()).digest()[:8]] for text in texts]
        data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
        self.answer({"object": "list", "data": data, "model": MODEL, "usage": {"prompt_tokens": 3, "total_tokens": 3}})

    def answer(self, value):
        self.send("application/json", json.dumps(value).encode())

    def send(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(f"http://127.0.0.1:{server.server_address[1]}/v1", flush=True)
sys.stdin.read()
