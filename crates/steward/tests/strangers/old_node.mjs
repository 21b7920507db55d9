// The conformance suite imports `globSync` of Node 22, for commands that we do not use. Older ones get an empty one.

import fs from "node:fs";
import { register } from "node:module";

const hooks = `
  export async function resolve(specifier, context, next) {
    const ofSuite = context.parentURL?.includes("/@modelcontextprotocol/conformance/");
    return ofSuite && specifier === "fs" ? { url: "old-node:fs", shortCircuit: true } : next(specifier, context);
  }
  export async function load(url, context, next) {
    if (url !== "old-node:fs") return next(url, context);
    const source = 'export * from "node:fs"; export { default } from "node:fs"; export const globSync = () => [];';
    return { format: "module", shortCircuit: true, source };
  }`;
if (!fs.globSync) register("data:text/javascript," + encodeURIComponent(hooks));
