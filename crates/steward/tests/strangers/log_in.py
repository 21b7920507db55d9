"""Logs in to a node by a provider that we did not write, with a browser of a few lines; and comes with a token as a service.

    log_in.py STEWARD ISSUER     STEWARD_HOME names the node's home, whose operator is logged in

Ends with 0 if everything was let in that should be, and nothing else.
"""

import base64
import html.parser
import json
import os
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

STEWARD, ISSUER = sys.argv[1:]
AUDIENCE = "https://steward.example.org"


class Form(html.parser.HTMLParser):
    """The first form of a page that is not for giving up: where it goes, and what it says."""

    def __init__(self, page):
        super().__init__()
        self.action, self.fields, self.inside = None, {}, False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag == "form" and self.action is None:
            self.action, self.inside = named["action"], True
        elif tag == "input" and self.inside and named.get("name"):
            self.fields[named["name"]] = named.get("value") or ""

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "form"


def browse(address, known):
    """Fills in whatever form comes, until none does; gives the last page's address and text."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    body = None
    for _ in range(12):
        with browser.open(address, body, timeout=30) as answer:
            address, page = answer.geturl(), answer.read().decode()
        form = Form(page)
        if form.action is None:
            return address, page
        fields = {name: known.get(name, value) for name, value in form.fields.items()}
        address, body = urllib.parse.urljoin(address, form.action), urllib.parse.urlencode(fields).encode()
    raise SystemExit(f"{address} asks without end")


def steward(*arguments, code=0, **env):
    done = subprocess.run([STEWARD, "--json", *arguments], env={**os.environ, **env}, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


def log_in(arguments, known):
    """Logs in at a desk of its own, and gives what the command answered, and the desk."""
    desk = tempfile.mkdtemp()
    env = {**os.environ, "STEWARD_CONFIG_DIR": desk}
    child = subprocess.Popen([STEWARD, "--json", "login", *arguments], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        if line.startswith("http"):
            break
    address, page = browse(line.strip(), known)
    out, err = child.communicate(timeout=120)
    return child.returncode, out, f"{address}\n{page}\n{err}", desk


def main():
    subject = "olivia@example.org"
    person = {"login": subject, "password": "any"}
    code, out, said, _ = log_in(["--oidc"], person)
    assert code == 1 and "NOT_LINKED" in out, f"nobody who is not linked: {out}{said}"
    steward("people", "link", "operator", "--issuer", ISSUER, "--subject", subject)
    for way in (["--oidc"], ["--issuer", ISSUER, "--device"]):
        code, out, said, desk = log_in(way, person)
        assert code == 0, f"{way}: {out}{said}"
        assert json.loads(out)["holder"].startswith("operator@"), out
        steward("people", "links", STEWARD_CONFIG_DIR=desk)
    code, out, said, _ = log_in(["--oidc"], {**person, "login": "mallory@example.org"})
    assert code == 1 and "NOT_LINKED" in out, f"another of the same provider: {out}{said}"

    form = {"grant_type": "client_credentials", "resource": AUDIENCE}
    request = urllib.request.Request(f"{ISSUER}/token", urllib.parse.urlencode(form).encode())
    credentials = base64.b64encode(b"robot:" + urllib.parse.quote_plus("not so secret").encode()).decode()
    request.add_header("Authorization", f"Basic {credentials}")
    token = json.load(urllib.request.urlopen(request, timeout=30))["access_token"]
    assert "NOT_LINKED" in steward("people", "list", code=1, STEWARD_KEY=token)
    steward("people", "add", "robot", "--role", "viewer")
    steward("people", "link", "robot", "--issuer", ISSUER, "--subject", "robot", "--service")
    steward("people", "list", STEWARD_KEY=token)
    refused = steward("people", "add", "eve", "--role", "admin", code=1, STEWARD_KEY=token)
    assert "FORBIDDEN" in refused or "NOT_PERMITTED" in refused, refused
    steward("people", "unlink", "operator", "--issuer", ISSUER, "--subject", subject)
    assert "NOT_LINKED" in steward("people", "list", code=1, STEWARD_CONFIG_DIR=desk)


main()
