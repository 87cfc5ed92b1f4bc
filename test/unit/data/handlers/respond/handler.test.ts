import { expect, test } from "vitest";
import { fixedReply } from "../../../../../src/data/handlers/fixed-reply.ts";
import { resolveRespond, respondSchema } from "../../../../../src/data/handlers/respond/config.ts";
import { ask, buildAnswer, parsePolicy, TestExchange } from "../../../../support/exchange.ts";

function check(config: unknown, expected: { status: number; headers: string[]; body: string | null }): void {
  const reply = ask(buildAnswer("respond", config), new TestExchange());
  if (reply?.kind !== "response") throw new Error("no response");
  const body = reply.body === null ? null : Buffer.from(reply.body).toString();
  expect({ status: reply.status, headers: reply.headers, body }).toEqual(expected);
}

test("fixed answers", () => {
  check({}, { status: 200, headers: [], body: null });
  check({ status: 204 }, { status: 204, headers: [], body: null });
  check({ body: "hé\n" }, { status: 200, headers: ["content-type", "text/plain; charset=utf-8"], body: "hé\n" });
  check({ json: { a: [1, null] } }, { status: 200, headers: ["content-type", "application/json"], body: '{"a":[1,null]}' });
  check({ json: null }, { status: 200, headers: ["content-type", "application/json"], body: "null" });
  check({ body: "<h1>", contentType: "text/html" }, { status: 200, headers: ["content-type", "text/html"], body: "<h1>" });
  check({ body: "x", headers: { "Content-Type": "text/csv" } }, { status: 200, headers: ["content-type", "text/csv"], body: "x" });
  check(
    { status: 503, body: "back soon", retryAfter: "90s", headers: { "Cache-Control": "no-store" } },
    {
      status: 503,
      headers: ["content-type", "text/plain; charset=utf-8", "cache-control", "no-store", "retry-after", "90"],
      body: "back soon",
    },
  );
  check({ status: 503, retryAfter: "1ms" }, { status: 503, headers: ["retry-after", "1"], body: null });
});

test("answers do not share their header list", () => {
  const policy = buildAnswer("respond", { body: "x" });
  const first = ask(policy, new TestExchange());
  if (first?.kind === "response") first.headers.push("x-changed", "1");
  expect(ask(policy, new TestExchange())).toMatchObject({ headers: ["content-type", "text/plain; charset=utf-8"] });
});

test("files are read at load, relative to the configuration", () => {
  const config = resolveRespond(respondSchema().parse({ file: "pages/down.HTML", status: 503 }), (path) => Buffer.from(`<${path}>`));
  const reply = fixedReply(structuredClone(config))();
  if (reply?.kind !== "response") throw new Error("no response");
  expect(reply.headers).toEqual(["content-type", "text/html; charset=utf-8"]);
  expect(Buffer.from(reply.body ?? "").toString()).toBe("<pages/down.HTML>");
  expect(() => resolveRespond(respondSchema().parse({ file: "big" }), () => new Uint8Array(1024 * 1024 + 1))).toThrow(/larger than 1MiB/);
});

test("configurations that can't be meant are refused", () => {
  for (const config of [
    { status: 100 },
    { status: 600 },
    { status: 204, body: "x" },
    { status: 304, json: {} },
    { body: "x", json: {} },
    { headers: { "Content-Length": "3" } },
    { headers: { "transfer-encoding": "chunked" } },
    { headers: { "x-a": "1\r\nx-b: 2" } },
    { contentType: "text/html\n" },
  ])
    expect(parsePolicy("respond", config), JSON.stringify(config)).toHaveProperty("problems");
});
