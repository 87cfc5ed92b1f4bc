import { expect, test } from "vitest";
import { buildPolicy, flat, parsePolicy, type RequestSketch, responseHead, TestExchange } from "../../../../support/exchange.ts";

type Fields = Readonly<Record<string, string | readonly string[]>>;

function up(request: unknown, fields: Fields, sketch: RequestSketch = {}): string {
  const policy = buildPolicy("headers", { request }, { paramNames: Object.keys(sketch.params ?? {}) });
  const upstream = { method: "GET", path: "/", headers: flat(fields) };
  policy.onUpstreamRequest?.(new TestExchange(sketch), upstream);
  return text(upstream.headers);
}

function down(response: unknown, fields: Fields, fromUpstream = true): string {
  const head = responseHead({ fields, fromUpstream });
  buildPolicy("headers", { response }).onResponse?.(new TestExchange(), head);
  return text(head.headers);
}

/** `a: 1 | b: 2` */
function text(headers: readonly string[]): string {
  const lines: string[] = [];
  for (let i = 0; i < headers.length; i += 2) lines.push(`${headers[i]}: ${headers[i + 1]}`);
  return lines.join(" | ");
}

test("remove, set, add: in this order", () => {
  expect(up({ remove: ["x-a"] }, { "x-a": ["1", "2"], "x-b": "3", "x-ab": "4" })).toBe("x-b: 3 | x-ab: 4");
  expect(up({ remove: ["X-Internal-*", "x-b"] }, { "x-internal-user": "1", "x-internal-": "2", "x-internal": "3", "x-b": "4" })).toBe(
    "x-internal: 3",
  );
  expect(up({ set: { "X-A": "9" } }, { "x-a": ["1", "2"], "x-b": "3" })).toBe("x-a: 9 | x-b: 3");
  expect(up({ set: { "x-a": "9" } }, {})).toBe("x-a: 9");
  expect(up({ add: { "x-a": "9" } }, { "x-a": "1" })).toBe("x-a: 1 | x-a: 9");
  expect(up({ remove: ["x-*"], set: { "x-a": "2" }, add: { "x-a": "3" } }, { "x-a": "1", "x-z": "1" })).toBe("x-a: 2 | x-a: 3");
  expect(down({ remove: ["server"], set: { "x-frame-options": "DENY" } }, { server: "nginx", etag: '"1"' })).toBe(
    'etag: "1" | x-frame-options: DENY',
  );
  expect(down({ add: { "set-cookie": "a=1" } }, { "set-cookie": ["b=2", "c=3"] }, false)).toBe(
    "set-cookie: b=2 | set-cookie: c=3 | set-cookie: a=1",
  );
});

test("headers for TLS go to clients that came by https alone, in place of the service's and of those for all", () => {
  const sent = (scheme: "http" | "https", set = {}): string => {
    const head = responseHead({ fields: { "strict-transport-security": "max-age=1" }, fromUpstream: true });
    const response = { set, onTls: { "Strict-Transport-Security": "max-age=31536000", "x-h": "{host}" } };
    buildPolicy("headers", { response }).onResponse?.(new TestExchange({ scheme }), head);
    return text(head.headers);
  };
  expect(sent("https")).toBe("strict-transport-security: max-age=31536000 | x-h: api.example.com");
  expect(sent("http")).toBe("strict-transport-security: max-age=1");
  expect(sent("https", { "x-h": "1" })).toBe("strict-transport-security: max-age=31536000 | x-h: api.example.com");
  expect(sent("http", { "x-h": "1" })).toBe("strict-transport-security: max-age=1 | x-h: 1");
});

test("a prefix never takes what frames the message", () => {
  expect(up({ remove: ["co*", "h*"] }, { "content-length": "3", "content-type": "a/b", host: "a", "h-x": "1" })).toBe(
    "content-length: 3 | host: a",
  );
});

test("templates", () => {
  expect(up({ set: { "x-t": "{path.t}", "x-ip": "ip {client.ip}" } }, {}, { params: { t: "a%20b" }, ip: "192.0.2.1" })).toBe(
    "x-t: a b | x-ip: ip 192.0.2.1",
  );
  expect(up({ set: { "x-t": "é" } }, {})).toBe("x-t: Ã©");
});

test("without a value the header goes: what the client sent never passes for the operator's", () => {
  expect(up({ set: { "x-tenant": "{header.x-real}" } }, { "x-tenant": ["spoofed", "twice"], "x-b": "1" })).toBe("x-b: 1");
  expect(up({ set: { "x-tenant": "{path.t}" } }, { "x-tenant": "spoofed" }, { params: { t: "a%0D%0Ax: y" } })).toBe("");
  expect(up({ add: { "x-tenant": "{query.t}" } }, { "x-b": "1" })).toBe("x-b: 1");
});

test("host may be set upstream, to a valid host only", () => {
  expect(up({ set: { host: "users.internal:8080" } }, { host: "api.example.com" })).toBe("host: users.internal:8080");
  expect(up({ set: { host: "{header.x-host}" } }, { host: "a" }, { headers: { "x-host": "a/b" } })).toBe("host: a");
  expect(up({ set: { host: "{header.x-host}" } }, { host: "a" }, { headers: { "x-host": "b:80" } })).toBe("host: b:80");
});

test("a side without changes has no hook", () => {
  const policy = buildPolicy("headers", { response: { remove: ["server"] } });
  expect(policy.onUpstreamRequest).toBeUndefined();
  expect(policy.onResponse).toBeTypeOf("function");
});

test("configurations that can't be meant are refused", () => {
  for (const config of [
    { request: { set: { "content-length": "1" } } },
    { request: { set: { "Transfer-Encoding": "chunked" } } },
    { request: { remove: ["connection"] } },
    { request: { add: { host: "a" } } },
    { request: { remove: ["host"] } },
    { response: { set: { host: "a" } } },
    { response: { set: { date: "now" } } },
    { response: { set: { "x-a": "1\r\nx-b: 2" } } },
    { response: { set: { "x-a": " 1" } } },
    { response: { set: { "x a": "1" } } },
    { request: { remove: ["*"] } },
    { request: { remove: ["x-*-y"] } },
    { reponse: {} },
  ])
    expect(parsePolicy("headers", config), JSON.stringify(config)).toHaveProperty("problems");
});

test("a client's other spelling of a name that is removed or set goes too; the upstream's own stays", () => {
  const policy = buildPolicy("headers", { request: { remove: ["x-internal-*"], set: { "x-a": "9" } }, response: { remove: ["x-b"] } });
  const x = new TestExchange();
  x.hasAmbiguousFieldNames = true;
  const upstream = { method: "GET", path: "/", headers: flat({ x_a: "1", "x.a": "2", x_internal_user: "3", x_other: "4" }) };
  policy.onUpstreamRequest?.(x, upstream);
  expect(text(upstream.headers)).toBe("x_other: 4 | x-a: 9");
  const head = responseHead({ fields: { x_b: "1", "x-b": "2" } });
  policy.onResponse?.(x, head);
  expect(text(head.headers)).toBe("x_b: 1");
});

test("a header is added only where there is none of its name", () => {
  expect(up({ setIfAbsent: { "X-A": "9", "x-b": "8" } }, { "x-a": ["1", "2"] })).toBe("x-a: 1 | x-a: 2 | x-b: 8");
  expect(up({ setIfAbsent: { "x-a": "9" } }, { "x-a": "" })).toBe("x-a: ");
  expect(up({ remove: ["x-*"], setIfAbsent: { "x-a": "9" } }, { "x-a": "1" })).toBe("x-a: 9");
  expect(up({ setIfAbsent: { "x-a": "{query.none}" } }, {})).toBe("");
  // A service may read `x_a` as `x-a`: then the gateway's would stand beside it.
  expect(up({ setIfAbsent: { "x-a": "9" } }, { x_a: "1" }, { headers: { x_a: "1" } })).toBe("x-a: 9");
  expect(down({ setIfAbsent: { "cache-control": "no-store", "x-b": "1" } }, { "cache-control": "max-age=1" })).toBe(
    "cache-control: max-age=1 | x-b: 1",
  );
});

test("a template may name what stands in where there is no value", () => {
  const set = (text: string, headers: Readonly<Record<string, string | readonly string[]>>, query = "") =>
    up({ set: { "x-k": text } }, {}, { headers, query });
  const either = "{header.authorization ?? header.apikey}";
  expect(set(either, { authorization: "A", apikey: "B" })).toBe("x-k: A");
  expect(set(either, { apikey: "B" })).toBe("x-k: B");
  expect(set(either, {})).toBe("");
  // Nobody can say which of two a service would read: it counts as none.
  expect(set(either, { authorization: ["A", "C"], apikey: "B" })).toBe("x-k: B");
  expect(set("<{query.a ?? header.b ?? 'no ?'}>", {})).toBe("x-k: <no ?>");
  expect(set('{query.a??header.b??"x"}', {}, "a=1")).toBe("x-k: 1");
});

test("an allow-list says which of the client's headers go upstream", () => {
  const policy = buildPolicy("headers", { request: { allow: ["Accept", "x-app-*"] } });
  const passing = [
    "accept",
    "x-app-a",
    "x-app-",
    "content-type",
    "content-encoding",
    "max-forwards",
    "accept-language",
    "x-app",
    "cookie",
    "x_app-a",
  ].filter((name) => policy.copies?.(name));
  expect(passing).toEqual(["accept", "x-app-a", "x-app-", "content-type", "content-encoding", "max-forwards"]);
  expect(policy.onUpstreamRequest).toBeUndefined();
  expect(buildPolicy("headers", { request: { allow: [] } }).copies?.("accept")).toBe(false);
  expect(buildPolicy("headers", { request: { remove: ["a"] } }).copies).toBeUndefined();
});

test("conditions on absence that can't be meant are refused", () => {
  for (const [config, expected] of [
    [{ request: { set: { "x-a": "1" }, setIfAbsent: { "X-A": "2" } } }, /request\.setIfAbsent\.x-a: x-a is under `set` too/],
    [{ response: { set: { "x-a": "1" }, setIfAbsent: { "x-a": "2" } } }, /response\.setIfAbsent\.x-a: x-a is under `set` too/],
    [{ request: { setIfAbsent: { host: "a" } } }, /request\.setIfAbsent\.host/],
    [{ request: { allow: ["*"] } }, /expected a header name, or a prefix/],
    [{ response: { allow: ["x-a"] } }, /allow|unrecognized|unknown/i],
  ] as const) {
    const parsed = parsePolicy("headers", config);
    expect("problems" in parsed ? parsed.problems.join() : "accepted").toMatch(expected);
  }
});
