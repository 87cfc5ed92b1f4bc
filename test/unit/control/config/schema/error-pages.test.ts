// Error pages as they are written: what is taken, what is refused and where, how layers lie over each other, and what the plan has of it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { compilePlan } from "../../../../../src/control/config/compile/compile.ts";
import { type LoadResult, loadConfig } from "../../../../../src/control/config/load.ts";
import { settingsOf } from "../../../../../src/control/config/schema/route-layers.ts";
import { formatProblem } from "../../../../../src/control/config/source/problem.ts";
import type { ErrorPagesPlan } from "../../../../../src/plan/error-pages.ts";
import type { Plan } from "../../../../../src/plan/plan.ts";
import { BASE, check, good, problemsOf } from "../../../../support/config-text.ts";

const planOf = (result: LoadResult & { readonly ok: true }): Plan => compilePlan(result.config, { version: 1, metricSlot: () => 2 });
const pagesOfPlan = (text: string): Plan => planOf(good([text]));
const first = (pages: string): ErrorPagesPlan | undefined => {
  const plan = pagesOfPlan(`${BASE}errorPages: ${pages}\n`);
  return plan.errorPages[plan.unroutedErrorPages];
};
const body = (text: string, type = "text/plain; charset=utf-8") => ({ kind: "body", type, text });

describe("what is taken", () => {
  it.each<[string, unknown]>([
    ["{}", undefined],
    ["{ 404: { body: gone } }", { pages: [{ on: { min: 404, max: 404 }, variants: [body("gone")] }], intercept: [] }],
    ["{ intercept: 500-599 }", { pages: [], intercept: [{ min: 500, max: 599 }] }],
    [
      "{ intercept: [502, 503-504] }",
      {
        pages: [],
        intercept: [
          { min: 502, max: 502 },
          { min: 503, max: 504 },
        ],
      },
    ],
    [
      '{ 429: { json: { error: "{code}", status: "{status}", "{status}": ["{status}"] } } }',
      {
        pages: [
          {
            on: { min: 429, max: 429 },
            variants: [body('{"error":"{code}","status":{status},"{status}":[{status}]}', "application/json")],
          },
        ],
        intercept: [],
      },
    ],
    [
      "{ 401: { redirect: 'https://login.example.com/?c={code}' } }",
      {
        pages: [{ on: { min: 401, max: 401 }, variants: [{ kind: "redirect", to: "https://login.example.com/?c={code}" }] }],
        intercept: [],
      },
    ],
  ])("%s", (text, plan) => {
    expect(first(text)).toEqual(plan);
  });

  it("a code is looked for first, then the narrower range, whatever the order", () => {
    const set = first("{ 400-599: { body: a }, 500-599: { body: b }, rate_limited: { body: c }, 503: { body: d } }");
    expect(set?.pages.map(({ on }) => on)).toEqual([
      "rate_limited",
      { min: 503, max: 503 },
      { min: 500, max: 599 },
      { min: 400, max: 599 },
    ]);
  });
});

describe("what is refused", () => {
  const refused = (name: string, marked: string, ...messages: string[]) =>
    check(name, `${BASE}errorPages: ${marked}\n`, ...messages.map((message) => `errorPages${message}`));
  const KEY = "expected a status from 400 to 599, a range such as 500-599, a code of an error, or intercept";
  refused("a status of no error", "{ 302: ‸{ body: x } }", `.302: ${KEY}; docs/errors.md lists the codes`);
  refused("a misspelt code", "{ rate_limitd: ‸{ body: x } }", `.rate_limitd: ${KEY}; did you mean \`rate_limited\`?`);
  refused("a class in another form", "{ 5xx: ‸{ body: x } }", `.5xx: ${KEY}; write \`500-599\``);
  refused("a list as a key", '{ "502,503": ‸{ body: x } }', `["502,503"]: ${KEY}; write a key for each, or a range`);
  refused("a code that nobody is sent", "{ client_aborted: ‸{ body: x } }", `.client_aborted: ${KEY}; no response is sent for this code`);
  refused("nothing to send", "{ 404: ‸{} }", ".404: expected exactly one of file, body, json and redirect");
  refused("two things to send", "{ 404: ‸{ body: x, json: {} } }", ".404: expected exactly one of file, body, json and redirect");
  refused("an unknown key", "{ 404: { ‸text: x } }", ".404.text: unknown key; known keys: file, body, json, redirect, contentType");
  refused(
    "a redirect with a type",
    "{ 404: { redirect: /x, contentType: ‸text/html } }",
    ".404.contentType: a redirect has no body; remove it",
  );
  refused(
    "a redirect whose host is no fixed text",
    "{ 404: { redirect: ‸'https://{code}.example.com/' } }",
    ".404.redirect: expected http(s)://host/..., or a path that starts with one `/`; the host is fixed text",
  );
  refused(
    "a redirect that browsers read as another host",
    "{ 404: { redirect: ‸//evil.example.com } }",
    ".404.redirect: expected http(s)://host/..., or a path that starts with one `/`; the host is fixed text",
  );
  refused(
    "the same type twice",
    "{ 404: [{ body: x }, ‸{ body: y }] }",
    ".404[1]: there is a form in text/plain already; give each form a type of its own",
  );
  refused(
    "no media type",
    "{ 404: { body: x, contentType: ‸html } }",
    ".404.contentType: expected a media type such as text/html; charset=utf-8",
  );
  refused(
    "a file of no known kind",
    "{ 404: { file: ‸page.tpl } }",
    ".404.file: nothing says what kind of text the file is; write `contentType`, or name it .html, .htm, .txt, .json, .xml",
  );
  refused(
    "pages that tie",
    "{ 400-410: { body: x }, 405-415: ‸{ body: y } }",
    ".405-415: 405-415 and 400-410 have statuses in common, and neither is narrower; write ranges that do not overlap",
  );
  refused(
    "intercepting what is no error",
    "{ intercept: [502, ‸302] }",
    ".intercept[1]: expected a status from 400 to 599, or a range such as 500-599",
  );
  check(
    "a page that is too large",
    `${BASE}limits: { errorPageBytes: 10B }\nerrorPages: { 404: { body: ‸"${"x".repeat(11)}" } }\n`,
    "errorPages.404.body: the page is larger than limits.errorPageBytes (10B); make it smaller, or raise that",
  );
  check(
    "a mistake on a route",
    BASE.replace("to: users }]", "to: users, errorPages: { 404: ‸{} } }]"),
    "routes[0].errorPages.404: expected exactly one of file, body, json and redirect",
  );
});

describe("files", () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  });
  function load(text: string, files: Readonly<Record<string, string | Buffer>>): { readonly result: LoadResult; readonly folder: string } {
    const folder = mkdtempSync(join(tmpdir(), "sluice-pages-"));
    folders.push(folder);
    mkdirSync(join(folder, "pages"));
    for (const [name, content] of Object.entries({ "c.yaml": text, ...files })) writeFileSync(join(folder, name), content);
    return { result: loadConfig({ files: [join(folder, "c.yaml")], env: {} }), folder };
  }
  const told = ({ result, folder }: ReturnType<typeof load>): readonly string[] =>
    result.ok ? [] : result.problems.map((problem) => formatProblem(problem).replaceAll(`${folder}/`, ""));

  it("are read relative to the file that names them, wherever they are named, and watched", () => {
    const { result, folder } = load(
      `version: 1
listeners: [{ address: 127.0.0.1:0 }]
errorPages: { 404: { file: pages/top.html } }
defaults: { errorPages: { 405: { file: file:pages/defaults.txt } } }
policySets: { s: { errorPages: { 406: [{ file: pages/set.json }] } } }
upstreams: { u: { targets: [{ url: http://a }] } }
routes: [{ name: r, match: {}, use: [s], to: u, errorPages: { 407: [{ body: x }, { file: pages/route.tpl, contentType: text/html }] } }]
`,
      { "pages/top.html": "top", "pages/defaults.txt": "defaults", "pages/set.json": "{}", "pages/route.tpl": "\ufeffroute ü" },
    );
    if (!result.ok) throw new Error(result.problems.map(formatProblem).join("\n"));
    const plan = planOf(result);
    const [route] = plan.routes;
    expect(plan.errorPages[route?.settings.errorPages ?? -1]?.pages).toEqual([
      { on: { min: 404, max: 404 }, variants: [body("top", "text/html; charset=utf-8")] },
      { on: { min: 405, max: 405 }, variants: [body("defaults")] },
      { on: { min: 406, max: 406 }, variants: [body("{}", "application/json")] },
      { on: { min: 407, max: 407 }, variants: [body("x"), body("route ü", "text/html")] },
    ]);
    for (const name of ["top.html", "defaults.txt", "set.json", "route.tpl"]) expect(result.files).toContain(join(folder, "pages", name));
  });

  it.each<[string, Buffer | string | null, string]>([
    ["that is not there", null, "can't read pages/a.html: there is no such file; paths are relative to the configuration file"],
    ["that is no UTF-8", Buffer.from("a\n\xff", "latin1"), "can't use pages/a.html: the byte 0xff is not UTF-8 (line 2); save it as UTF-8"],
    ["that is too large", "x".repeat(1025), "pages/a.html is larger than limits.errorPageBytes (1KiB); make it smaller, or raise that"],
  ])("one %s is refused where it is named, once for all routes", (_, content, message) => {
    const text = `${BASE.replace("routes: [{", "routes: [{ name: b, match: { path: /b }, to: users }, {")}limits: { errorPageBytes: 1KiB }
errorPages: { 404: { file: pages/a.html } }
`;
    expect(told(load(text, content === null ? {} : { "pages/a.html": content }))).toEqual([`c.yaml:7:28: errorPages.404.file: ${message}`]);
  });
});

describe("layers", () => {
  const LAYERS = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { u: { targets: [{ url: http://a }] } }
errorPages: { 404: { body: top }, 500: { body: top }, intercept: [502] }
defaults: { errorPages: { 500: { json: {} } } }
policySets: { s: { errorPages: { 404: null, 403: { body: set } } } }
routes:
  - { name: plain, match: { path: /plain }, to: u }
  - { name: uses, match: { path: /uses }, use: [s], to: u, errorPages: { intercept: [503] } }
  - { name: none, match: { path: /none }, to: u, errorPages: null }
  - { name: other, match: { path: /other }, to: u }
`;
  const plan = pagesOfPlan(LAYERS);
  const of = (name: string): ErrorPagesPlan | undefined =>
    plan.errorPages[plan.routes.find((route) => route.name === name)?.settings.errorPages ?? -1];
  const texts = (set: ErrorPagesPlan | undefined) =>
    set?.pages.map(({ on, variants }) => [
      typeof on === "string" ? on : on.min,
      ...variants.map((each) => (each.kind === "body" ? each.text : "")),
    ]);

  it("a route has the pages of the top level, under those of defaults, each page whole", () => {
    expect(texts(of("plain"))).toEqual([
      [404, "top"],
      [500, "{}"],
    ]);
    expect(of("plain")?.intercept).toEqual([{ min: 502, max: 502 }]);
  });

  it("a set and the route lie over them; null takes one page away", () => {
    expect(texts(of("uses"))).toEqual([
      [403, "set"],
      [500, "{}"],
    ]);
    expect(of("uses")?.intercept).toEqual([{ min: 503, max: 503 }]);
  });

  it("null on a route takes all of them away", () => {
    expect(of("none")).toBeUndefined();
  });

  it("requests without a route have those of the top level alone", () => {
    expect(texts(plan.errorPages[plan.unroutedErrorPages])).toEqual([
      [404, "top"],
      [500, "top"],
    ]);
  });

  it("routes that have the same pages share them", () => {
    expect(of("plain")).toBe(of("other"));
    expect(plan.errorPages).toHaveLength(3);
  });

  it("a mistake at the top level is told once, there", () => {
    expect(problemsOf(LAYERS.replace("404: { body: top }", "404: {}"))).toEqual([
      "c.yaml:4:20: errorPages.404: expected exactly one of file, body, json and redirect",
    ]);
  });

  it("says where a page comes from", () => {
    const { tree } = good([LAYERS]);
    const from = new Map(settingsOf(tree, 1).map((setting) => [setting.path, setting.from]));
    expect(from.get("errorPages.500.json")).toBe("defaults");
    expect(from.get("errorPages.403.body")).toBe("policySets.s");
    expect(from.get("errorPages.intercept")).toBe("route");
    expect(new Map(settingsOf(tree, 0).map((setting) => [setting.path, setting.from])).get("errorPages.404.body")).toBe("errorPages");
  });
});
