// What an active health check may be, what is refused of it, and where its secrets come from.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../../../src/control/config/load.ts";
import { redactConfig } from "../../../../../src/control/config/output/redact.ts";
import type { ActiveHealthPlan } from "../../../../../src/plan/plan.ts";
import { BASE, check, good } from "../../../../support/config-text.ts";

const withCheck = (active: string): string => BASE.replace("{ targets", `{ health: { active: ${active} }, targets`);
const planOf = (active: string): ActiveHealthPlan | null | undefined => good([withCheck(active)]).config.upstreams[0]?.health.active;

const USUAL = {
  tcp: false,
  method: "GET",
  path: "/healthz",
  headers: {},
  intervalMs: 5000,
  timeoutMs: 1000,
  healthyAfter: 2,
  unhealthyAfter: 3,
  statuses: [{ min: 200, max: 299 }],
  body: null,
};

describe("what is taken", () => {
  it.each<[string, Partial<ActiveHealthPlan>]>([
    ["{}", {}],
    ["{ tcp: true, interval: 1s }", { tcp: true, intervalMs: 1000 }],
    ["{ tcp: false, path: /ready }", { path: "/ready" }],
    [
      "{ method: HEAD, headers: { Host: users.internal, x-probe: grün } }",
      { method: "HEAD", headers: { host: "users.internal", "x-probe": "gr\u00c3\u00bcn" } },
    ],
    ["{ expect: 204 }", { statuses: [{ min: 204, max: 204 }] }],
    ["{ expect: { body: { contains: UP } } }", { body: { contains: "UP" } }],
    [
      '{ expect: { status: [200, 429], body: { regex: \'"status":\\s*"UP"\' } } }',
      {
        statuses: [
          { min: 200, max: 200 },
          { min: 429, max: 429 },
        ],
        body: { regex: '"status":\\s*"UP"' },
      },
    ],
  ])("%s", (text, plan) => {
    expect(planOf(text)).toEqual({ ...USUAL, ...plan });
  });
});

describe("what is refused", () => {
  const refused = (name: string, active: string, ...messages: string[]) =>
    check(name, withCheck(active), ...messages.map((message) => `upstreams.users.health.active${message}`));
  refused("a path for a check that only connects", "{ tcp: true, path: ‸/x }", ".path: `tcp: true` sends no request; remove it, or `tcp`");
  refused(
    "an expectation of a check that only connects",
    "{ tcp: true, expect: ‸200 }",
    ".expect: `tcp: true` sends no request; remove it, or `tcp`",
  );
  refused(
    "framing",
    '{ headers: { ‸content-length: "3" } }',
    ".headers.content-length: this header frames the message or belongs to one connection: the gateway writes it",
  );
  refused("another method", "{ method: ‸PUT }", ".method: expected GET, HEAD, OPTIONS or POST");
  refused(
    "the body of a response to HEAD",
    "{ method: HEAD, expect: { body: ‸{ contains: x } } }",
    ".expect.body: the response to HEAD has no body; write `method: GET`",
  );
  refused(
    "two tests of a body",
    "{ expect: { body: ‸{ contains: x, regex: x } } }",
    ".expect.body: expected exactly one of contains and regex",
  );
  refused("no test of a body", "{ expect: { body: ‸{} } }", ".expect.body: expected exactly one of contains and regex");
  refused(
    "an expression that is none",
    "{ expect: { body: { regex: ‸'(a' } } }",
    ".expect.body.regex: character 1: this group is not closed",
  );
  refused(
    "a back reference",
    "{ expect: { body: { regex: ‸'(a)\\1' } } }",
    ".expect.body.regex: character 4: back references need backtracking: they are not known here",
  );
  refused(
    "a status that is none, in a map",
    "{ expect: { status: ‸5xx } }",
    ".expect.status: expected a status from 100 to 599, or a range such as 200-299; write `500-599`",
  );
  refused("a misspelt key in a map", "{ expect: { ‸stauts: 200 } }", ".expect.stauts: unknown key; did you mean `status`?");
});

it("a header may be read from a file, and is shown nowhere", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-health-"));
  const file = join(folder, "c.yaml");
  writeFileSync(join(folder, "key"), "Bearer hunter2\n");
  writeFileSync(file, withCheck("{ headers: { authorization: file:key } }"));
  const result = loadConfig({ files: [file], env: {} });
  rmSync(folder, { recursive: true });
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  expect(result.config.upstreams[0]?.health.active?.headers).toEqual({ authorization: "Bearer hunter2" });
  expect(JSON.stringify(redactConfig(result.config))).not.toContain("hunter2");
});
