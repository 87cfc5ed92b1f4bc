// What listeners let through in paths and what routes permit of it, on both engines: one form is matched, judged, rewritten, redirected and forwarded.
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { field, RawClient } from "../../support/raw-client.ts";
import { valuesOf } from "../../support/raw-message.ts";
import { RawUpstream } from "../../support/raw-upstream.ts";

/** Listeners, each on both engines. */
const LISTENERS = {
  strict: "",
  keeping: "{ encodedSlashes: keep, doubleEncodings: keep, emptySegments: keep, backslashes: keep, matrixParameters: keep }",
  decoding: "{ encodedSlashes: decode, doubleEncodings: decode, emptySegments: merge, backslashes: decode }",
  folding: "{ case: fold, emptySegments: merge }",
} as const;
type Kind = keyof typeof LISTENERS;
const KINDS = Object.keys(LISTENERS) as readonly Kind[]; // of the object right above

const listeners = KINDS.flatMap((kind) =>
  ENGINES.map((engine) => {
    const paths = LISTENERS[kind] === "" ? "" : `, paths: ${LISTENERS[kind]}`;
    return `  - { address: 127.0.0.1:0, engine: ${engine}${paths} }`;
  }),
).join("\n");

const ALL = "{ encodedSlashes: allow, doubleEncodings: allow, emptySegments: allow, backslashes: allow, matrixParameters: allow }";
const SHOWN = 'headers: { request: { set: { x-path: "{request.path}" } } }';
const config = (port: number, listening: string): string => `version: 1
workers: 1
admin: false
listeners:
${listening}
upstreams: { u: { targets: [ { url: "http://127.0.0.1:${port}" } ] } }
routes:
  - { name: rest, match: { path: "/**" }, ${SHOWN}, to: u }
  - { name: open, match: { path: "/open/**" }, paths: ${ALL}, ${SHOWN}, to: u }
  - { name: admin, match: { path: "/open/admin/**" }, paths: ${ALL}, respond: { status: 403 } }
  - { name: slashes, match: { path: "/slashes/**" }, paths: { encodedSlashes: allow }, ${SHOWN}, to: u }
  - { name: id, match: { path: "/id/{id}" }, paths: ${ALL}, headers: { request: { set: { x-path: "{request.path}", x-id: "{id}" } } }, to: u }
  - { name: strip, match: { path: "/strip/**" }, paths: ${ALL}, rewrite: { stripPrefix: /strip }, to: u }
  - { name: made, match: { path: "/made/{id}" }, paths: ${ALL}, rewrite: { path: "/made/{header.x-name}/{id}" }, to: u }
  - { name: moved, match: { path: "/moved/**" }, paths: ${ALL}, redirect: { to: "/new/{**}" } }
  - { name: matrix, match: { path: "/matrix/**" }, paths: { matrixParameters: allow }, ${SHOWN}, to: u }
  - { name: judged, match: { path: "/judged/**" }, paths: ${ALL}, authorize: { when: "request.path == '/judged/a/b'" }, auth: none, to: u }
`;

let upstream: RawUpstream;
let gateway: Gateway;
beforeAll(async () => {
  upstream = await RawUpstream.start();
  gateway = await Gateway.start({ config: config(upstream.port, listeners) });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await upstream[Symbol.asyncDispose]();
});

const portOf = (kind: Kind, engine: Engine): number => {
  const index = KINDS.indexOf(kind) * ENGINES.length + ENGINES.indexOf(engine);
  return Number(new URL(gateway.urls[index] ?? "").port);
};

/** @returns the target as forwarded, `STATUS location`, or `STATUS detail` */
async function send(port: number, target: string, fields = ""): Promise<string> {
  await using client = await RawClient.connect(port);
  const from = upstream.requests.length;
  client.send(`GET ${target} HTTP/1.1\r\nHost: a.example\r\n${fields}\r\n`);
  const response = await client.response();
  const [seen, ...more] = upstream.requests.slice(from);
  expect(more).toEqual([]);
  if (response.status !== 200) {
    expect(seen).toBeUndefined();
    const location = field(response, "location");
    if (location !== undefined) return `${response.status} ${location}`;
    const problem = field(response, "content-type") === "application/problem+json" ? JSON.parse(response.body.toString()) : {};
    return `${response.status} ${problem.detail ?? ""}`.trim();
  }
  // What policies are shown is what goes out.
  const shown = seen === undefined ? [] : valuesOf(seen, "x-path");
  for (const each of shown) expect(each).toBe(decoded(seen?.target ?? ""));
  return seen?.target ?? "200";
}
const decoded = (path: string): string => path.replace(/%[0-9A-F]{2}/g, (hex) => String.fromCharCode(Number.parseInt(hex.slice(1), 16)));

const UNSAFE =
  "400 the path has an empty segment, an encoded slash, a backslash, a matrix parameter (;), NUL, a double encoding, or leaves the root";
const not = (what: string): string => `400 the path has ${what}, which this route does not allow`;
const SLASH = not("an encoded slash (%2F)");
const DOUBLE = not("a double encoding (%25 and two hexadecimal digits)");
const EMPTY = not("an empty segment (//)");
const BACKSLASH = not("a backslash");
const MATRIX = not("a matrix parameter (;)");
const JUDGED = "403 the condition of the route does not hold";
const REWRITTEN = "400 The path is unsafe after this route's rewrite.";

describe.each(ENGINES)("%s", (engine) => {
  it.each<[string, Record<Kind, string>]>([
    ["/a%2fb", { strict: UNSAFE, keeping: SLASH, decoding: SLASH, folding: UNSAFE }],
    ["/a%252fb", { strict: UNSAFE, keeping: DOUBLE, decoding: SLASH, folding: UNSAFE }],
    ["/a%2541", { strict: UNSAFE, keeping: DOUBLE, decoding: DOUBLE, folding: UNSAFE }],
    ["/a//b", { strict: UNSAFE, keeping: EMPTY, decoding: "/a/b", folding: "/a/b" }],
    ["/a\\b", { strict: UNSAFE, keeping: BACKSLASH, decoding: BACKSLASH, folding: UNSAFE }],
    ["/Ab;c/~%7e", { strict: UNSAFE, keeping: MATRIX, decoding: UNSAFE, folding: UNSAFE }],
    ["/a%3bc", { strict: UNSAFE, keeping: MATRIX, decoding: UNSAFE, folding: UNSAFE }],
    ["/matrix/a;v=1/b%3bc", { strict: UNSAFE, keeping: "/matrix/a;v=1/b%3Bc", decoding: UNSAFE, folding: UNSAFE }],
    ["/matrix;x/a", { strict: UNSAFE, keeping: MATRIX, decoding: UNSAFE, folding: UNSAFE }],
    ["/open/a%253bc", { strict: UNSAFE, keeping: "/open/a%253bc", decoding: UNSAFE, folding: UNSAFE }],
    ["/strip/a?b;c", { strict: "/a?b;c", keeping: "/a?b;c", decoding: "/a?b;c", folding: "/a?b;c" }],
    ["/Ab/C%C3%84", { strict: "/Ab/C%C3%84", keeping: "/Ab/C%C3%84", decoding: "/Ab/C%C3%84", folding: "/ab/c%C3%84" }],
    ["//a", { strict: UNSAFE, keeping: UNSAFE, decoding: "/a", folding: "/a" }],
    ["/open/a%2fb", { strict: UNSAFE, keeping: "/open/a%2Fb", decoding: "/open/a/b", folding: UNSAFE }],
    ["/open/a%252fb", { strict: UNSAFE, keeping: "/open/a%252fb", decoding: "/open/a/b", folding: UNSAFE }],
    ["/open/a\\b", { strict: UNSAFE, keeping: "/open/a%5Cb", decoding: "/open/a/b", folding: UNSAFE }],
    ["/open//b", { strict: UNSAFE, keeping: "/open//b", decoding: "/open/b", folding: "/open/b" }],
    ["/slashes/a%2Fb", { strict: UNSAFE, keeping: "/slashes/a%2Fb", decoding: "/slashes/a/b", folding: UNSAFE }],
    ["/slashes/a%2Fb//c", { strict: UNSAFE, keeping: EMPTY, decoding: "/slashes/a/b/c", folding: UNSAFE }],
    // Names of another route's place, spelt in every way that some server would read so.
    ["/open%2fadmin/x", { strict: UNSAFE, keeping: SLASH, decoding: "403", folding: UNSAFE }],
    ["/open//admin/x", { strict: UNSAFE, keeping: "/open//admin/x", decoding: "403", folding: "403" }],
    ["/open/%2fadmin/x", { strict: UNSAFE, keeping: "/open/%2Fadmin/x", decoding: "403", folding: UNSAFE }],
    ["/open\\admin\\x", { strict: UNSAFE, keeping: BACKSLASH, decoding: "403", folding: UNSAFE }],
    ["/open/%2561dmin/x", { strict: UNSAFE, keeping: "/open/%2561dmin/x", decoding: "403", folding: UNSAFE }],
    ["/open/%61dmin/x", { strict: "403", keeping: "403", decoding: "403", folding: "403" }],
    ["/open/ADMIN/x", { strict: "/open/ADMIN/x", keeping: "/open/ADMIN/x", decoding: "/open/ADMIN/x", folding: "403" }],
    ["/open/x/..%2fadmin/x", { strict: UNSAFE, keeping: UNSAFE, decoding: "403", folding: UNSAFE }],
    ["/open/x/..;/admin/x", { strict: UNSAFE, keeping: UNSAFE, decoding: UNSAFE, folding: UNSAFE }],
    ["/open/x/%252e%252e/admin", { strict: UNSAFE, keeping: UNSAFE, decoding: "403", folding: UNSAFE }],
    ["/open/..%2f..%2fx", { strict: UNSAFE, keeping: UNSAFE, decoding: UNSAFE, folding: UNSAFE }],
    ["/open/a%2500", { strict: UNSAFE, keeping: "/open/a%2500", decoding: UNSAFE, folding: UNSAFE }],
    // One segment or two, to the pattern as to the service.
    ["/id/a%2Fb", { strict: UNSAFE, keeping: "/id/a%2Fb", decoding: SLASH, folding: UNSAFE }],
    ["/judged/a%2Fb", { strict: UNSAFE, keeping: JUDGED, decoding: "/judged/a/b", folding: UNSAFE }],
    ["/judged/a//b", { strict: UNSAFE, keeping: JUDGED, decoding: "/judged/a/b", folding: "/judged/a/b" }],
    ["/strip/a%2Fb?c=%2F", { strict: UNSAFE, keeping: "/a%2Fb?c=%2F", decoding: "/a/b?c=%2F", folding: UNSAFE }],
    ["/strip//b", { strict: UNSAFE, keeping: REWRITTEN, decoding: "/b", folding: "/b" }],
    ["/moved/a%2Fb", { strict: UNSAFE, keeping: "308 /new/a%2Fb", decoding: "308 /new/a/b", folding: UNSAFE }],
  ])("%s", async (target, expected) => {
    onTestFailed(() => console.error(gateway.report()));
    for (const kind of KINDS) expect([kind, await send(portOf(kind, engine), target)]).toEqual([kind, expected[kind]]);
  });

  it("a rewrite cannot bring in what the request's own path had none of", async () => {
    onTestFailed(() => console.error(gateway.report()));
    const keeping = portOf("keeping", engine);
    expect(await send(keeping, "/made/x", "X-Name: a\r\n")).toBe("/made/a/x");
    expect(await send(keeping, "/made/x", "X-Name: a/b\r\n")).toBe(REWRITTEN);
    expect(await send(keeping, "/made/x%2Fy", "X-Name: a\\b\r\n")).toBe(REWRITTEN);
    expect(await send(portOf("decoding", engine), "/made/x", "X-Name: ../b\r\n")).toBe(REWRITTEN);
  });

  it("a listener made strict again by a reload lets nothing more through, on open connections neither", async () => {
    await using service = await RawUpstream.start();
    const listening = (paths: string): string => `  - { address: 127.0.0.1:0, engine: ${engine}${paths} }`;
    await using changed = await Gateway.start({ config: config(service.port, listening(", paths: { encodedSlashes: keep }")) });
    await using before = await RawClient.connect(changed.port);
    const ask = async (client: RawClient): Promise<number> => {
      client.send("GET /open/a%2Fb HTTP/1.1\r\nHost: a.example\r\n\r\n");
      return (await client.response()).status;
    };
    expect(await ask(before)).toBe(200);
    changed.writeConfig(config(service.port, listening("")));
    await changed.said("reloaded");
    await using after = await RawClient.connect(changed.port);
    expect([await ask(before), await ask(after)]).toEqual([400, 400]);
  });
});
