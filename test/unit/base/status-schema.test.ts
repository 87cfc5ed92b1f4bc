// Lists of statuses mean the same and are refused in the same words wherever a configuration names statuses.
import { describe, expect, it } from "vitest";
import { formatStatuses, hasStatus, StatusSet } from "../../../src/base/status-list.ts";
import { statusesOr, statusList } from "../../../src/base/status-schema.ts";
import { good, problemsOf, unmark } from "../../support/config-text.ts";

/** Every place that takes statuses: a text with one hole, the path, and the statuses that it may hold. */
const PLACES: readonly (readonly [name: string, hole: (value: string) => string, path: string, words: string])[] = [
  [
    "retry.on",
    (value) => upstream(`retry: { on: ${value} }`),
    "upstreams.a.retry.on",
    "connect-failure, reset, timeout, a status from 400 to 599",
  ],
  [
    "breaker.failures",
    (value) => upstream(`breaker: { failures: ${value} }`),
    "upstreams.a.breaker.failures",
    "connect-failure, reset, timeout, invalid, a status from 100 to 599",
  ],
  [
    "health.active.expect",
    (value) => upstream(`health: { active: { expect: ${value} } }`),
    "upstreams.a.health.active.expect",
    "a status from 100 to 599",
  ],
  ["aggregate.legs.expect", (value) => leg(`expect: ${value}`), "routes[0].aggregate.u.expect", "a status from 200 to 599"],
  ["aggregate.legs.relay", (value) => leg(`relay: ${value}`), "routes[0].aggregate.u.relay", "a status from 400 to 499"],
  [
    "forwardAuth.expect.status",
    (value) => route(`forwardAuth: { url: "http://auth/", expect: { status: ${value} } }, to: a`),
    "routes[0].forwardAuth.expect.status",
    "a status from 200 to 299",
  ],
];

function route(keys: string): string {
  return `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }] } }
routes: [{ name: r, match: {}, ${keys} }]
`;
}
const leg = (keys: string): string => route(`aggregate: { u: { to: a, path: /u, ${keys} } }`);
function upstream(keys: string): string {
  return `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }], ${keys} } }
routes: [{ name: r, match: {}, to: a }]
`;
}

describe.each(PLACES)("%s", (_, hole, path, words) => {
  const [, min = "", max = ""] = /from (\d+) to (\d+)/.exec(words) ?? [];

  it.each([min, `"${min}"`, `${min}-${max}`, `[${min}]`, `[${min}, ${max}, ${min}-${max}]`])("takes %s", (value) => {
    expect(problemsOf(hole(value))).toEqual([]);
  });

  it.each([
    ["‸5x", ""],
    ["‸true", ""],
    ["[‸600]", ""],
    ["[‸{}]", ""],
    [`‸${max}-${min}`, `; write \`${min}-${max}\``],
    [`‸"${min}, ${max}"`, `; write \`[${min}, ${max}]\``],
    [`[${min}, ‸${min}..${max}]`, `; write \`${min}-${max}\``],
  ])("refuses %s at its place, with the one message", (marked, remedy) => {
    const { text, places } = unmark(hole(marked));
    const index = /\[(.*)\u2038/.exec(marked)?.[1]?.split(",").length;
    const at = index === undefined ? path : `${path}[${index - 1}]`;
    const [problem = "", ...more] = problemsOf(text);
    expect(more).toEqual([]);
    expect(problem.startsWith(`${places[0]}${at}: expected ${words}, or a range such as `), problem).toBe(true);
    expect(problem.slice(problem.indexOf("or a range such as ")).includes(";") ? problem.slice(problem.indexOf(";")) : "").toBe(remedy);
  });
});

describe("maps by status", () => {
  const cached = (statuses: string): string => route(`cache: { statuses: ${statuses} }, to: a`);
  const MESSAGE = "expected a status from 200 to 599, or a range such as 500-599";

  it("take ranges, of which the narrower counts", () => {
    const { config } = good([cached("{ 500-599: 1s, 404: 10s, 502-504: 2s, 503: 3s }")]);
    const [feature] = config.routes[0]?.policies ?? [];
    const cache = feature?.config as { readonly byStatus: readonly (readonly [number, number])[] } | undefined; // output of cacheSchema
    const values = new Map(cache?.byStatus);
    expect([404, 500, 502, 503, 504, 505, 599, 600, 200].map((status) => values.get(status))).toEqual([
      10,
      1,
      2,
      3,
      2,
      1,
      1,
      ...[undefined, undefined],
    ]);
  });

  it.each([
    ["{ ‸5xx: 1s }", `routes[0].cache.statuses.5xx: ${MESSAGE}`],
    ["{ ‸100: 1s }", `routes[0].cache.statuses.100: ${MESSAGE}`],
    [
      "{ 500-510: 1s, 505-515: ‸1s }",
      "routes[0].cache.statuses.505-515: 505-515 and 500-510 have statuses in common, and neither is narrower; write ranges that do not overlap",
    ],
  ])("refuse %s at its place", (marked, message) => {
    const { text, places } = unmark(cached(marked));
    expect(problemsOf(text)).toEqual([`${places[0]}${message}`]);
  });
});

it("statuses out of the environment are statuses", () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: an environment variable in a configuration
  const { config } = good([upstream('health: { active: { expect: ["${OK}", 302] } }')], { OK: "200-299" });
  expect(config.upstreams[0]?.health.active?.statuses).toEqual([
    { min: 200, max: 299 },
    { min: 302, max: 302 },
  ]);
});

describe("what other programs write", () => {
  const remedyOf = (value: unknown): unknown => {
    const issue = statusList().safeParse(value).error?.issues[0];
    const own = issue?.code === "invalid_union" ? issue.errors.flat().find((each) => each.code === "custom") : issue;
    return own?.code === "custom" ? own.params?.["remedy"] : undefined;
  };
  it.each([
    ["5xx", "write `500-599`"],
    ["4XX", "write `400-499`"],
    ["2**", "write `200-299`"],
    ["200:299", "write `200-299`"],
    ["200 - 299", "write `200-299`"],
    ["200\u2013299", "write `200-299`"],
    ["500,502-504", "write `[500, 502-504]`"],
    ["2xx, 302", "write `[200-299, 302]`"],
    ["6xx", ""],
    ["200,ok", ""],
  ])("%s: %s", (value, remedy) => {
    expect(remedyOf(value)).toBe(remedy);
  });
});

describe("lists of statuses", () => {
  const list = statusList().parse(["200-299", 302, "404"]);

  it("are ranges in the order written, and can be written again", () => {
    expect(list).toEqual([
      { min: 200, max: 299 },
      { min: 302, max: 302 },
      { min: 404, max: 404 },
    ]);
    expect(formatStatuses(list)).toBe("200-299, 302, 404");
  });

  it("hold what they name and nothing else, by both tests", () => {
    const set = new StatusSet(list);
    for (let status = -1; status < 1000; status++) {
      const named = (status >= 200 && status <= 299) || status === 302 || status === 404;
      expect([set.has(status), hasStatus(list, status)], String(status)).toEqual([named, named]);
    }
    expect(set.has(Number.NaN)).toBe(false);
  });

  it("keep words apart, each once", () => {
    expect(statusesOr(["reset", "timeout"]).parse(["timeout", 503, "reset", "timeout"])).toEqual({
      words: ["reset", "timeout"],
      statuses: [{ min: 503, max: 503 }],
    });
  });
});
