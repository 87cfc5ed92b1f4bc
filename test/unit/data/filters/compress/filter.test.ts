import { expect, test } from "vitest";
import { buildFilter, parsePolicy, responseHead, TestExchange } from "../../../../support/exchange.ts";

interface Case {
  readonly config?: Record<string, unknown>;
  readonly method?: string;
  readonly accept?: string | readonly string[] | null;
  readonly status?: number;
  readonly length?: number;
  readonly hasBody?: boolean;
  readonly type?: string | null;
  readonly fields?: Record<string, string>;
}

/** @returns the resulting content-encoding, `none`, and whether the body is transformed */
function outcome(c: Case) {
  const open = buildFilter("compress", c.config ?? {});
  const accept = c.accept === undefined ? "gzip, br, zstd" : c.accept;
  const x = new TestExchange({ method: c.method ?? "GET", headers: accept === null ? {} : { "accept-encoding": accept } });
  const type = c.type === undefined ? "application/json" : c.type;
  const head = responseHead({
    status: c.status ?? 200,
    length: c.length ?? 5000,
    hasBody: c.hasBody ?? true,
    fields: { ...(type === null ? {} : { "content-type": type }), ...c.fields },
  });
  const filter = open(x, head);
  const get = (name: string) => {
    const at = head.headers.findIndex((each, i) => i % 2 === 0 && each === name);
    return at < 0 ? undefined : head.headers[at + 1];
  };
  const transformed = filter !== null;
  filter?.close?.();
  return { get, head, transformed, encoding: get("content-encoding") ?? "none" };
}

test.each<[string, Case, string]>([
  ["server preference among equals", {}, "zstd"],
  ["as browsers ask", { accept: "gzip, deflate, br" }, "br"],
  ["gzip only", { accept: "gzip" }, "gzip"],
  ["several header lines", { accept: ["gzip;q=0.5", "br;q=0.9"] }, "br"],
  ["client preference", { accept: "zstd;q=0.1, gzip;q=1, br;q=0.5" }, "gzip"],
  ["refused by q=0", { accept: "zstd;q=0, br;q=0, gzip;q=0" }, "none"],
  ["anything", { accept: "*" }, "zstd"],
  ["identity only", { accept: "identity" }, "none"],
  ["not asked for", { accept: null }, "none"],
  ["unknown coding", { accept: "compress" }, "none"],
  ["configured encodings", { config: { encodings: ["gzip"] } }, "gzip"],
  ["configured order", { config: { encodings: ["gzip", "zstd"] } }, "gzip"],
  ["small", { length: 1023 }, "none"],
  ["just large enough", { length: 1024 }, "zstd"],
  ["unknown length", { length: -1 }, "zstd"],
  ["minBytes", { length: 100, config: { minBytes: "10B" } }, "zstd"],
  ["media type with parameters and case", { type: "Application/JSON; charset=utf-8" }, "zstd"],
  ["suffix", { type: "application/problem+json" }, "zstd"],
  ["text", { type: "text/html" }, "zstd"],
  ["image", { type: "image/png" }, "none"],
  ["no type", { type: null }, "none"],
  ["event stream", { type: "text/event-stream", config: { types: ["text/event-stream", "text/*"] } }, "none"],
  ["grpc", { type: "application/grpc" }, "none"],
  ["already encoded", { fields: { "content-encoding": "gzip" } }, "gzip"],
  ["no-transform", { fields: { "cache-control": "public, No-Transform, max-age=60" } }, "none"],
  ["looks like no-transform", { fields: { "cache-control": "x-no-transformation" } }, "zstd"],
  ["part", { status: 206, fields: { "content-range": "bytes 0-9/100" } }, "none"],
  ["no content", { status: 204, hasBody: false }, "none"],
  ["redirect", { status: 301 }, "none"],
  ["error page", { status: 404 }, "zstd"],
  ["switching protocols", { status: 101 }, "none"],
])("%s", (_, c, expected) => {
  const { encoding, transformed } = outcome(c);
  expect(encoding).toBe(expected);
  expect(transformed).toBe(expected !== "none" && c.fields?.["content-encoding"] === undefined);
});

test("the head tells the truth about the new bytes", () => {
  const { head } = outcome({
    length: 5000,
    fields: {
      etag: '"abc"',
      "accept-ranges": "bytes",
      "content-length": "5000",
      "repr-digest": "sha-256=:AA==:",
      vary: "Origin",
      "x-kept": "1",
    },
  });
  expect(head.headers).toEqual([
    "content-type",
    "application/json",
    "etag",
    'W/"abc"',
    "vary",
    "Origin, accept-encoding",
    "x-kept",
    "1",
    "content-encoding",
    "zstd",
  ]);
  expect(head.length).toBe(-1);
});

test("identity keeps the head, but caches learn what it depends on", () => {
  const { head, get } = outcome({ accept: null, fields: { etag: '"abc"' } });
  expect(get("vary")).toBe("accept-encoding");
  expect(get("etag")).toBe('"abc"');
  expect(head.length).toBe(5000);
  expect(outcome({ type: "image/png" }).get("vary")).toBeUndefined();
});

test("weak validators stay as they are", () => {
  expect(outcome({ fields: { etag: 'W/"abc"' } }).get("etag")).toBe('W/"abc"');
});

test("HEAD gets the head of GET, and no compressor", () => {
  const { encoding, transformed, head } = outcome({ method: "HEAD", hasBody: false });
  expect({ encoding, transformed, length: head.length }).toEqual({ encoding: "zstd", transformed: false, length: -1 });
});

test("304 confirms the weak validator that the client was given", () => {
  const confirm = (ifNoneMatch: string) => {
    const x = new TestExchange({ headers: { "if-none-match": ifNoneMatch, "accept-encoding": "gzip" } });
    const head = responseHead({ status: 304, hasBody: false, fields: { etag: '"abc"' } });
    buildFilter("compress", {})(x, head);
    return head.headers;
  };
  expect(confirm('W/"abc"')).toEqual(["etag", 'W/"abc"', "vary", "accept-encoding"]);
  expect(confirm('"abc"')).toEqual(["etag", '"abc"']);
});

test("no more than `concurrent` at once; every slot comes back", () => {
  const open = buildFilter("compress", { concurrent: 2 });
  const begin = () => {
    const x = new TestExchange({ headers: { "accept-encoding": "gzip" } });
    const head = responseHead({ fields: { "content-type": "text/plain" } });
    const filter = open(x, head);
    return { filter, compressed: head.headers.includes("content-encoding") };
  };
  const [a, b, c] = [begin(), begin(), begin()];
  expect([a.compressed, b.compressed, c.compressed]).toEqual([true, true, false]);
  a.filter?.close?.();
  a.filter?.close?.();
  expect([begin().compressed, begin().compressed]).toEqual([true, false]);
});

test("configurations that can't be meant are refused", () => {
  for (const config of [
    { encodings: [] },
    { encodings: ["gzip", "gzip"] },
    { encodings: ["deflate"] },
    { types: ["json"] },
    { types: ["*/*"] },
    { level: { gzip: 10 } },
    { minBytes: "1 kilo" },
  ])
    expect(parsePolicy("compress", config), JSON.stringify(config)).toHaveProperty("problems");
});
