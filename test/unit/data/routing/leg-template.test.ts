// Templates of legs: what they may name, and that no value of a service leaves the place it was put into, or is left out unnoticed.
import { describe, expect, test } from "vitest";
import { parseExact } from "../../../../src/base/exact-json.ts";
import {
  compileLegTemplate,
  compileLegValue,
  type LegContext,
  type LegNames,
  type LegTemplate,
} from "../../../../src/data/routing/leg-template.ts";
import { normalisePath } from "../../../../src/data/routing/normalise.ts";
import { ReadExchange, type Sketch } from "../../../support/read-exchange.ts";
import { seededRandom } from "../../../support/upstreams.ts";

const NAMES: LegNames = { params: ["id", "item"], legs: ["user", "orders"], lists: new Set(["orders"]), hasItem: false };
const LIST: LegNames = { ...NAMES, hasItem: true };

function compiled(text: string, names = LIST): LegTemplate {
  const template = compileLegTemplate(text, names);
  if ("error" in template) throw new Error(`${text}: ${template.error}`);
  return template;
}

interface Given {
  readonly user?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly item?: unknown;
  readonly sketch?: Sketch;
  readonly params?: readonly string[];
}

function context({ user, headers = {}, item, sketch = {}, params = ["7", "param"] }: Given): LegContext {
  const x = new ReadExchange(sketch);
  x.params = params;
  return { x, item, answers: { json: (leg) => (leg === 0 ? user : undefined), header: (_, name) => headers[name] } };
}

describe("what a template may name", () => {
  test.each<[string, readonly number[]]>([
    ["/users/{id}", []],
    ["{legs.user.json.id}", [0]],
    ["{legs.user.json}/{legs.orders.json.0.id}/{legs.user.header.ETag}", [0, 1]],
    ["{legs.user.json/a~1b/0}", [0]],
    ["{{legs.none.json}}", []],
    ["{item.id}/{item}/{item/a}", []],
  ])("%s waits for the legs %j", (text, legs) => {
    expect(compiled(text).legs).toEqual(legs);
  });

  test.each<[string, RegExp]>([
    ["{legs.nobody.json.id}", /there is no leg nobody \(legs: user, orders\)/],
    ["{legs.user}", /expected \{legs\.NAME\.json\.PATH\}/],
    ["{legs.user.body}", /expected \{legs\.NAME\.json\.PATH\}/],
    ["{legs.user.header}", /'' is no header name/],
    ["{legs.user.header.a b}", /'a b' is no header name/],
    ["{legs.orders.header.etag}", /many answers' headers/],
    ["{legs.user.json.a..b}", /empty step/],
    ["{nope}", /\{nope\} is unknown/],
    ["{item.id}", /only a leg with `forEach`/],
    ["{", /without '\}'/],
  ])("%s is refused", (text, error) => {
    expect(compileLegTemplate(text, NAMES)).toEqual({ error: expect.stringMatching(error) });
  });

  test("a parameter named item is itself where no list is asked for, and path.item everywhere", () => {
    expect(compiled("/{item}", NAMES).renderPath(context({}))).toBe("/param");
    expect(compiled("/{item}").renderPath(context({ item: "x" }))).toBe("/x");
    expect(compiled("/{path.item}").renderPath(context({ item: "x" }))).toBe("/param");
  });

  test("a list is one value of another leg's JSON", () => {
    for (const text of ["{legs.user.json.items}", "legs.user.json.items"]) {
      const template = compileLegValue(text, NAMES);
      expect("error" in template ? template.error : template.renderJson(context({ user: { items: [1, 2] } }))).toEqual([1, 2]);
    }
    for (const text of ["{id}", "{legs.user.header.x}", "a{legs.user.json}", "{legs.user.json}{legs.user.json}"])
      expect(compileLegValue(text, NAMES)).toHaveProperty("error");
  });
});

describe("in a path", () => {
  const path = (value: unknown): string | null => compiled("/u/{legs.user.json.id}").renderPath(context({ user: { id: value } }));

  test.each<[unknown, string | null]>([
    ["abc", "/u/abc"],
    [7, "/u/7"],
    [parseExact("12345678901234567890"), "/u/12345678901234567890"],
    ["a/b", "/u/a%2Fb"],
    ["a?b#c", "/u/a%3Fb%23c"],
    ["é", "/u/%C3%A9"],
    ["a\r\nb", "/u/a%0D%0Ab"],
    ["..", null],
    [".", null],
    ["", null],
    [null, null],
    [undefined, null],
    [{}, null],
    [["a"], null],
    ["\ud800", null],
  ])("the value %j becomes %j", (value, expected) => {
    expect(path(value)).toBe(expected);
  });

  test("no value of a service makes another path of it, whatever it is", () => {
    const random = seededRandom(5);
    const alphabet = "./\\%25eE2fF?#&;=:@ \r\n\0aé\u202e";
    for (let i = 0; i < 20_000; i++) {
      let value = "";
      for (let n = Math.floor(random() * 8); n >= 0; n--) value += alphabet[Math.floor(random() * alphabet.length)];
      const rendered = compiled("/u/{legs.user.json.id}/end").renderPath(context({ user: { id: value } }));
      const normal = rendered === null ? null : normalisePath(rendered, "refuse");
      if (normal === null) continue; // refused
      expect(normal.split("/")).toHaveLength(4);
      expect(decodeURIComponent(normal.split("/")[2] ?? "")).toBe(value);
      expect(normal).toMatch(/^\/u\/[^/?#]+\/end$/);
    }
  });

  test("a client's value that may not stand in a path is the client's fault, a service's is not", () => {
    const template = compiled("/{id}/{claims.sub}/{legs.user.json.id}");
    const missing = context({ user: { id: 1 }, params: ["7"] });
    expect(template.renderPath(missing)).toBeNull();
    expect(template.fault(missing)).toEqual({ client: true, detail: "{claims.sub} has no value that may stand in a path" });
    const other = compiled("/{id}/{legs.user.json.id}");
    expect(other.fault(context({ user: {}, params: ["7"] }))).toEqual({ client: false, detail: "{legs.user.json.id} has no value" });
  });
});

test("in a query no value can add a parameter, and an empty one is a value", () => {
  const query = (id: unknown): string | null => compiled("a={legs.user.json.id}").renderQuery(context({ user: { id } }));
  expect(query("x&b=1")).toBe("a=x%26b%3D1");
  expect(query("")).toBe("a=");
  expect(query(null)).toBeNull();
});

test("in a header CR, LF and other control characters are refused", () => {
  const header = (id: unknown): string | null => compiled("é {legs.user.json.id}").renderHeader(context({ user: { id } }));
  expect(header("ü")).toBe(Buffer.from("é ü").toString("latin1"));
  expect(header("")).toBe(Buffer.from("é ").toString("latin1"));
  for (const bad of ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "\x7f", null]) expect(header(bad)).toBeNull();
});

test("a header of a leg is a byte string as it came", () => {
  expect(compiled("{legs.user.header.x}").renderHeader(context({ headers: { x: "\xc3\xa9" } }))).toBe("\xc3\xa9");
  expect(compiled("/{legs.user.header.x}").renderPath(context({ headers: { x: "\xc3\xa9" } }))).toBe("/%C3%A9");
  expect(compiled("{legs.user.header.x}").renderHeader(context({}))).toBeNull();
});

test("a value alone keeps its type in JSON, and among text it is text", () => {
  const user = { list: [1], n: parseExact("12345678901234567890"), no: false };
  expect(compiled("{legs.user.json.list}").renderJson(context({ user }))).toEqual([1]);
  expect(JSON.stringify(compiled("{legs.user.json.n}").renderJson(context({ user })))).toBe("12345678901234567890");
  expect(compiled("{legs.user.json.no}").renderJson(context({ user }))).toBe(false);
  expect(compiled("no: {legs.user.json.no}").renderJson(context({ user }))).toBe("no: false");
  expect(compiled("{item}").renderJson(context({ item: { a: 1 } }))).toEqual({ a: 1 });
  expect(compiled("{id}").renderJson(context({}))).toBe("7");
  expect(compiled("{legs.user.json.none}").renderJson(context({ user }))).toBeUndefined();
  expect(compiled("x{legs.user.json.list}").renderJson(context({ user }))).toBeUndefined();
});

describe("a choice", () => {
  const CHOICE = '{legs.user.json.id ?? header.x-id ?? "none"}';
  const path = (given: Given): string | null => compiled(`/u/${CHOICE}`).renderPath(context(given));

  test.each<[string, Given, string | null]>([
    ["the first that is there", { user: { id: 7 }, sketch: { headers: ["x-id", "8"] } }, "/u/7"],
    ["the next where it is missing", { user: {}, sketch: { headers: ["x-id", "8"] } }, "/u/8"],
    ["the next where it is null", { user: { id: null }, sketch: { headers: ["x-id", "8"] } }, "/u/8"],
    ["the next where it is empty", { user: { id: "" }, sketch: { headers: ["x-id", "8"] } }, "/u/8"],
    ["the next where it has no one text", { user: { id: [1] }, sketch: { headers: ["x-id", "8"] } }, "/u/8"],
    ["the next where the leg has failed", { sketch: { headers: ["x-id", "8"] } }, "/u/8"],
    ["the text where nothing else is there", {}, "/u/none"],
    ["false and 0 are values", { user: { id: false } }, "/u/false"],
    ["a value that may not stand there is refused, not replaced", { user: { id: ".." } }, null],
    ["a value is encoded for its place, whichever it is", { sketch: { headers: ["x-id", "a/b"] } }, "/u/a%2Fb"],
  ])("takes %s", (_, given, expected) => expect(path(given)).toBe(expected));

  test("ends with nothing where its last has no value, and says which was wanted", () => {
    const template = compiled("{legs.user.json.id ?? legs.user.header.x}");
    const none = context({ user: {} });
    expect([template.renderPath(none), template.renderQuery(none), template.renderHeader(none), template.renderJson(none)]).toEqual([
      null,
      null,
      null,
      undefined,
    ]);
    expect(template.fault(none)).toEqual({ client: false, detail: "{legs.user.json.id ?? legs.user.header.x} has no value" });
    const client = compiled("/{legs.user.json.id ?? claims.sub}");
    expect(client.fault(context({ user: {} }))).toEqual({
      client: true,
      detail: "{legs.user.json.id ?? claims.sub} has no value that may stand in a path",
    });
  });

  test("in a query and a header no value leaves its place, whichever it is", () => {
    const given = context({ user: {}, sketch: { headers: ["x-id", "a&b=1"] } });
    expect(compiled(`a=${CHOICE}`).renderQuery(given)).toBe("a=a%26b%3D1");
    expect(compiled(CHOICE).renderHeader(given)).toBe("a&b=1");
    expect(compiled(CHOICE).renderHeader(context({ user: { id: "a\r\nb" } }))).toBeNull();
    expect(compiled('{legs.user.json.none ?? "é"}').renderHeader(context({ user: {} }))).toBe("\xc3\xa9");
  });

  test("alone in JSON a value keeps its type", () => {
    const json = (user: unknown, item?: unknown): unknown =>
      compiled("{legs.user.json.ids ?? item.ids ?? id}").renderJson(context({ user, item }));
    expect(json({ ids: [1] }, { ids: [2] })).toEqual([1]);
    expect(json({ ids: null }, { ids: [2] })).toEqual([2]);
    expect(json({ ids: [] }, { ids: [2] })).toEqual([]);
    expect(json(undefined)).toBe("7");
    expect(compiled("{legs.user.json.a ?? legs.user.json.b}").renderJson(context({ user: { b: null } }))).toBeNull();
    expect(compiled("is {legs.user.json.a ?? 'none'}").renderJson(context({ user: {} }))).toBe("is none");
  });

  test("may be the list of another leg, or of one of several", () => {
    const template = compileLegValue("legs.user.json.a ?? legs.orders.json.b", NAMES);
    expect("error" in template ? template.error : template.renderJson(context({ user: { a: [1] } }))).toEqual([1]);
    expect(compileLegValue("{legs.user.json.a ?? id}", NAMES)).toEqual({
      error: expect.stringMatching(/expected the list of another leg/),
    });
  });

  test.each<[string, readonly number[], readonly number[]]>([
    ["{legs.user.json.a ?? 'x'}", [0], []],
    ["{legs.user.json.a ?? legs.orders.json.b}", [0, 1], []],
    ["{legs.user.json.a ?? 'x'}{legs.user.header.etag}", [0], [0]],
    ["{legs.user.json.a}{legs.orders.json.b ?? id}", [0, 1], [0]],
  ])("%s waits for the legs %j and cannot do without %j", (text, legs, sources) => {
    expect([compiled(text).legs, compiled(text).sources]).toEqual([legs, sources]);
  });

  test("of nothing but the client's values is the client's", () => {
    expect(compiled('{id ?? header.x ?? "a"}').isOfRequest).toBe(true);
    expect(compiled("{id ?? legs.user.json.a}").isOfRequest).toBe(false);
  });

  test.each<[string, RegExp]>([
    ["{legs.user.json.a ?? }", /stands on each side/],
    ["{?? id}", /stands on each side/],
    ["{'x' ?? legs.user.json.a}", /nothing can stand in for it/],
    ["{legs.user.json.a ?? legs.nobody.json.b}", /there is no leg nobody/],
    ["{legs.user.json.a ?? nope}", /\{nope\} is unknown/],
    ["{legs.user.json.a ?? item.x}", /only a leg with `forEach`/],
  ])("%s is refused", (text, error) => {
    expect(compileLegTemplate(text, NAMES)).toEqual({ error: expect.stringMatching(error) });
  });
});
