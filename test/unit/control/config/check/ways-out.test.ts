// The named ways out: each is refused without its name, let in and warned of with it, shown by `routes`, and described in the docs as the table has it.
import fs from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { WAY_OUT_NAMES, WAYS_OUT, type WayOut } from "../../../../../src/base/ways-out.ts";
import { routeTable } from "../../../../../src/cli/commands/routes.ts";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { check, good, problemsOf, withRoutes } from "../../../../support/config-text.ts";

const APR1 = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/";
const SECRET = "secret: a secret of at least thirty-two bytes, algorithms: [HS256]";

/** What needs each, with a place for `insecure`, and what is said without. */
const NEEDED: Readonly<Record<WayOut, { readonly kind: (insecure: string) => string; readonly refused: string }>> = {
  "any-issuer": {
    kind: (insecure) => `jwt: { issuer: any, audience: api, ${SECRET}${insecure} }`,
    refused: "to take any, add `insecure: [any-issuer]`",
  },
  "any-tenant": {
    kind: (insecure) =>
      `jwt: { issuer: "https://id.example/{tid}", audience: api, jwks: "https://id.example/keys", algorithms: [RS256], consumerPrefix: "c:{tid}:"${insecure} }`,
    refused: "list your tenants, or write `insecure: [any-tenant]`",
  },
  "http-jwks": {
    kind: (insecure) => `jwt: { issuer: x, audience: api, jwks: "http://id.internal/keys", algorithms: [RS256]${insecure} }`,
    refused: "in a network that you trust, add `insecure: [http-jwks]`",
  },
  "weak-hashes": {
    kind: (insecure) => `basic: { htpasswd: "ann:${APR1}"${insecure} }`,
    refused: "`insecure: [weak-hashes]` lets apr1 and {SHA} in",
  },
};

const configuration = (kind: string): string =>
  `${withRoutes("- { name: all, match: {}, to: users, auth: { optional: who } }\n- { name: open, match: { path: /open }, to: users, auth: none }\n")}auth: { who: { ${kind} } }\n`;

const tableOf = (text: string): readonly string[] =>
  routeTable(compilePlan(good([text]).config, { version: 1, metricSlot: () => 0 }))
    .trimEnd()
    .split("\n");

describe.each(WAY_OUT_NAMES)("%s", (name) => {
  const { kind, refused } = NEEDED[name];
  const opened = configuration(kind(`, insecure: [${name}]`));

  it("is needed for what it opens, and the refusal names it", () =>
    expect(problemsOf(configuration(kind("")))).toEqual([expect.stringContaining(refused)]));

  it("opens it, with its warning where it stands", () =>
    expect(good([opened]).warnings.map(({ path, message, remedy }) => [path, message, remedy])).toEqual([
      [`auth.who.${WAYS_OUT[name].place}.insecure[0]`, `${name}: ${WAYS_OUT[name].warning}`, WAYS_OUT[name].remedy],
    ]));

  it("stands in the plan, and beside the routes that it concerns", () => {
    const [head, ...rows] = tableOf(opened);
    expect(head).toMatch(/POLICIES +INSECURE$/);
    expect(rows.map((row) => [row.split(/ +/)[1], row.split(/ +/).at(-1)])).toEqual([
      ["open", "-"],
      ["all", name],
    ]);
  });
});

it("`routes` has no column for them where there are none", () =>
  expect(tableOf(configuration("apiKey: { name: x-key }"))[0]).not.toContain("INSECURE"));

describe("in a wrong place", () => {
  const jwt = (more: string) => configuration(`jwt: { issuer: x, audience: api, ${SECRET} }, ${more}`);
  check(
    "beside the kind",
    jwt("‸insecure: [any-issuer]"),
    "auth.who.insecure: unknown key; it stands under the kind, as in `auth.NAME.jwt.insecure`",
  );
  check(
    "on a route",
    withRoutes("- { name: a, match: {}, to: users, ‸insecure: [http-jwks] }\n"),
    "routes[0].insecure: unknown key; nothing on a route is opened by a name: it stands under an authenticator, as in `auth.NAME.jwt.insecure`",
  );
  check(
    "on an upstream",
    `${withRoutes("- { name: a, match: {}, to: users }\n").replace("users: {", "users: { ‸insecure: [http-jwks],")}`,
    "upstreams.users.insecure: unknown key; nothing on an upstream is opened by a name; `tls.insecureSkipVerify` leaves its certificate unverified",
  );
});

it("the table in the docs is the one that the code has", () => {
  const page = fs.readFileSync(path.join(import.meta.dirname, "../../../../../docs/identity.md"), "utf8");
  const section = page.split("\n## Ways out\n")[1]?.split("\n## ")[0] ?? "";
  const rows = section.split("\n").filter((line) => /^\| `/.test(line));
  expect(rows).toEqual(
    WAY_OUT_NAMES.map(
      (name) => `| \`${name}\` | \`auth.NAME.${WAYS_OUT[name].place}\` | ${WAYS_OUT[name].opens} | ${WAYS_OUT[name].remedy} |`,
    ),
  );
});
