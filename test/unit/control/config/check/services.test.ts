// Services that are asked about requests: what is refused, what is warned about, and which upstreams come of it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { serviceOf } from "../../../../../src/control/config/check/service-of.ts";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import type { Config } from "../../../../../src/control/config/schema/schema.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { describeChanges } from "../../../../../src/control/plan/plan-diff.ts";
import { Authority } from "../../../../support/authority.ts";
import { BASE, check, good, withRoutes } from "../../../../support/config-text.ts";

const route = (forwardAuth: string, more = "") =>
  withRoutes(`- { name: shop, match: {}, forwardAuth: { ${forwardAuth} }, to: users }\n${more}`);
const AT = "routes[0].forwardAuth";

/** Routes a and b under defaults. */
const withDefaults = (forwardAuth: string) => `version: 1
listeners: [{ address: 127.0.0.1:8080 }]
upstreams: { users: { targets: [{ url: http://10.0.0.1 }] }, sso: { targets: [{ url: http://10.0.0.9 }] } }
defaults: { forwardAuth: { ${forwardAuth} } }
routes:
- { name: a, match: { path: /a }, to: users }
- { name: b, match: { path: /b }, to: users }
`;

const planOf = (text: string, version = 1) => {
  let slot = 10;
  return compilePlan(good([text]).config as Config, {
    version,
    metricSlot: () => 0,
    breakerSlot: () => slot++,
    decisionSlot: () => slot++,
  });
};
const warnings = (text: string) => good([text]).warnings.map(formatProblem);

describe("what is refused", () => {
  const refused = (forwardAuth: string, ...messages: string[]) =>
    check(forwardAuth, route(forwardAuth), ...messages.map((message) => `${AT}${message}`));
  check(
    "no service",
    withRoutes("- { name: shop, match: {}, forwardAuth: ‸{}, to: users }\n"),
    `${AT}: expected exactly one of url and to`,
  );
  check(
    "two services",
    withRoutes("- { name: shop, match: {}, forwardAuth: ‸{ url: http://auth/, to: users }, to: users }\n"),
    `${AT}: expected exactly one of url and to`,
  );
  refused("to: ‸nobody", ".to: there is no upstream named nobody; upstreams: users");
  refused("url: ‸auth:9000", ".url: expected a URL such as http://auth.internal:9000/verify");
  refused("url: ‸ftp://auth/", ".url: expected a URL such as http://auth.internal:9000/verify");
  refused("url: ‸http://a:b@auth/", ".url: a URL without user, password and fragment is needed");
  refused("url: ‸http://auth/#x", ".url: a URL without user, password and fragment is needed");
  refused("url: http://auth/, path: ‸/x", ".path: `path` belongs to `to`: the url has one; write it into the url");
  refused("to: users, path: ‸x", ".path: expected a path that starts with /");
  refused("to: users, breaker: ‸{}", ".breaker: the upstream that `to` names has its own `breaker`; write it there");
  refused("url: http://auth/, timeout: ‸0", ".timeout: expected more than 0");
  refused("url: http://auth/, timeout: ‸2m", ".timeout: expected at most 1m");
  const OWN = "the gateway writes this header into the subrequest itself, or it belongs to one connection";
  for (const name of ["host", "Content-Length", "connection", "x-forwarded-uri", "X-Original-URL", "via", "x-real-ip"])
    refused(`url: http://auth/, requestHeaders: [‸${name}]`, `.requestHeaders[0]: ${OWN}`);
  const FRAMES = "this header frames the message, belongs to one connection, or says where a request came from: no service may set it";
  for (const name of ["transfer-encoding", "set-cookie", "x-forwarded-for", "host"])
    refused(`url: http://auth/, responseHeaders: [‸${name}]`, `.responseHeaders[0]: ${FRAMES}`);
  refused('url: http://auth/, responseHeaders: [‸"x-*"]', ".responseHeaders[0]: `x-*` is a pattern: list exact names");
  refused(
    "url: http://auth/, expect: { status: ‸302 }",
    ".expect.status: expected a status from 200 to 299, or a range such as 200-299: no other answer lets a request pass",
  );
  refused("url: http://auth/, body: {}, method: ‸GET", ".method: a subrequest with a body needs POST");
  refused(
    "url: http://auth/, cache: { key: [‸authorization] }",
    ".cache.key[0]: expected method, scheme, host, path, query, ip, consumer, header.NAME or cookie.NAME",
  );
  refused("url: http://auth/, cache: { for: ‸0 }", ".cache.for: expected more than 0 and at most 1h");
  refused("url: http://auth/, onFailure: ‸maybe", ".onFailure: expected deny or allow");
  refused(
    "url: http://auth/, ca: ‸nowhere.pem",
    ".ca: can't read nowhere.pem: there is no such file; paths are relative to the configuration file",
  );
});

describe("authenticators that ask a service", () => {
  const authenticator = (auth: string, target = "http://10.0.0.1", upstream = "") => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { users: { targets: [{ url: ${target} }], ${upstream} } }
routes: [{ name: all, match: {}, auth: a, to: users }]
auth: { a: ${auth} }
`;
  const id = "clientId: g, clientSecret: s";
  check(
    "a provider that is no upstream",
    authenticator(`{ introspection: { to: ‸nobody, ${id} } }`),
    "auth.a.introspection.to: there is no upstream named nobody; upstreams: users",
  );
  check(
    "a provider in the clear",
    authenticator(`{ introspection: { to: ‸users, ${id} } }`),
    "auth.a.introspection.to: the secret and the tokens would go to http://10.0.0.1:80 in the clear; use https targets: only a provider on this machine may be called in the clear; in a network that you trust, add `insecure: [http-introspection]`",
  );
  check(
    "a provider that nobody verifies",
    authenticator(`{ introspection: { to: ‸users, ${id} } }`, "https://10.0.0.1", "tls: { insecureSkipVerify: true }"),
    "auth.a.introspection.to: the upstream users does not verify its targets; remove `tls-unverified` there; in a network that you trust, add `insecure: [http-introspection]`",
  );
  check("a provider on this machine", authenticator(`{ introspection: { to: users, path: /introspect, ${id} } }`, "http://127.0.0.1:9000"));
  check(
    "nothing that says who is calling",
    authenticator("{ forwardAuth: ‸{ url: http://sso/ } }"),
    "auth.a.forwardAuth.identity: is required; add it",
  );
  check(
    "a cookie without a name",
    authenticator("{ forwardAuth: ‸{ url: http://sso/, identity: { consumer: x-user }, in: cookie } }"),
    "auth.a.forwardAuth.name: is required for a cookie; add its name",
  );
  check(
    "a credential that is removed from what clients send",
    authenticator("{ forwardAuth: { url: http://sso/, identity: { consumer: x-user }, name: ‸x-consumer-id } }"),
    "auth.a.forwardAuth.name: this header is removed from what clients send: no credential could arrive in it; choose another name",
  );

  it("get an upstream of their own", () => {
    const provider = `{ endpoint: "https://id.example.com/introspect?v=1", ${id}, timeout: 3s, concurrency: 7, breaker: { failures: 2, openFor: 9s } }`;
    const service = `{ url: "http://[::1]:9000/who", identity: { consumer: x-user } }`;
    const plan = planOf(
      `${BASE}auth: { a: { introspection: ${provider} }, b: { forwardAuth: ${service} } }\ndefaults: { auth: { any: [a, b] } }\n`,
    );
    expect(plan.upstreams.map(({ name, targets }) => [name, targets[0]?.url])).toEqual([
      ["users", "http://10.0.0.1:80"],
      ["auth:a", "https://id.example.com:443"],
      ["auth:b", "http://[::1]:9000"],
    ]);
    expect(plan.upstreams[1]).toMatchObject({
      pool: { connections: 7, queue: 7 },
      timeouts: { connectMs: 1000, attemptMs: 3000, totalMs: 3000 },
      breaker: { scope: "upstream", consecutiveFailures: 2, openForMs: 9000, maxOpenForMs: 9000, halfOpenRequests: 1, slot: 10 },
    });
    expect(plan.authenticators.map(({ config }) => (config as { service: object }).service)).toMatchObject([
      { upstream: "auth:a", path: "/introspect?v=1" },
      { upstream: "auth:b", path: "/who" },
    ]);
    expect(Object.keys(plan.decisionSlots)).toEqual(["auth:b"]);
  });
});

describe("a service at a URL", () => {
  it("is an upstream named after the route, with a breaker and a slot for its decisions", () => {
    const plan = planOf(route('url: "https://auth.internal/verify?a=b", timeout: 500ms, breaker: { failures: 3 }'));
    expect(plan.upstreams.map(({ name }) => name)).toEqual(["users", "forwardAuth:shop"]);
    expect(plan.upstreams[1]).toMatchObject({
      targets: [{ url: "https://auth.internal:443", weight: 1 }],
      timeouts: { connectMs: 500, attemptMs: 500, idleMs: 500, totalMs: 500 },
      breaker: { consecutiveFailures: 3, failures: { statuses: [{ min: 500, max: 599 }] } },
      tls: null,
    });
    const [policy] = plan.routes[0]?.policies ?? [];
    expect(policy).toMatchObject({ name: "forwardAuth", config: { service: { upstream: "forwardAuth:shop", path: "/verify?a=b" } } });
    expect(Object.keys(plan.decisionSlots)).toEqual(["forwardAuth:shop"]);
  });

  it("is one upstream for all routes that ask it alike", () => {
    const plan = planOf(withDefaults("url: http://auth/verify"));
    expect(plan.upstreams.map(({ name }) => name)).toEqual(["users", "sso", "forwardAuth:a"]);
    expect(plan.routes.map(({ policies }) => serviceOf(policies[0]?.config)?.upstream)).toEqual(["forwardAuth:a", "forwardAuth:a"]);
    expect(Object.keys(plan.decisionSlots)).toEqual(["forwardAuth:a", "forwardAuth:b"]);
  });

  it("is one for each URL: another path is another service", () => {
    const other = '- { name: other, match: { path: /other }, forwardAuth: { url: "http://auth/two" }, to: users }';
    expect(planOf(route("url: http://auth/one", other)).upstreams.map(({ name }) => name)).toEqual([
      "users",
      "forwardAuth:shop",
      "forwardAuth:other",
    ]);
  });

  it("has authorities of its own, read from the file", () => {
    const folder = mkdtempSync(join(tmpdir(), "sluice-services-"));
    const { ca } = new Authority(folder);
    const plan = planOf(route(`url: https://auth/, ca: ${ca}`));
    expect(plan.upstreams[1]?.tls?.ca).toContain("BEGIN CERTIFICATE");
    rmSync(folder, { recursive: true });
  });

  it("is told of when it changes", () => {
    expect(describeChanges(planOf(route("url: http://one/")), planOf(route("url: http://two/"), 2))).toEqual([
      "route changed: shop",
      "upstream changed: forwardAuth:shop",
    ]);
    expect(describeChanges(planOf(route("url: http://one/")), planOf(route("to: users"), 2))).toEqual([
      "route changed: shop",
      "upstream removed: forwardAuth:shop",
    ]);
  });
});

describe("an upstream that is asked", () => {
  it("is used, and no other one comes of it", () => {
    const text = withDefaults("to: sso, path: /verify");
    expect(warnings(text)).toEqual([]);
    const plan = planOf(text);
    expect(plan.upstreams.map(({ name }) => name)).toEqual(["users", "sso"]);
    expect(plan.routes[0]?.policies[0]).toMatchObject({ config: { service: { upstream: "sso", path: "/verify", own: null } } });
  });
});

describe("what is warned about", () => {
  const OWN = [
    "is the gateway's own listener",
    "a subrequest that matches a route with `forwardAuth` causes another one; name the service's own address",
  ];
  const own = (address: string, url: string, hosts = "") => `version: 1
listeners: [{ address: "${address}" }]
upstreams: { users: { targets: [{ url: http://10.0.0.1 }] } }
routes: [{ name: a, match: { ${hosts} }, forwardAuth: { url: "${url}" }, to: users }]
`;
  it.each([
    ["0.0.0.0:8080", "http://127.0.0.1:8080/verify", ""],
    ["0.0.0.0:8080", "http://localhost:8080/verify", ""],
    ["127.0.0.1:8080", "http://localhost:8080/verify", ""],
    ["[::]:80", "http://[::1]/verify", ""],
    ["192.0.2.7:80", "http://192.0.2.7/verify", ""],
    ["0.0.0.0:80", "http://api.example.com/verify", "hosts: [api.example.com]"],
  ])("a gateway at %s that asks %s", (address, url, hosts) => {
    expect(warnings(own(address, url, hosts))).toEqual([expect.stringContaining(OWN[0] as string)]);
    expect(warnings(own(address, url, hosts))[0]).toContain(OWN[1]);
  });
  it.each([
    ["0.0.0.0:8080", "http://127.0.0.1:9000/verify", ""],
    ["192.0.2.7:8080", "http://127.0.0.1:8080/verify", ""],
    ["0.0.0.0:80", "http://auth.example.com/verify", "hosts: [api.example.com]"],
    ["127.0.0.1:0", "http://127.0.0.1:8080/verify", ""],
  ])("but not one at %s that asks %s", (address, url, hosts) => expect(warnings(own(address, url, hosts))).toEqual([]));
  it("the gateway itself behind `to`, once for all routes", () => {
    expect(warnings(withDefaults("to: sso").replace("http://10.0.0.9", "http://127.0.0.1:8080"))).toEqual([
      expect.stringMatching(/^c\.yaml:4:\d+: defaults\.forwardAuth\.to: http:\/\/127\.0\.0\.1:8080 is the gateway's own/),
    ]);
  });
  it("a key that all callers share", () => {
    expect(warnings(route("url: http://auth/, cache: { key: [path] }"))).toEqual([
      expect.stringContaining("nothing in the key says who is calling"),
    ]);
    expect(warnings(route("url: http://auth/, cache: { key: [path, cookie.s] }"))).toEqual([]);
  });
  it("a question that may take longer than a policy may", () => {
    expect(warnings(route("url: http://auth/, timeout: 7s"))).toEqual([
      expect.stringContaining(`${AT}.timeout: \`limits.policyTimeout\` (5s) ends before \`timeout: 7s\` does; lower it, or raise that one`),
    ]);
    expect(warnings(`${route("url: http://auth/, timeout: 7s")}limits: { policyTimeout: 7s }\n`)).toEqual([]);
  });
  it("a header that no request has", () => {
    expect(warnings(route("url: http://auth/, requestHeaders: [x-consumer-id]"))).toEqual([
      expect.stringContaining("no request has this header"),
    ]);
  });
});
