// What an aggregated answer is for every end that a leg can have, required or optional, on both engines.

import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { bothListeners, ENGINES, type Engine } from "../../support/both-engines.ts";
import { Gateway } from "../../support/gateway.ts";
import { json, type Script, ScriptedService } from "../../support/scripted-service.ts";

const send =
  (body: string | Buffer, status = 200, headers: Readonly<Record<string, string>> = {}): Script =>
  (response) =>
    void response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);

interface Outcome {
  readonly script: Script;
  /** The leg's value; undefined: it fails. */
  readonly value?: unknown;
  /** Of the answer when the leg is required. */
  readonly status: number;
  readonly code?: string;
  /** Of the leg where it differs: what is relayed has another name. */
  readonly legCode?: string;
}

const OUTCOMES: Readonly<Record<string, Outcome>> = {
  object: { script: json({ id: 1 }), value: { id: 1 }, status: 200 },
  list: { script: json([1, 2]), value: [1, 2], status: 200 },
  null: { script: json(null), value: null, status: 200 },
  "byte-order-mark": { script: send('\ufeff{"a":1}'), value: { a: 1 }, status: 200 },
  "no-content": { script: (response) => void response.writeHead(204).end(), value: null, status: 200 },
  "accepted-404": { script: json({ gone: true }, 410), value: { gone: true }, status: 200 },
  "two-byte-order-marks": { script: send('\ufeff\ufeff{"a":1}'), status: 502, code: "leg_invalid" },
  html: { script: send("<html>", 200, { "content-type": "text/html" }), status: 502, code: "leg_invalid" },
  empty: { script: send(""), status: 502, code: "leg_invalid" },
  latin1: { script: send(Buffer.from('"\xe9"', "latin1")), status: 502, code: "leg_invalid" },
  deep: { script: send("[".repeat(500) + "]".repeat(500)), status: 502, code: "leg_invalid" },
  gzip: { script: send(Buffer.from("x"), 200, { "content-encoding": "gzip" }), status: 502, code: "leg_invalid" },
  "too-large": { script: send(JSON.stringify("x".repeat(5000))), status: 502, code: "leg_too_large" },
  "too-large-chunked": {
    script: (response) => {
      response.write('"');
      for (let i = 0; i < 5; i++) response.write("x".repeat(1000));
      response.end('"');
    },
    status: 502,
    code: "leg_too_large",
  },
  "status-400": { script: json({ secret: "detail" }, 400), status: 502, code: "leg_status" },
  "status-404": { script: json({ secret: "detail" }, 404), status: 404, code: "leg_status" },
  "status-302": { script: send("", 302, { location: "/elsewhere" }), status: 502, code: "leg_status" },
  "status-500": { script: json({ secret: "detail" }, 500), status: 502, code: "leg_status" },
  "status-503": { script: json({}, 503), status: 502, code: "leg_status" },
  reset: { script: (response) => void response.destroy(), status: 502, code: "upstream_reset" },
  "cut-off": {
    script: (response) => {
      response.writeHead(200, { "content-type": "application/json", "content-length": "10" }).write("{");
      setImmediate(() => response.destroy());
    },
    status: 502,
    code: "upstream_aborted",
  },
  "never-answers": { script: () => {}, status: 504, code: "total_timeout" },
  "stalls-in-the-body": { script: (response) => void response.writeHead(200).write("{"), status: 504, code: "total_timeout" },
};

let service: ScriptedService;
let gateway: Gateway;
let deadPort = 0;

beforeAll(async () => {
  service = await ScriptedService.start(Object.fromEntries(Object.entries(OUTCOMES).map(([name, { script }]) => [`/${name}`, script])));
  service.scripts.set("/main", json({ main: true }));
  const placeholder = createServer();
  await new Promise<void>((resolve) => placeholder.listen(0, "127.0.0.1", resolve));
  deadPort = (placeholder.address() as AddressInfo).port; // a TCP server that listens has one
  await new Promise((resolve) => placeholder.close(resolve));
  const leg = (to: string, required: boolean): string =>
    `{ to: ${to}, path: "/{outcome}", required: ${required}, timeout: 400ms, expect: [200-299, 410], maxBytes: 2KiB${required ? ", relay: [404]" : ""} }`;
  const route = (name: string, to: string, required: boolean): string => `  - name: ${name}
    match: { path: "/${name}/{outcome}" }
    aggregate:
      incomplete: member
      legs:
        main: { to: service, path: /main }
        part: ${leg(to, required)}
`;
  gateway = await Gateway.start({
    config: `${bothListeners}upstreams:
  service: { targets: [{ url: "${service.url}" }], retry: { attempts: 0 }, health: { passive: false } }
  dead: { targets: [{ url: "http://127.0.0.1:${deadPort}" }], retry: { attempts: 0 }, health: { passive: false } }
routes:
${route("required", "service", true)}${route("optional", "service", false)}${route("dead", "dead", true)}${route("dead-optional", "dead", false)}`,
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await service[Symbol.asyncDispose]();
});

const ask = (engine: Engine, target: string): Promise<Response> => fetch(`${gateway.urls[ENGINES.indexOf(engine)]}${target}`);

describe.each(ENGINES)("on %s", (engine) => {
  test.each(Object.entries(OUTCOMES))("a required leg that ends in %s", async (name, { value, status, code }) => {
    const response = await ask(engine, `/required/${name}`);
    const body = (await response.json()) as Record<string, unknown>;
    expect(response.status).toBe(status);
    if (value !== undefined) {
      expect(body).toEqual({ main: { main: true }, part: value });
      expect(response.headers.get("content-type")).toBe("application/json");
      expect(response.headers.has("x-aggregate-incomplete")).toBe(false);
      return;
    }
    expect(body).toMatchObject({ code, status, requestId: response.headers.get("x-request-id") });
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(response.headers.get("x-aggregate-incomplete")).toBe("part");
    expect(JSON.stringify(body)).not.toContain("secret");
  });

  test.each(Object.entries(OUTCOMES))("an optional leg that ends in %s", async (name, { value, code }) => {
    const response = await ask(engine, `/optional/${name}`);
    const body = (await response.json()) as unknown;
    expect(response.status).toBe(200);
    if (value !== undefined) {
      expect(body).toEqual({ main: { main: true }, part: value });
      expect(response.headers.has("x-aggregate-incomplete")).toBe(false);
      expect(response.headers.has("cache-control")).toBe(false);
      return;
    }
    expect(body).toEqual({ main: { main: true }, incomplete: [{ leg: "part", code }] });
    expect(response.headers.get("x-aggregate-incomplete")).toBe("part");
    expect(response.headers.get("cache-control")).toBe("no-store");
  });

  test("a leg whose service refuses connections: 502 where it is required, named where it is optional", async () => {
    const required = await ask(engine, "/dead/x");
    expect([required.status, await required.json()]).toEqual([502, expect.objectContaining({ code: "connect_failed" })]);
    const optional = await ask(engine, "/dead-optional/x");
    expect([optional.status, await optional.json()]).toEqual([
      200,
      { main: { main: true }, incomplete: [{ leg: "part", code: "connect_failed" }] },
    ]);
  });

  test("HEAD has the length of GET and no body", async () => {
    const get = await ask(engine, "/required/object");
    const head = await fetch(get.url, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, get.headers.get("content-length"), ""]);
  });
});
