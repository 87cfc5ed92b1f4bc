// Templates: what is accepted, and that no client-sent value can leave the place it was put into.
import { describe, expect, test } from "vitest";
import type { Route } from "../../../../src/data/exchange/runtime.ts";
import { normalisePath } from "../../../../src/data/routing/normalise.ts";
import { compileTemplate, type Template } from "../../../../src/data/routing/template.ts";
import { identityOf } from "../../../support/authenticator.ts";
import { ReadExchange, type Sketch } from "../../../support/read-exchange.ts";

const PARAMS = ["id", "host", "**"];

function compiled(text: string): Template {
  const template = compileTemplate(text, PARAMS);
  if ("error" in template) throw new Error(`${text}: ${template.error}`);
  return template;
}

function exchange(sketch: Sketch = {}, params: readonly string[] = []): ReadExchange {
  const x = new ReadExchange(sketch);
  x.params = params;
  x.requestId = "req-1";
  // Templates read only these members of a route.
  x.route = { name: "users", paramNames: PARAMS } as unknown as Route;
  return x;
}

test.each<[string, Sketch, readonly string[], string]>([
  ["plain", {}, [], "plain"],
  ["{query.a ?? id}", {}, ["42"], "42"],
  ["{query.a ?? header.b ?? 'x y'}", {}, [], "x y"],
  ["{id ?? 'x'}", {}, ["42"], "42"],
  ["", {}, [], ""],
  ["{{id}}", {}, ["1"], "{id}"],
  ["}}{{", {}, [], "}{"],
  ["/v2/{id}", {}, ["42"], "/v2/42"],
  ["/v2/{path.id}/{path.**}", {}, ["42", "h", "a/b"], "/v2/42/a/b"],
  ["/{**}", {}, ["", "", ""], "/"],
  ["{host}", { host: "api.example.com" }, ["1", "param"], "param"],
  [
    "{method} {scheme} {route} {request.id} {client.ip}",
    { method: "PUT", secure: true, peer: "10.0.0.1" },
    [],
    "PUT https users req-1 10.0.0.1",
  ],
  ["{query.a}/{query.b}/{query.c}", { query: "a=1&b=x+y%21" }, [], "1/x y!/"],
  ["{header.X-Tenant}", { headers: ["x-tenant", "t1"] }, [], "t1"],
  ["{request.path}", { path: "/a/b" }, [], "/a/b"],
])("%j renders", (text, sketch, params, expected) => {
  expect(compiled(text).render(exchange(sketch, params))).toBe(expected);
});

test("a template without variables is constant", () => {
  expect(compiled("a{{b}}").constant).toBe("a{b}");
  expect(compiled("a{id}").constant).toBeNull();
});

test.each<[string, RegExp]>([
  ["{", /'\{' without '\}'/],
  ["{id", /'\{' without '\}'/],
  ["id}", /'\}' without '\{'/],
  ["{}", /unknown/],
  ["{id ?? }", /stands on each side of '\?\?'/],
  ["{?? id}", /stands on each side of '\?\?'/],
  ["{'a' ?? id}", /nothing can stand in for it/],
  ["{id ?? nope}", /\{nope\} is unknown/],
  ["{id ?? 'a}", /is unknown/],
  ["{nope}", /\{nope\} is unknown \(known: id, host, \*\*, query\.NAME/],
  ["{path.nope}", /no such parameter \(known: id/],
  ["{path.}", /no such parameter/],
  ["{query.}", /unknown/],
  ["{header.}", /no header name/],
  ["{header.a b}", /no header name/],
  ["{consumer.name}", /unknown/],
  ["{consumer}", /unknown/],
  ["{claims}", /unknown/],
  ["{claims.}", /unknown/],
  ["{constructor}", /unknown/],
  ['{"json": 1}', /unknown/],
  ["x".repeat(65 * 1024), /at most/],
])("compileTemplate(%j) is refused", (text, message) => {
  const template = compileTemplate(text, PARAMS);
  expect("error" in template ? template.error : "accepted").toMatch(message);
});

describe("renderPath", () => {
  test.each<[string, Sketch, readonly string[], string | null]>([
    ["/v2/{id}", {}, ["a%20b"], "/v2/a%20b"],
    ["/v2/{**}", {}, ["", "", "a/b%2C/"], "/v2/a/b%2C/"],
    ["/f/{query.n}", { query: "n=a%2Fb" }, [], "/f/a%2Fb"],
    ["/f/{query.n}", { query: "n=a%3Fb%23c+d" }, [], "/f/a%3Fb%23c%20d"],
    ["/f/{query.n}", { query: "n=%C3%A9" }, [], "/f/%C3%A9"],
    ["/f/{query.n}", { query: "n=%0d%0ax" }, [], "/f/%0D%0Ax"],
    ["/f/{query.n}", { query: "n=.." }, [], null],
    ["/f/{query.n}", { query: "n=%2e" }, [], null],
    ["/f/{query.n}", { query: "n=..%3B" }, [], "/f/..%3B"],
    ["/f/{query.n}", { query: "n=a;n=b" }, [], "/f/"],
    ["/f/{query.n}", { query: "n=a&n=b" }, [], "/f/"],
    ["/f/{header.n}", { headers: ["n", "a", "n", "b"] }, [], "/f/"],
    ["/f/{query.n}", { query: "n=a..b" }, [], "/f/a..b"],
    ["/f/{query.n}", {}, [], "/f/"],
    ["/f/{header.t}", { headers: ["t", "\u00c3\u00a9 /%"] }, [], "/f/%C3%A9%20%2F%25"],
    ["https://{request.id}.x/{client.ip}", { peer: "2001:db8::1" }, [], "https://req-1.x/2001:db8::1"],
  ])("%j with %j is %j", (text, sketch, params, expected) => {
    expect(compiled(text).renderPath(exchange(sketch, params))).toBe(expected);
  });

  test("whatever a client sends as a value, the normal form of the result keeps its two segments or is refused", () => {
    const template = compiled("/files/{query.n}");
    for (const value of [
      "..",
      ".",
      "../admin",
      "..%2fadmin",
      "%2e%2e",
      "%252e%252e",
      "..;",
      "a/../..",
      "\\..\\",
      "//x",
      "%00",
      "\u00ff",
      "..%00",
      "%c0%ae",
    ]) {
      for (const sent of [value, encodeURIComponent(value)]) {
        const path = template.renderPath(exchange({ query: `n=${sent}` }));
        const normal = path === null ? null : normalisePath(path);
        if (normal !== null) expect(normal, sent).toMatch(/^\/files\/[^/]*$/);
      }
    }
  });
});

describe("renderHeader", () => {
  test.each<[string, Sketch, readonly string[], string]>([
    ["{id}", {}, ["a%20b"], "a b"],
    ["{id}", {}, ["caf%C3%A9"], "caf\u00c3\u00a9"],
    ["é {query.n}", { query: "n=%C3%A9" }, [], "\u00c3\u00a9 \u00c3\u00a9"],
    ["{header.t}", { headers: ["t", "\u00e9"] }, [], "\u00e9"],
    ["[{query.n}]", { query: "n=a%0d%0aX-Admin:%201" }, [], "[]"],
    ["[{query.n}]", { query: "n=%00" }, [], "[]"],
    ["[{query.n}]", { query: "n=a%09b" }, [], "[a\tb]"],
    ["[{header.t}]", { headers: ["t", "a\u007f"] }, [], "[]"],
    ["[{header.none}]", {}, [], "[]"],
    ["{host}", {}, ["", "%20"], " "],
  ])("%j with %j is %j", (text, sketch, params, expected) => {
    expect(compiled(text).renderHeader(exchange(sketch, params))).toBe(expected);
  });
});

test("as text, encoded bytes are read as UTF-8, and malformed ones do not throw", () => {
  expect(compiled("{id}").render(exchange({}, ["caf%C3%A9"]))).toBe("café");
  expect(compiled("{id}").render(exchange({}, ["%E9"]))).toBe("\ufffd");
  expect(compiled("{query.n}").render(exchange({ query: "n=%E9" }))).toBe("");
  expect(compiled("{header.t}").render(exchange({ headers: ["t", "\u00c3\u00a9"] }))).toBe("é");
});

describe("what is proven of the caller", () => {
  const claims = {
    tenant: "t1",
    level: 3,
    admin: false,
    none: null,
    list: ["a"],
    realm: { name: "r" },
    "https://ns.example/org": "o1",
    "a.b": "whole",
    a: { b: "parts" },
    evil: "../x\r\ny: z?&#é",
    dots: "..",
  };
  const known = exchange();
  known.identity = identityOf("auth0|ann", { tier: "gold", claims });
  const nobody = exchange();

  test.each<[string, string, string | null, string, string]>([
    ["{consumer.id}", "auth0|ann", "auth0%7Cann", "auth0%7Cann", "auth0|ann"],
    ["{consumer.tier}", "gold", "gold", "gold", "gold"],
    ["{claims.tenant}", "t1", "t1", "t1", "t1"],
    ["{claims.level}", "3", "3", "3", "3"],
    ["{claims.admin}", "false", "false", "false", "false"],
    ["{claims.none}", "", null, "", ""],
    ["{claims.list}", "", null, "", ""],
    ["{claims.realm}", "", null, "", ""],
    ["{claims.realm.name}", "r", "r", "r", "r"],
    ["{claims.realm.name.more}", "", null, "", ""],
    ["{claims.https://ns.example/org}", "o1", "o1", "o1", "o1"],
    ["{claims.a.b}", "whole", "whole", "whole", "whole"],
    ["{claims.constructor}", "", null, "", ""],
    ["{claims.realm.toString}", "", null, "", ""],
    ["{claims.dots}", "..", null, "..", ".."],
    ["{claims.evil}", "../x\r\ny: z?&#é", "..%2Fx%0D%0Ay%3A%20z%3F%26%23%C3%A9", "..%2Fx%0D%0Ay%3A%20z%3F%26%23%C3%A9", ""],
  ])("%s", (text, plain, path, query, header) => {
    const template = compiled(text);
    expect([template.render(known), template.renderPath(known), template.renderQuery(known), template.renderHeader(known)]).toEqual([
      plain,
      path,
      query,
      header,
    ]);
    expect([template.render(nobody), template.renderPath(nobody), template.renderQuery(nobody), template.renderHeader(nobody)]).toEqual([
      "",
      null,
      "",
      "",
    ]);
  });
});
