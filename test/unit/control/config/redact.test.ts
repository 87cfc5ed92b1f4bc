import { expect, it } from "vitest";
import { parseConfig } from "../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../src/control/config/problem.ts";
import { redactConfig } from "../../../../src/control/config/redact.ts";

const TEXT = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
admin: { token: hunter2-hunter2-hunter2 }
upstreams: { a: { targets: [{ url: http://a }] } }
routes:
  - name: r
    match: {}
    to: a
    headers: { request: { set: { Authorization: Bearer hunter2, X-Api-Key: hunter2, x-tenant: acme }, remove: [cookie] } }
`;

it("shows what is configured and no secret", () => {
  const result = parseConfig({ texts: [{ file: "c.yaml", text: TEXT }] });
  if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
  const shown = JSON.stringify(redactConfig(result.config));
  expect(JSON.stringify(result.config)).toContain("hunter2");
  expect(shown).not.toContain("hunter2");
  expect(shown).toContain("acme");
  expect(JSON.parse(shown)).toMatchObject({
    admin: { token: "***" },
    routes: [{ policies: [{ name: "headers", config: { request: { set: { authorization: "***" }, remove: ["cookie"] } } }] }],
  });
});
