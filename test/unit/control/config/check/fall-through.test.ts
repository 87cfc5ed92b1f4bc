// What a protected route does not match, and whether a public one would take it: the warning, and where it would only be noise.
import { describe, expect, it } from "vitest";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import { good, unmark } from "../../../../support/config-text.ts";

const HEAD = `version: 1
listeners: [{ name: public, address: 127.0.0.1:0 }, { name: internal, address: 127.0.0.1:0 }]
upstreams: { users: { targets: [{ url: http://10.0.0.1 }] }, web: { targets: [{ url: http://10.0.0.2 }] } }
auth: { corp: { apiKey: { name: x-key } } }
consumers: [{ id: c, roles: [x], keys: ["sha256:${"0".repeat(64)}"] }]
defaults: { auth: corp }
clients: { app: { headers: { x-app: "1" } } }
versioning: { from: [header, path] }
routes:
`;

const REMEDY = "match less here, or add a protected route for whatever else comes to those paths";

/** Each text is a route, to `users` unless it says otherwise; the mark stands where the warning is expected. @param what it says in the middle */
const check = (name: string, routes: readonly string[], what?: string) =>
  it(name, () => {
    const lines = routes.map((route, i) => `- { name: r${i}, ${route}${/ (to|respond):/.test(route) ? "" : ", to: users"} }\n`);
    const { text, places } = unmark(HEAD + lines.join(""));
    const index = routes.findIndex((route) => route.includes("‸"));
    const expected = `${places[0]}routes[${index}].auth: takes requests without credentials that ${what}; ${REMEDY}`;
    expect(
      good([text])
        .warnings.map(formatProblem)
        .filter((line) => line.includes("credentials")),
    ).toEqual(what === undefined ? [] : [expected]);
  });

const leaves = (names: string, example: string): string =>
  `${names}, which ${names.includes(" ") ? "are" : "is"} protected, would not match: ${example}`;

describe("it warns", () => {
  check(
    "of other methods on the same path",
    ["match: { path: /a, methods: [GET] }", "match: { path: /a }, auth: ‸none"],
    leaves("r0", "POST /a"),
  );
  check(
    "of what a service is asked about on one route alone",
    ["match: { path: /a, methods: [GET] }, auth: none, forwardAuth: { url: http://auth/ }", "match: { path: /a }, auth: ‸none"],
    leaves("r0", "POST /a"),
  );
  check(
    "of a path with fewer literals",
    ["match: { path: '/a/{id}', methods: [GET, POST] }", "match: { path: /a/** }, auth: ‸none"],
    leaves("r0", "PUT /a/{id}"),
  );
  check(
    "of requests without the header",
    ["match: { path: /a, headers: { x-version: '2' } }", "match: { path: /a }, auth: ‸none"],
    leaves("r0", "GET /a without the header x-version"),
  );
  check(
    "of requests without the parameter, also when the public route names the method",
    ["match: { path: /a, methods: [POST], query: { beta: 'true' } }", "match: { path: /a, methods: [POST] }, auth: ‸none"],
    leaves("r0", "POST /a without the query parameter beta"),
  );
  check(
    "of requests that name no version",
    ["match: { path: /a, version: ['1', '2'] }", "match: { path: /a }, auth: ‸none"],
    leaves("r0", "GET /a without the version 1 or 2"),
  );
  check(
    "of clients of no type of the operator's",
    ["match: { path: /a, client: app }", "match: { path: /a }, auth: ‸none"],
    leaves("r0", "GET /a without a client of type app"),
  );
  check(
    "of other clients",
    ["match: { path: /a, client: desktop }", "match: { path: /a }, auth: ‸none"],
    leaves("r0", "GET /a without a client of type desktop"),
  );
  check(
    "of requests on other listeners",
    ["match: { path: /a, listener: internal }", "match: { path: /a }, auth: ‸none"],
    leaves("r0", "GET /a without the listener internal"),
  );
  check(
    "of requests on the same listener",
    ["match: { path: /a, listener: internal, methods: [GET] }", "match: { path: /a, listener: internal }, auth: ‸none"],
    leaves("r0", "POST /a"),
  );
  check(
    "at each of several paths",
    ["match: { paths: [/a, '/b/{x:[0-9]+}'], methods: [GET] }", "match: { path: '/b/{y}' }, auth: ‸none"],
    leaves("r0", "POST /b/{x:[0-9]+}"),
  );
  check(
    "of a route for any host",
    ["match: { path: /a/b, methods: [GET], hosts: ['*.a.example'] }", "match: { path: '/a/{x}' }, auth: ‸none"],
    leaves("r0", "POST *.a.example/a/b"),
  );
  check(
    "of a route for everything that leads to the same service",
    ["match: { path: /a/**, methods: [GET] }", "match: {}, auth: ‸none"],
    leaves("r0", "POST /a/**"),
  );
  check(
    "once for each public route",
    [
      "match: { path: /a, methods: [GET] }",
      "match: { path: /b, methods: [GET] }",
      "match: { path: /c, methods: [GET] }",
      "match: { path: /d, methods: [GET] }",
      "match: {}, auth: ‸none",
    ],
    leaves("r0, r1, r2 and 1 more", "POST /a"),
  );
  check(
    "of a route that nobody unknown passes for lack of permission",
    [
      "match: { path: /a, methods: [GET] }, auth: { optional: corp }, authorize: { roles: { any: [x] } }",
      "match: { path: /a }, auth: ‸none",
    ],
    leaves("r0", "POST /a"),
  );
  check(
    "where only some methods are taken care of",
    ["match: { path: /a, methods: [GET, POST, PUT] }", "match: { path: /a, methods: [PATCH] }", "match: { path: /a }, auth: ‸none"],
    leaves("r0, r1", "DELETE /a"),
  );
});

describe("it does not", () => {
  check("when the public route is for other listeners by name", [
    "match: { path: /a, listener: internal }",
    "match: { path: /a, listener: public }, auth: none",
  ]);
  check("without conditions", ["match: { path: /a }", "match: { path: /** }, auth: none"]);
  check("when the public route names the method", [
    "match: { path: /a, methods: [GET] }",
    "match: { path: /a, methods: [POST] }, auth: none",
  ]);
  check("when the public route is the more specific one", [
    "match: { path: /a/**, methods: [GET] }",
    "match: { path: /a/health }, auth: none",
  ]);
  check("when the public route comes first anyway", [
    "match: { path: '/a/{id}', headers: { x-version: '2' } }",
    "match: { path: '/a/{id}', methods: [GET] }, auth: none",
  ]);
  check("when a protected route takes the rest", [
    "match: { path: /a, methods: [GET] }",
    "match: { path: /a }",
    "match: { path: /** }, auth: none",
  ]);
  check("when one for each method does", [
    "match: { path: /a, methods: [GET, POST] }",
    "match: { path: /a, methods: [PUT, PATCH, DELETE] }",
    "match: { path: /** }, auth: none",
  ]);
  check("when the public route answers by itself", [
    "match: { path: /a, methods: [GET] }",
    "match: { path: /a }, auth: none, respond: { body: x }",
  ]);
  check("of a site beside an API", ["match: { path: /a, methods: [GET] }", "match: {}, auth: none, to: web"]);
  check("when a service is asked about what the other one takes", [
    "match: { path: /a, methods: [GET] }",
    "match: { path: /a }, auth: none, forwardAuth: { url: http://auth/ }",
  ]);
  check("on other hosts", [
    "match: { path: /a, methods: [GET], hosts: [a.example] }",
    "match: { path: /a, hosts: [b.example] }, auth: none",
  ]);
  check("when nobody needs a credential", [
    "match: { path: /a, methods: [GET] }, auth: { optional: corp }",
    "match: { path: /a }, auth: none",
  ]);
});
