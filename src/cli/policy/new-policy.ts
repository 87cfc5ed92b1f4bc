// Owns `sluice policy new`: a policy that works, and its test. Must never write over a file.
import fs from "node:fs";
import path from "node:path";
import { OperatorError } from "../../base/errors.ts";

const NAME = /^[a-z][a-z0-9-]{0,62}$/;

/** @returns what to do next. @throws OperatorError when a file is there, or cannot be written */
export function newPolicy(name: string, directory: string): string {
  if (!NAME.test(name)) throw new OperatorError(`a policy is named by lower-case letters, digits and '-', such as tenant-header`, 2);
  const module = path.join(directory, `${name}.ts`);
  const test = path.join(directory, `${name}.test.yaml`);
  const there = [module, test].find((file) => fs.existsSync(file));
  if (there !== undefined) throw new OperatorError(`${there} is there already: choose another name, or take it away`);
  try {
    fs.mkdirSync(directory, { recursive: true });
    fs.writeFileSync(module, moduleText(name), { flag: "wx" });
    fs.writeFileSync(test, testText(name), { flag: "wx" });
  } catch (error) {
    throw new OperatorError(`cannot write to ${directory}: ${error instanceof Error ? error.message : error}`);
  }
  return `${module}: the policy
${test}: its test
Run it:  sluice policy test ${test}
Use it on a route (the path is relative to the configuration file):
  policies:
    - { module: ./${module}, with: { header: x-greeting, value: hello } }
`;
}

const moduleText = (name: string): string => `// Policy ${name}: sets a header of the request that goes upstream.
import { definePolicy } from "sluice/policy";

// Variables out here live as long as the worker, one for each worker, and all requests share them: keep nothing of a request in them.

${"export default"} definePolicy({
  name: "${name}",
  phase: "origin",
  schema: (z) => z.strictObject({ header: z.string().min(1), value: z.string().default("hello") }),
  create(config) {
    return {
      onRequest(x) {
        if (x.header("x-forbidden") !== undefined) return { problem: "access_denied" };
        x.setUpstreamHeader(config.header, config.value);
      },
    };
  },
});
`;

const testText = (name: string): string => `# The test of the policy ${name}: \`sluice policy test\` runs it.
module: ./${name}.ts
with: { header: x-greeting, value: hello }
cases:
  - name: a request goes upstream with the header
    request: { url: /orders }
    expect:
      upstream: { path: /orders, headers: { x-greeting: hello } }
      response: { status: 200 }
  - name: a forbidden request does not
    request: { url: /orders, headers: { x-forbidden: "1" } }
    expect:
      upstream: none
      response: { status: 403 }
`;
