"""Somebody who is told by webhooks and verifies each with the official Standard Webhooks library.

It says where it listens in its first line, then `TYPE ID` of each message that verifies; one that does not is answered with 400.
STEWARD_WEBHOOK_SECRET is what signs.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["STEWARD_WEBHOOK_SECRET"])


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            told = webhook.verify(body, dict(self.headers.items()))
            for changed in (body + b" ", body.replace(b"hook", b"hock").replace(b"review", b"revuew")):
                try:
                    webhook.verify(changed, dict(self.headers.items()))
                    raise SystemExit("what was changed verifies, too")
                except WebhookVerificationError:
                    pass
            assert told == json.loads(body)
            print(told["type"], self.headers["webhook-id"], flush=True)
            self.send_response(204)
        except WebhookVerificationError as error:
            print("UNVERIFIED", error, flush=True)
            self.send_response(400)
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_port}/hooks/steward", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
