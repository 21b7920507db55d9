# What the agents of these tests have in common: a line to the node for each call, a line back.
import errno, json, os, sys, time


class Node:
    def __init__(self):
        self.begin = json.loads(sys.stdin.readline())
        self.calls = 0

    def send(self, tool, **arguments):
        self.calls += 1
        sys.stdout.write(json.dumps({"id": self.calls, "tool": tool, "arguments": arguments}) + "\n")
        sys.stdout.flush()

    def hear(self):
        line = sys.stdin.readline()
        if not line:
            sys.exit(3)
        return json.loads(line)

    def ask(self, tool, **arguments):
        self.send(tool, **arguments)
        return self.hear()

    # The code of a refusal, or of an effect that failed; or "OK".
    def code(self, tool, **arguments):
        return code(self.ask(tool, **arguments))

    def plan(self):
        return self.ask("submit_plan", summary="Do it.", steps=[{"step": "do it"}])

    # Says to whoever looks from outside how far this is.
    def tell(self, name, content=""):
        return self.ask("fs.write", path="/" + name, content=content)

    def done(self, found):
        self.tell("found.json", json.dumps(found))
        self.ask("finish")


def code(said):
    if not said["ok"]:
        return said["error"]["code"]
    return said["result"].get("error", {}).get("code", "OK")


# What of these could be done, by name; and with which error each of the others could not.
def attempts(them):
    done, failed = [], {}
    for name, attempt in them:
        try:
            attempt()
            done.append(name)
        except OSError as error:
            failed[name] = errno.errorcode[error.errno]
    return done, failed


# Waits until somebody outside puts a file into the agent's folder.
def wait_for(name):
    while not os.path.exists("/files/" + name):
        time.sleep(0.01)
