// The MCP conformance suite against a node: those of its server scenarios that a server without fixtures of its own can meet.
//
//   STEWARD_URL=http://127.0.0.1:7878 STEWARD_KEY=stw_… node conformance.mjs DIR [SCENARIO …]
//
// DIR is where tools/install-strangers put it. The key is that of an agent in a run, whose packet lets it make many mistakes: the suite
// calls tools that no run has. The suite cannot send a key, so that a proxy on loopback adds it. The exit code is 0 if all passed.
//
// Deliberately absent, because they are about something that the node says it does not have: see NOT_OURS.

import { spawn } from "node:child_process";
import http from "node:http";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const [dir, ...only] = process.argv.slice(2);
const { STEWARD_URL, STEWARD_KEY } = process.env;
if (!dir || !STEWARD_URL || !STEWARD_KEY) {
  console.error("usage: STEWARD_URL=… STEWARD_KEY=… node conformance.mjs DIR [SCENARIO …]");
  process.exit(2);
}
const node = new URL(STEWARD_URL);

/** Passes requests on with the key. A host that is not this proxy's is passed on as it is: the node has to refuse it. */
const proxy = http.createServer((asked, answer) => {
  const own = [`127.0.0.1:${proxy.address().port}`, `localhost:${proxy.address().port}`];
  const headers = { ...asked.headers, authorization: `Bearer ${STEWARD_KEY}` };
  if (own.includes(headers.host)) headers.host = node.host;
  const passed = http.request(
    { host: node.hostname, port: node.port, path: asked.url, method: asked.method, headers },
    (given) => {
      answer.writeHead(given.statusCode, given.headers);
      given.pipe(answer);
    },
  );
  passed.on("error", (error) => answer.writeHead(502).end(String(error)));
  asked.pipe(passed);
});
await new Promise((listens) => proxy.listen(0, "127.0.0.1", listens));
const url = `http://127.0.0.1:${proxy.address().port}/mcp`;

/** What is run, each for the revisions that it is about, and the checks in it that do not apply to us, with the reason. */
const OURS = {
  "server-initialize": { of: ["2025-06-18", "2025-11-25"] },
  ping: { of: ["2025-06-18", "2025-11-25"] },
  "tools-list": { of: ["2025-06-18", "2025-11-25", "2026-07-28"] },
  "resources-list": { of: ["2025-06-18", "2025-11-25", "2026-07-28"] },
  "server-sse-multiple-streams": { of: ["2026-07-28"] },
  "sep-2164-resource-not-found": { of: ["2026-07-28"] },
  "http-header-validation": { of: ["2026-07-28"] },
  "input-required-result-unsupported-methods": { of: ["2026-07-28"] },
  "server-stateless": { of: ["2026-07-28"] },
  caching: { of: ["2026-07-28"], but: { "sep-2549-prompts-list-caching-hints": "there are no prompts" } },
  "dns-rebinding-protection": {
    of: ["2025-11-25", "2026-07-28"],
    but: { "localhost-host-valid-accepted": "it sends an origin, as a page of a browser does; no agent has one, and the node refuses all" },
  },
};

/** What is not run, and why. */
const NOT_OURS = {
  "there are no prompts": [/^prompts-/],
  "there are no completions": ["completion-complete"],
  "the node does not log to its agents": ["logging-set-level", "tools-call-with-logging"],
  "the node asks nothing of its agents' users or models": [/^elicitation-/, "tools-call-sampling", "tools-call-elicitation", /^input-required-result-(?!unsupported-methods)/],
  "resources do not change while one looks": ["resources-subscribe", "resources-unsubscribe"],
  "it needs a tool or a resource of the suite's own, and a run has none but its packet's": [
    /^tools-call-(simple-text|image|audio|embedded-resource|mixed-content|error|with-progress)$/,
    /^resources-(read-text|read-binary|templates-read)$/,
    "json-schema-2020-12",
    "http-custom-header-server-validation",
  ],
  "there are no sessions, and no streams to take up again": ["server-session-lifecycle", "server-sse-polling"],
  "an extension that the node does not have": [/^tasks-/, /^sep-2640-/],
};

/** Runs the suite: its exit code, what it said, and what it found. */
function suite(args) {
  const results = mkdtempSync(join(tmpdir(), "conformance-"));
  const program = join(resolve(dir), "node_modules/@modelcontextprotocol/conformance/dist/index.js");
  const shim = join(dirname(fileURLToPath(import.meta.url)), "old_node.mjs");
  const output = args[0] === "server" ? ["--output-dir", results] : [];
  return new Promise((ended) => {
    const child = spawn(process.execPath, ["--import", shim, program, ...args, ...output], { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
    child.on("close", (code) => {
      const files = readdirSync(results).map((run) => join(results, run, "checks.json"));
      const checks = files.flatMap((file) => JSON.parse(readFileSync(file, "utf8")));
      rmSync(results, { recursive: true });
      ended({ code, said, checks });
    });
  });
}

/** What is wrong with a scenario; nothing if it is as it should be. */
async function wrong(scenario, revision) {
  const { said, checks } = await suite(["server", "--url", url, "--scenario", scenario, "--spec-version", revision]);
  const not_ours = OURS[scenario].but ?? {};
  // A tool of the suite's own is no tool of a run: calling it is an unknown tool, -32602, and the suite says that it could not test.
  const untestable = (check) => check.details?.untestable === true && /does not list the diagnostic tool/.test(check.errorMessage);
  const failed = checks.filter((check) => check.status === "FAILURE" && !untestable(check));
  const problems = failed.filter((check) => !(check.id in not_ours)).map((check) => `${check.id}: ${check.errorMessage}`);
  for (const id of Object.keys(not_ours))
    if (!failed.some((check) => check.id === id)) problems.push(`${id} does not fail any more; take it off the list`);
  const good = checks.filter((check) => check.status === "SUCCESS").length;
  if (good === 0) problems.push(`it checked nothing: ${said}`);
  const asides = checks.filter((check) => check.status === "WARNING" || untestable(check)).map((check) => `        (${check.id}: ${check.errorMessage})`);
  return { good, problems, asides };
}

let bad = 0;
const { said } = await suite(["list", "--server"]);
const listed = [...said.matchAll(/^ {2}- (\S+) \[/gm)].map(([, scenario]) => scenario);
const known = Object.values(NOT_OURS).flat();
const matches = (pattern, scenario) => (pattern instanceof RegExp ? pattern.test(scenario) : pattern === scenario);
for (const scenario of listed)
  if (!(scenario in OURS) && !known.some((pattern) => matches(pattern, scenario))) {
    console.log(`FAILED  ${scenario}: it is new; say whether it is ours`);
    bad += 1;
  }
if (!listed.length) throw new Error(`the suite lists nothing: ${said}`);

for (const [scenario, { of }] of Object.entries(OURS)) {
  if (only.length && !only.includes(scenario)) continue;
  for (const revision of of) {
    const { good, problems, asides } = await wrong(scenario, revision);
    console.log(`${problems.length ? "FAILED" : "ok    "}  ${scenario} of ${revision}: ${good} checks passed`);
    for (const line of [...problems.map((problem) => `        ${problem}`), ...asides]) console.log(line);
    bad += problems.length ? 1 : 0;
  }
}
proxy.close();
process.exitCode = bad ? 1 : 0;
