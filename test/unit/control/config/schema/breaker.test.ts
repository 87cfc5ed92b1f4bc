// Holds what can be said about breakers: defaults, bounds, fallbacks, and every mistake at its place.
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../../../src/control/config/load.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { BREAKER_UPSTREAMS_MAX } from "../../../../../src/shared/breaker-layout.ts";
import { check, good, problemsOf } from "../../../../support/config-text.ts";

const withBreaker = (breaker: string): string => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  users: { targets: [{ url: http://10.0.0.1 }], breaker: { ${breaker} } }
  spare: { targets: [{ url: http://10.0.0.2 }] }
routes: [{ name: all, match: {}, to: users }, { name: spare, match: { path: /s }, to: spare }]
`;
const AT = "upstreams.users.breaker";
const parsed = (breaker: string) => good([withBreaker(breaker)]).config.upstreams[0]?.breaker;

describe("what is meant", () => {
  it.each<[string, object]>([
    ["errorRate: 0.25", { errorRate: 0.25, scope: "target" }],
    ["slowCall: 2s", { slowCallMs: 2000, slowCallRate: 0.5 }],
    ["slowCall: 2s, slowCallRate: 80%", { slowCallMs: 2000, slowCallRate: 0.8 }],
    ["openFor: 5m", { openForMs: 300_000, maxOpenForMs: 300_000 }],
    ["openFor: 5s, maxOpenFor: 5s, recovery: 0", { openForMs: 5000, maxOpenForMs: 5000, recoveryMs: 0 }],
    [
      "failures: [timeout, 429, 500-503, timeout]",
      {
        failures: {
          statuses: [
            { min: 429, max: 429 },
            { min: 500, max: 503 },
          ],
          conditions: ["timeout"],
        },
      },
    ],
    ["fallback: { upstream: spare }", { fallback: { kind: "upstream", name: "spare" } }],
    [
      "fallback: { respond: { status: 203, json: { stale: true } } }",
      { fallback: { kind: "respond", config: { status: 203, body: '{"stale":true}' } } },
    ],
  ])("%s", (breaker, expected) => expect(parsed(breaker)).toMatchObject(expected));

  const storing = (breaker: string): string => withBreaker(breaker).replace("match: {}, to: users", "match: {}, to: users, cache: {}");
  it.each<[string, object]>([
    ["fallback: stale", { fallback: { kind: "stale", forS: -1 } }],
    ["fallback: { stale: 1h }", { fallback: { kind: "stale", forS: 3600 } }],
  ])("%s, where a route stores responses", (breaker, expected) =>
    expect(good([storing(breaker)]).config.upstreams[0]?.breaker).toMatchObject(expected),
  );

  it("stored responses as the fallback of all upstreams, although not all of their routes store any", () => {
    const text = storing("").replace("routes:", "upstreamDefaults: { breaker: { fallback: stale } }\nroutes:");
    expect(good([text]).config.upstreams.map(({ breaker }) => breaker?.fallback?.kind)).toEqual(["stale", "stale"]);
  });

  it("an upstream that only stands in is in use", () => {
    const text = withBreaker("fallback: { upstream: spare }").replace(", { name: spare, match: { path: /s }, to: spare }", "");
    expect(good([text]).warnings).toEqual([]);
  });

  it("a fixed answer reads the file it names, and complains where it is named", () => {
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sluice-breaker-"));
    const file = path.join(directory, "c.yaml");
    fs.writeFileSync(path.join(directory, "sorry.html"), "<p>");
    fs.writeFileSync(file, withBreaker("fallback: { respond: { file: sorry.html } }"));
    const result = loadConfig({ files: [file], env: {} });
    expect(result.ok && result.config.upstreams[0]?.breaker?.fallback).toMatchObject({
      config: { body: new Uint8Array(Buffer.from("<p>")), contentType: "text/html; charset=utf-8" },
    });
    expect(result.files).toContain(path.join(directory, "sorry.html"));
    fs.writeFileSync(file, withBreaker("fallback: { respond: { file: none.html } }"));
    const broken = loadConfig({ files: [file], env: {} });
    expect(broken.ok ? [] : broken.problems.map(formatProblem)).toEqual([
      `${file}:4:89: ${AT}.fallback.respond: can't read none.html: there is no such file; paths are relative to the configuration file`,
    ]);
    fs.rmSync(directory, { recursive: true });
  });
});

describe("what is refused", () => {
  const refused = (breaker: string, ...messages: string[]) =>
    check(breaker, withBreaker(breaker), ...messages.map((message) => `${AT}${message}`));
  refused("errorRate: ‸0%", ".errorRate: expected more than 0%");
  refused("errorRate: ‸101%", '.errorRate: expected a percentage from 0% to 100%, got "101%"');
  refused("minimumRequests: ‸0", ".minimumRequests: expected at least 1");
  refused("consecutiveFailures: ‸0", ".consecutiveFailures: expected at least 1");
  refused("window: ‸999ms", ".window: expected at least 1s");
  refused("window: ‸11m", ".window: expected at most 10m");
  refused("openFor: ‸10ms", ".openFor: expected at least 100ms");
  refused("openFor: 10s, maxOpenFor: ‸5s", ".maxOpenFor: expected at least openFor");
  refused("halfOpenRequests: ‸101", ".halfOpenRequests: expected at most 100");
  refused("slowCallRate: ‸50%", ".slowCallRate: `slowCallRate` needs `slowCall`");
  refused("scope: ‸all", ".scope: expected target, upstream or both");
  refused("failures: ‸[]", ".failures: expected at least 1 entry");
  refused(
    "failures: [‸reset-me]",
    ".failures[0]: expected connect-failure, reset, timeout, invalid, a status from 100 to 599, or a range such as 500-599",
  );
  refused(
    "failures: [‸600]",
    ".failures[0]: expected connect-failure, reset, timeout, invalid, a status from 100 to 599, or a range such as 500-599",
  );
  refused("fallback: ‸{}", ".fallback: expected exactly one of respond, upstream and stale");
  refused("fallback: ‸{ upstream: spare, respond: {} }", ".fallback: expected exactly one of respond, upstream and stale");
  refused("fallback: ‸cache", ".fallback: expected `stale`, or a map with respond, upstream or stale");
  refused("fallback: { stale: ‸true }", '.fallback.stale: expected a duration such as 250ms, 5s or 1m, got "true"');
  for (const written of ["‸stale", "‸{ stale: 1h }"])
    refused(
      `fallback: ${written}`,
      ".fallback: no route to users stores responses: there is nothing that could stand in; give a route to it `cache: {}`, or answer by `respond` or `upstream`",
    );
  refused("fallback: { upstream: ‸users }", ".fallback.upstream: an upstream cannot stand in for itself; name another one");
  refused("fallback: { upstream: ‸spara }", ".fallback.upstream: there is no upstream named spara; did you mean `spare`?");
  refused(
    "fallback: { ‸cache: true }",
    ".fallback.cache: unknown key; write `fallback: stale`, on its own: what routes with `cache` have stored stands in",
  );
  refused("‸errorRates: 5%", ".errorRates: unknown key; did you mean `errorRate`?");

  it("more breakers than there are slots", () => {
    const names = Array.from({ length: BREAKER_UPSTREAMS_MAX + 1 }, (_, i) => `u${i}`);
    const text = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { ${names.map((name) => `${name}: { targets: [{ url: http://a }], breaker: {} }`).join(", ")} }
routes: [{ name: all, match: {}, to: u0 }]
`;
    const problems = problemsOf(text);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(
      `upstreams.u${BREAKER_UPSTREAMS_MAX}.breaker: more than ${BREAKER_UPSTREAMS_MAX} upstreams have a breaker`,
    );
  });
});
