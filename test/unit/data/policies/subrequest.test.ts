// What a service is shown of a request, and under which key a decision about it is kept.
import { describe, expect, it } from "vitest";
import type { HeaderList } from "../../../../src/base/header-list.ts";
import { createClientResolver } from "../../../../src/data/exchange/client/forwarded.ts";
import type { Runtime } from "../../../../src/data/exchange/runtime.ts";
import type { KeyPart } from "../../../../src/data/policies/config-subrequest.ts";
import { chosenKey, describeBody, subrequestHeaders, wholeKey } from "../../../../src/data/policies/subrequest.ts";
import { type RequestSketch, TestExchange } from "../../../support/exchange.ts";

const PROXY = "10.0.0.1";

/** An exchange that says who asked as a real one does. */
function exchange(sketch: RequestSketch = {}): TestExchange {
  const x = new TestExchange(sketch);
  const client = createClientResolver([PROXY]);
  const runtime: Pick<Runtime, "resolveClient" | "appendForwarding"> = {
    resolveClient: (of) => client.resolve(of),
    appendForwarding: (of, out) => client.appendForwarding(of, out),
  };
  Object.assign(x.runtime, runtime);
  return x;
}

const valuesOf = (headers: HeaderList, name: string): string[] =>
  headers.flatMap((each, i) => (i % 2 === 0 && each === name ? [headers[i + 1] ?? ""] : []));

describe("a question", () => {
  it("has the headers that are to be shown, line by line, and no others", () => {
    const x = exchange({ headers: { authorization: "Bearer a", cookie: ["a=1", "b=2"], "x-secret": "s", accept: "*/*" } });
    const headers = subrequestHeaders(x, ["cookie", "authorization"], "");
    expect(valuesOf(headers, "authorization")).toEqual(["Bearer a"]);
    expect(valuesOf(headers, "cookie")).toEqual(["a=1", "b=2"]);
    expect(headers).not.toContain("x-secret");
    expect(headers).not.toContain("accept");
  });

  it("says what the request is in the gateway's words, whatever the client claims", () => {
    const claims = {
      "x-forwarded-method": "GET",
      "x-forwarded-uri": "/public",
      "x-forwarded-host": "evil.example.com",
      "x-forwarded-proto": "https",
      "x-forwarded-for": "192.0.2.99",
      "x-original-url": "/public",
      "x-original-method": "GET",
      "x-forwarded-prefix": "/public",
    };
    const x = exchange({
      method: "DELETE",
      path: "/admin",
      query: "a=b",
      authority: "api.example.com:8443",
      ip: "203.0.113.7",
      headers: claims,
    });
    expect(subrequestHeaders(x, [], x.query)).toEqual([
      ...[
        "x-forwarded-for",
        "203.0.113.7",
        "x-forwarded-proto",
        "http",
        "x-forwarded-host",
        "api.example.com:8443",
        "x-forwarded-port",
        "8443",
      ],
      ...["forwarded", 'for=203.0.113.7;proto=http;host="api.example.com:8443"', "via", "1.1 sluice"],
      ...["x-forwarded-method", "DELETE", "x-forwarded-uri", "/admin?a=b"],
    ]);
  });

  it("believes a trusted proxy in what it says of the client, and not in what it says of the request", () => {
    const headers = {
      "x-forwarded-for": "192.0.2.1",
      "x-forwarded-method": "GET",
      "x-forwarded-uri": "/public",
      "x-original-url": "/public",
    };
    const shown = subrequestHeaders(exchange({ ip: PROXY, path: "/admin", headers }), [], "");
    expect(valuesOf(shown, "x-forwarded-for")).toEqual([`192.0.2.1, ${PROXY}`]);
    expect(valuesOf(shown, "x-forwarded-method")).toEqual(["GET"]);
    expect(valuesOf(shown, "x-forwarded-uri")).toEqual(["/admin"]);
    expect(shown).not.toContain("x-original-url");
  });

  it("tells of a body what describes it", () => {
    const out: HeaderList = [];
    describeBody(exchange({ headers: { "content-type": "application/json", "content-encoding": "gzip", "content-length": "7" } }), out);
    expect(out).toEqual(["content-type", "application/json", "content-encoding", "gzip"]);
  });
});

describe("the key of everything that was shown", () => {
  const key = (sketch: RequestSketch, body: Buffer | null = null) => {
    const x = exchange(sketch);
    return wholeKey([...subrequestHeaders(x, ["authorization", "cookie"], x.query), "x-request-id", String(Math.random())], body);
  };
  const base: RequestSketch = { method: "GET", path: "/a", query: "q=1", headers: { authorization: "Bearer a", cookie: "s=1" } };

  it("is the same for requests that are alike, whatever their ids and what else they hold", () => {
    expect(key(base)).toBe(key({ ...base, headers: { ...base.headers, accept: "text/html" } }));
  });

  const others: readonly (readonly [string, RequestSketch])[] = [
    ["method", { method: "POST" }],
    ["path", { path: "/b" }],
    ["query", { query: "q=2" }],
    ["host", { authority: "other.example.com" }],
    ["scheme", { scheme: "https" }],
    ["client's address", { ip: "203.0.113.8" }],
    ["authorization", { headers: { authorization: "Bearer b", cookie: "s=1" } }],
    ["cookie", { headers: { authorization: "Bearer a", cookie: "s=2" } }],
    ["number of cookie lines", { headers: { authorization: "Bearer a", cookie: ["s", "=1"] } }],
    ["place of the same text", { headers: { authorization: "Bearer as=1", cookie: "" } }],
  ];
  it.each(others)("differs with another %s", (_, change) => expect(key({ ...base, ...change })).not.toBe(key(base)));
  it("differs with another body", () => {
    expect(key(base, Buffer.from("a"))).not.toBe(key(base, Buffer.from("b")));
    expect(key(base, Buffer.alloc(0))).not.toBe(key(base));
  });
  it("holds no credential that could be read", () => expect(key(base)).toMatch(/^[A-Za-z0-9_-]{43}$/));
});

describe("a key of chosen parts", () => {
  const key = (parts: readonly KeyPart[], sketch: RequestSketch) => chosenKey(exchange(sketch), parts);
  const HEADER: readonly KeyPart[] = [{ kind: "header", name: "authorization" }];
  it("looks at these alone", () => {
    expect(key(HEADER, { path: "/a", headers: { authorization: "x" } })).toBe(key(HEADER, { path: "/b", headers: { authorization: "x" } }));
    expect(key(HEADER, { headers: { authorization: "x" } })).not.toBe(key(HEADER, { headers: { authorization: "y" } }));
    expect(key(HEADER, {})).not.toBe(key(HEADER, { headers: { authorization: "" } }));
  });
  it("tells two headers from one that looks like both", () => {
    const both: readonly KeyPart[] = [...HEADER, { kind: "header", name: "x-tenant" }];
    expect(key(both, { headers: { authorization: "1:a;1:b" } })).not.toBe(key(both, { headers: { authorization: "a", "x-tenant": "b" } }));
    expect(key(both, { headers: { authorization: ["a", "b"] } })).not.toBe(key(both, { headers: { authorization: "a", "x-tenant": "b" } }));
  });
  it("reads one cookie out of many, and keeps nothing where it is there twice", () => {
    const cookie: readonly KeyPart[] = [{ kind: "cookie", name: "s" }];
    expect(key(cookie, { headers: { cookie: "a=1; s=2" } })).toBe(key(cookie, { headers: { cookie: "s=2; b=9" } }));
    expect(key(cookie, { headers: { cookie: "s=2" } })).not.toBe(key(cookie, { headers: { cookie: "s=3" } }));
    expect(key(cookie, { headers: { cookie: "s=2; s=3" } })).toBeNull();
    expect(key(cookie, { headers: { cookie: ["s=2", "s=2"] } })).toBeNull();
  });
  it.each([
    ["method", { method: "PUT" }],
    ["scheme", { scheme: "https" }],
    ["host", { authority: "b.example.com" }],
    ["path", { path: "/b" }],
    ["query", { query: "b" }],
    ["ip", { ip: "203.0.113.9" }],
  ] as const)("knows %s", (kind, change) => {
    expect(key([{ kind }], change)).not.toBe(key([{ kind }], {}));
    expect(key(HEADER, change)).toBe(key(HEADER, {}));
  });
});
