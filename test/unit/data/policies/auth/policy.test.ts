// The truth table of the tree, with authenticators that answer at once and later; challenges; what is stripped.
import { describe, expect, it } from "vitest";
import { benchAuth } from "../../../../../bench/micro/auth.ts";
import type { UpstreamRequest } from "../../../../../src/data/exchange/policy.ts";
import { HeaderAuthenticator } from "../../../../support/authenticator.ts";
import { buildPolicy, policyRoute, TestExchange } from "../../../../support/exchange.ts";

type Said = Readonly<Record<string, string>>;

interface Given {
  readonly authenticators: readonly HeaderAuthenticator[];
  /** Names of those that have `forwardCredentials: true` of their own. */
  readonly forwarding: readonly string[];
}

function build(tree: unknown, ...given: readonly HeaderAuthenticator[] | readonly [Given]) {
  const [first] = given;
  const { authenticators, forwarding } =
    first !== undefined && "forwarding" in first ? first : { authenticators: given as readonly HeaderAuthenticator[], forwarding: [] };
  const { resources } = policyRoute();
  const written = authenticators.map(({ name }) => ({
    name,
    kind: "x",
    config: {},
    forwardCredentials: forwarding.includes(name),
    insecure: [],
    fingerprint: "",
  }));
  return buildPolicy("auth", tree, {
    resources: {
      ...resources,
      plan: { ...resources.plan, authenticators: written },
      authenticators: new Map(authenticators.map((each) => [each.name, each])),
    },
  });
}

const exchange = (said: Said, query = ""): TestExchange =>
  new TestExchange({ query, headers: Object.fromEntries(Object.entries(said).map(([name, value]) => [`x-${name}`, value])) });

/** `id (authenticators)`, `nobody`, or the code of the answer. */
async function outcome(tree: unknown, said: Said, later: boolean): Promise<string> {
  const policy = build(tree, ...["a", "b", "c"].map((name) => new HeaderAuthenticator(name, { later })));
  const x = exchange(said);
  const pending = policy.onRequest?.(x);
  if (!later) expect(pending).not.toBeInstanceOf(Promise);
  const reply = await pending;
  if (reply !== undefined) {
    expect(x.identity).toBeNull();
    return reply.kind === "problem" ? reply.code : "answered";
  }
  return x.identity === null ? "nobody" : `${x.identity.consumer} (${x.identity.authenticator})`;
}

const MISSING = "credentials_missing";
const INVALID = "credentials_invalid";
const MALFORMED = "credentials_malformed";
const DOWN = "auth_unavailable";
const ANY = { any: ["a", "b"] };
const ALL = { all: ["a", "b"] };
const OPTIONAL = { optional: "a" };
const OPTIONAL_ALL = { optional: ALL };
const PLUS = { all: ["a", { optional: "b" }] };
const EITHER = { any: [ALL, "c"] };
const PAIRS = { any: [{ all: ["a", "b"] }, { all: ["a", "c"] }] };
const LAST_RESORT = { any: [OPTIONAL, "b"] };
const BOTH_OPTIONAL = { all: [{ optional: "a" }, { optional: "b" }] };

describe.each([false, true])("answers %s", (later) => {
  it.each<[unknown, Said, string]>([
    ["none", {}, "nobody"],
    ["none", { a: "bad" }, "nobody"],
    ["a", {}, MISSING],
    ["a", { a: "ann" }, "ann (a)"],
    ["a", { a: "bad" }, INVALID],
    ["a", { a: "twice" }, MALFORMED],
    ["a", { a: "down" }, DOWN],
    ["a", { b: "ann" }, MISSING],

    [ANY, {}, MISSING],
    [ANY, { a: "ann" }, "ann (a)"],
    [ANY, { b: "ben" }, "ben (b)"],
    [ANY, { a: "ann", b: "ben" }, "ann (a)"],
    [ANY, { a: "ann", b: "bad" }, "ann (a)"],
    [ANY, { a: "bad", b: "ben" }, "ben (b)"],
    [ANY, { a: "bad" }, INVALID],
    [ANY, { b: "bad" }, INVALID],
    [ANY, { a: "bad", b: "bad" }, INVALID],
    [ANY, { a: "twice", b: "ben" }, "ben (b)"],
    [ANY, { a: "twice", b: "bad" }, MALFORMED],
    [ANY, { a: "bad", b: "twice" }, MALFORMED],
    [ANY, { a: "twice", b: "down" }, DOWN],
    [ANY, { a: "down" }, DOWN],
    [ANY, { b: "down" }, DOWN],
    [ANY, { a: "down", b: "ben" }, "ben (b)"],
    [ANY, { a: "down", b: "bad" }, DOWN],
    [ANY, { a: "bad", b: "down" }, DOWN],

    [ALL, {}, MISSING],
    [ALL, { a: "ann" }, MISSING],
    [ALL, { b: "ann" }, MISSING],
    [ALL, { a: "ann", b: "ann" }, "ann (a+b)"],
    [ALL, { a: "ann", b: "ben" }, INVALID],
    [ALL, { a: "ann", b: "bad" }, INVALID],
    [ALL, { a: "bad", b: "ann" }, INVALID],
    [ALL, { a: "bad" }, INVALID],
    [ALL, { b: "bad" }, INVALID],
    [ALL, { a: "ann", b: "twice" }, MALFORMED],
    [ALL, { a: "ann", b: "down" }, DOWN],
    [ALL, { a: "down", b: "ann" }, DOWN],
    [ALL, { a: "down", b: "bad" }, INVALID],
    [ALL, { a: "down" }, MISSING],
    [ALL, { b: "down" }, MISSING],

    [OPTIONAL, {}, "nobody"],
    [OPTIONAL, { a: "ann" }, "ann (a)"],
    [OPTIONAL, { a: "bad" }, INVALID],
    [OPTIONAL, { a: "twice" }, MALFORMED],
    [OPTIONAL, { a: "down" }, DOWN],
    [{ optional: ANY }, {}, "nobody"],
    [{ optional: ANY }, { b: "bad" }, INVALID],
    [{ optional: ANY }, { a: "bad", b: "ben" }, "ben (b)"],
    [OPTIONAL_ALL, {}, "nobody"],
    [OPTIONAL_ALL, { a: "ann" }, MISSING],
    [OPTIONAL_ALL, { b: "ann" }, MISSING],
    [OPTIONAL_ALL, { a: "ann", b: "ann" }, "ann (a+b)"],
    [OPTIONAL_ALL, { a: "ann", b: "ben" }, INVALID],
    [{ optional: OPTIONAL }, {}, "nobody"],

    [PLUS, {}, MISSING],
    [PLUS, { a: "ann" }, "ann (a)"],
    [PLUS, { b: "ann" }, MISSING],
    [PLUS, { a: "ann", b: "ann" }, "ann (a+b)"],
    [PLUS, { a: "ann", b: "ben" }, INVALID],
    [PLUS, { a: "ann", b: "bad" }, INVALID],
    [PLUS, { a: "ann", b: "down" }, DOWN],

    [EITHER, {}, MISSING],
    [EITHER, { a: "ann" }, MISSING],
    [EITHER, { a: "ann", c: "cem" }, "cem (c)"],
    [EITHER, { a: "ann", c: "bad" }, INVALID],
    [EITHER, { a: "ann", b: "ann", c: "bad" }, "ann (a+b)"],
    [EITHER, { a: "ann", b: "ben", c: "cem" }, "cem (c)"],
    [EITHER, { a: "ann", b: "down", c: "bad" }, DOWN],

    [PAIRS, { a: "ann", c: "ann" }, "ann (a+c)"],
    [PAIRS, { a: "ann", b: "ann" }, "ann (a+b)"],
    [PAIRS, { a: "ann", b: "ben", c: "ann" }, "ann (a+c)"],
    [PAIRS, { a: "ann" }, MISSING],

    [LAST_RESORT, {}, "nobody"],
    [LAST_RESORT, { b: "ben" }, "ben (b)"],
    [LAST_RESORT, { b: "bad" }, INVALID],
    [LAST_RESORT, { b: "down" }, DOWN],

    [BOTH_OPTIONAL, {}, "nobody"],
    [BOTH_OPTIONAL, { b: "ben" }, "ben (b)"],
    [BOTH_OPTIONAL, { a: "ann", b: "ben" }, INVALID],
  ])("%j with %j: %s", async (tree, said, expected) => {
    expect(await outcome(tree, said, later)).toBe(expected);
  });
});

it("asks an authenticator once, however often the tree names it", async () => {
  for (const later of [false, true]) {
    const [a, b, c] = ["a", "b", "c"].map((name) => new HeaderAuthenticator(name, { later }));
    if (a === undefined || b === undefined || c === undefined) throw new Error("three were made");
    const x = exchange({ a: "ann", c: "ann" });
    expect(await build(PAIRS, a, b, c).onRequest?.(x)).toBeUndefined();
    expect([a.calls, b.calls, c.calls]).toEqual([1, 1, 1]);
  }
});

it("joins what each credential grants, and drops claims on which they disagree", () => {
  const a = new HeaderAuthenticator("a", {
    grants: { tier: null, scopes: ["r"], roles: ["x"], claims: { iss: "one", sub: "ann", tenant: "t1", roles: ["p"] } },
  });
  const b = new HeaderAuthenticator("b", {
    grants: { tier: "gold", scopes: ["r", "w"], groups: ["g"], claims: { iss: "two", sub: "ann", org: 7, roles: ["p"] } },
  });
  const ask = () => {
    const x = exchange({ a: "ann", b: "ann" });
    build(ALL, a, b).onRequest?.(x);
    return x.identity;
  };
  expect(ask()).toEqual({
    consumer: "ann",
    authenticator: "a+b",
    tier: "gold",
    scopes: ["r", "w"],
    roles: ["x"],
    groups: ["g"],
    partial: false,
    expiresMs: Number.POSITIVE_INFINITY,
    claims: { sub: "ann", tenant: "t1", org: 7, roles: ["p"] },
  });
  expect(ask()).toBe(ask());
});

describe("challenges", () => {
  async function challenges(tree: unknown, said: Said, authenticators: readonly HeaderAuthenticator[]): Promise<readonly string[]> {
    const reply = await build(tree, ...authenticators).onRequest?.(exchange(said));
    if (reply?.kind !== "problem") throw new Error("not refused");
    return (reply.headers ?? []).filter((each) => each !== "www-authenticate");
  }
  const bearers = () => [new HeaderAuthenticator("a"), new HeaderAuthenticator("b")];

  it.each<[unknown, Said, string[]]>([
    ["a", {}, ['Bearer realm="a"']],
    ["a", { a: "bad" }, ['Bearer realm="a", error="invalid_token", error_description="a is not good"']],
    ["a", { a: "twice" }, ['Bearer realm="a", error="invalid_request", error_description="a is there twice"']],
    [ANY, {}, ['Bearer realm="a"', 'Bearer realm="b"']],
    [ANY, { b: "bad" }, ['Bearer realm="a"', 'Bearer realm="b", error="invalid_token", error_description="b is not good"']],
    [ALL, { a: "ann", b: "ben" }, ['Bearer realm="a"', 'Bearer realm="b"']],
    [ALL, { a: "ann" }, ['Bearer realm="a"', 'Bearer realm="b"']],
    ["a", { a: "down" }, []],
  ])("%j with %j", async (tree, said, expected) => {
    expect(await challenges(tree, said, bearers())).toEqual(expected);
  });

  it("equal ones are sent once, other schemes get no parameters, and there is always one", async () => {
    const basic = { challenge: 'Basic realm="x"' };
    expect(await challenges(ANY, { a: "bad" }, [new HeaderAuthenticator("a", basic), new HeaderAuthenticator("b", basic)])).toEqual([
      'Basic realm="x"',
    ]);
    const silent = { challenge: null };
    expect(await challenges(ANY, {}, [new HeaderAuthenticator("a", silent), new HeaderAuthenticator("b", silent)])).toEqual([
      'Credential realm="a"',
      'Credential realm="b"',
    ]);
    expect(await challenges(ANY, {}, [new HeaderAuthenticator("a"), new HeaderAuthenticator("b", silent)])).toEqual(['Bearer realm="a"']);
  });
});

it("who comes without credentials is told what the route takes", async () => {
  const detail = async (tree: unknown): Promise<string> => {
    const reply = await build(tree, new HeaderAuthenticator("a"), new HeaderAuthenticator("b")).onRequest?.(exchange({}));
    return reply?.kind === "problem" ? reply.detail : "";
  };
  expect(await detail("a")).toBe("the route takes header x-a");
  expect(await detail(ANY)).toBe("the route takes header x-a or header x-b");
  expect(await detail(ALL)).toBe("the route takes header x-a and header x-b");
});

describe("credentials on their way upstream", () => {
  const stripPath = (path: string): string => path.replace(/[?&]key=[^&]*/, "");
  const upstream = (): UpstreamRequest => ({ method: "GET", path: "/x?key=s3cret", headers: ["x-a", "1", "x-b", "2", "x-c", "3"] });
  const all = () => [new HeaderAuthenticator("a"), new HeaderAuthenticator("b", { stripPath }), new HeaderAuthenticator("c")];

  it("those that the route asks for are taken out, needed or not", () => {
    const request = upstream();
    build(ANY, ...all()).onUpstreamRequest?.(exchange({}), request);
    expect(request).toEqual({ method: "GET", path: "/x", headers: ["x-c", "3"] });
  });

  it("they stay on public routes", () => expect(build("none", ...all()).onUpstreamRequest).toBeUndefined());

  describe("with forwardCredentials, what was proven stays, and nothing else", () => {
    const X_C = ["x-c", "3"];
    const forwarded = (tree: unknown, said: Said, authenticators = all()): UpstreamRequest => {
      const policy = build({ ...(tree as object), forwardCredentials: true }, ...authenticators);
      const x = exchange(said);
      policy.onRequest?.(x);
      const request = upstream();
      policy.onUpstreamRequest?.(x, request);
      request.headers = request.headers.slice(0, request.headers.indexOf("x-consumer-id") >>> 0);
      return request;
    };
    it.each<[string, unknown, Said, readonly string[], string]>([
      ["a forged credential beside the good one", ANY, { a: "ann", b: "bad" }, ["x-a", "1", ...X_C], "/x"],
      ["a forged one that comes first", ANY, { a: "bad", b: "ben" }, ["x-b", "2", ...X_C], "/x?key=s3cret"],
      ["a good one that nobody looked at", ANY, { a: "ann", b: "ann" }, ["x-a", "1", ...X_C], "/x"],
      ["both of two that were needed", ALL, { a: "ann", b: "ann" }, ["x-a", "1", "x-b", "2", ...X_C], "/x?key=s3cret"],
      ["nobody's", { optional: ANY }, {}, X_C, "/x"],
    ])("%s", (_, tree, said, headers, path) => expect(forwarded(tree, said)).toEqual({ method: "GET", path, headers }));

    it("a credential stays that two authenticators look for in one place, whichever of them proved it", () => {
      const [a, b] = [new HeaderAuthenticator("a"), new HeaderAuthenticator("b", { place: "header x-a" })];
      expect(forwarded(ANY, { a: "ann" }, [a, b]).headers).toEqual(["x-a", "1", "x-b", "2", ...X_C]);
    });
  });

  describe("an authenticator's own forwardCredentials", () => {
    const forwarded = (tree: unknown, said: Said, names: readonly string[], authenticators = all()): UpstreamRequest => {
      const policy = build(tree, { authenticators, forwarding: names });
      const x = exchange(said);
      policy.onRequest?.(x);
      const request = upstream();
      policy.onUpstreamRequest?.(x, request);
      request.headers = request.headers.slice(0, request.headers.indexOf("x-consumer-id") >>> 0);
      return request;
    };
    const shared = () => [new HeaderAuthenticator("a"), new HeaderAuthenticator("b", { place: "header x-a" })];
    const X_A = ["x-a", "1"];
    const X_B = ["x-b", "2"];
    const X_C = ["x-c", "3"];
    it.each<[string, unknown, Said, readonly string[], readonly string[], string]>([
      ["counts for what it has proven", "a", { a: "ann" }, ["a"], [...X_A, ...X_B, ...X_C], "/x?key=s3cret"],
      ["counts for no other's proof", ANY, { b: "ben" }, ["a"], X_C, "/x"],
      ["counts in a tree without the route's word", ANY, { a: "ann", b: "bad" }, ["a"], [...X_A, ...X_C], "/x"],
      ["counts beside one that does not forward", ALL, { a: "ann", b: "ann" }, ["a"], [...X_A, ...X_C], "/x"],
      ["is overruled by the route's no", { ...ANY, forwardCredentials: false }, { a: "ann" }, ["a", "b"], X_C, "/x"],
      ["is overruled by the route's yes", { ...ANY, forwardCredentials: true }, { a: "ann" }, ["b"], [...X_A, ...X_C], "/x"],
      ["forwards nobody's", { optional: "a" }, {}, ["a"], [...X_B, ...X_C], "/x?key=s3cret"],
    ])("%s", (_, tree, said, names, headers, path) => expect(forwarded(tree, said, names)).toEqual({ method: "GET", path, headers }));

    it("does not count where another that has proven the same place keeps it back", () => {
      // The place is removed once, as the last of the two removes it.
      expect(forwarded(ALL, { a: "ann", b: "ann" }, ["a"], shared()).headers).toEqual([...X_A, ...X_C]);
      expect(forwarded(ALL, { a: "ann", b: "ann" }, ["a", "b"], shared()).headers).toEqual([...X_A, ...X_B, ...X_C]);
    });
  });

  it("who is calling takes their place", () => {
    const policy = build(ANY, ...all());
    const x = exchange({ a: "ann" });
    policy.onRequest?.(x);
    const request = upstream();
    policy.onUpstreamRequest?.(x, request);
    expect(request.headers).toEqual(["x-c", "3", "x-consumer-id", "ann"]);
  });

  it("the query that is shown is without them", () => {
    const { hideQuery } = build(ANY, ...all());
    for (const [query, shown] of [
      ["key=s3cret&q=1", "q=1"],
      ["q=1&key=s3cret", "q=1"],
      ["key=s3cret", ""],
      ["q=1", "q=1"],
    ] as const)
      expect(hideQuery?.(query)).toBe(shown);
    expect(build(ANY, new HeaderAuthenticator("a"), new HeaderAuthenticator("b"), new HeaderAuthenticator("c")).hideQuery).toBeUndefined();
  });
});

it("a plan that names an authenticator which is not there is refused", () => {
  expect(() => build("nobody")).toThrow("there is no authenticator named nobody");
});

it("the benchmark still does its work", () => expect(benchAuth(1).passed).toBe(7 * 2000));
