// Compressed forms of stored responses: each is made once and kept beside its response, and none is given to whom it is not for.
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import type { HeaderList } from "../../../../src/base/header-list.ts";
import { workerCache } from "../../../../src/data/cache/worker-cache.ts";
import { PassingFilter } from "../../../../src/data/exchange/response-filter.ts";
import { FILTERS } from "../../../../src/data/filters/registry.ts";
import { ownerNumber } from "../../../../src/shared/cache/names.ts";
import { dealt, field, fresh, held, NOTHING_HELD, type RouteText, startCached } from "../../../support/cached-route.ts";
import { type PlayedClient, PlayedWorker } from "../../../support/played-worker.ts";

const workers: PlayedWorker[] = [];
afterEach(() => {
  for (const worker of workers.splice(0)) worker.stop();
});

const text = (name: string): string => `${name} `.repeat(500);
const GZIP: HeaderList = ["accept-encoding", "gzip"];

async function start({ route = ["compress: {}"], ...rest }: RouteText = {}): Promise<PlayedWorker> {
  const worker = await startCached({ ...rest, route });
  workers.push(worker);
  return worker;
}

const objects = (worker: PlayedWorker): number => worker.services.responses.counts().objects;
const plain = (client: PlayedClient): string => gunzipSync(Buffer.from(client.body, "latin1")).toString();

/** Stores a response without compressing it. */
function store(worker: PlayedWorker, path: string, body: string, ...more: HeaderList): void {
  const client = worker.ask(path);
  worker.last
    .head(200, fresh("content-type", "text/plain", "etag", '"1"', ...more), body.length)
    .data(body)
    .end();
  expect(client.ended).toBe(true);
}

test("the first hit of an encoding compresses, and those behind it get its bytes, with their length", async () => {
  const worker = await start();
  store(worker, "/a", text("one"));
  expect(objects(worker)).toBe(1);
  const first = worker.ask("/a", { headers: GZIP });
  expect([dealt(first).includes("; hit"), first.head?.length, plain(first)]).toEqual([true, -1, text("one")]);
  expect(objects(worker)).toBe(2);
  const second = worker.ask("/a", { headers: GZIP });
  expect([second.body === first.body, second.head?.length]).toEqual([true, first.body.length]);
  expect([field(second, "content-encoding"), field(second, "vary"), field(second, "etag")]).toEqual(["gzip", "accept-encoding", 'W/"1"']);
  expect(field(second, "content-encoding")).toBe(field(first, "content-encoding"));
  expect(worker.calls).toHaveLength(1);
  expect(objects(worker)).toBe(2);
  expect(held(worker)).toEqual(NOTHING_HELD);
});

test("each encoding has a form of its own, and who takes none, or no part of it, gets the body as it is", async () => {
  const worker = await start();
  store(worker, "/a", text("one"));
  for (let round = 0; round < 2; round++) {
    expect(plain(worker.ask("/a", { headers: GZIP }))).toBe(text("one"));
    const br = worker.ask("/a", { headers: ["accept-encoding", "br;q=0.9, gzip;q=0.1"] });
    expect(brotliDecompressSync(Buffer.from(br.body, "latin1")).toString()).toBe(text("one"));
    for (const headers of [[], ["accept-encoding", "identity"], ["accept-encoding", "gzip;q=0"]]) {
      const client = worker.ask("/a", { headers });
      expect([client.body, field(client, "content-encoding"), field(client, "etag")]).toEqual([text("one"), null, '"1"']);
    }
  }
  expect(objects(worker)).toBe(3);
  const part = worker.ask("/a", { headers: [...GZIP, "range", "bytes=0-3"] });
  expect([part.head?.status, part.body, field(part, "content-encoding")]).toEqual([206, "one ", null]);
  const none = worker.ask("/a", { headers: [...GZIP, "if-none-match", 'W/"1"'] });
  expect([none.head?.status, field(none, "etag"), field(none, "vary")]).toEqual([304, 'W/"1"', "accept-encoding"]);
  const head = worker.ask("/a", { method: "HEAD", headers: GZIP });
  expect([head.head?.status, head.body, field(head, "content-encoding")]).toEqual([200, "", "gzip"]);
});

test("a form outlives a validation, which changes no byte of the body, and no new body", async () => {
  const worker = await start();
  const STALE: HeaderList = ["cache-control", "max-age=0, stale-if-error=60", "content-type", "text/plain", "etag", '"1"'];
  worker.ask("/a");
  worker.last.head(200, STALE, text("one").length).data(text("one")).end();
  const validated = (): PlayedClient => {
    const client = worker.ask("/a", { headers: GZIP });
    worker.last.head(304, [...STALE]);
    return client;
  };
  expect(plain(validated())).toBe(text("one"));
  const again = validated();
  expect([again.head?.length, plain(again)]).toEqual([again.body.length, text("one")]);
  const replaced = worker.ask("/a", { headers: GZIP });
  worker.last
    .head(200, ["cache-control", "max-age=60", "content-type", "text/plain", "etag", '"2"'], text("two").length)
    .data(text("two"))
    .end();
  expect(plain(replaced)).toBe(text("two"));
  for (let round = 0; round < 2; round++) expect(plain(worker.ask("/a", { headers: GZIP }))).toBe(text("two"));
  expect(held(worker)).toEqual(NOTHING_HELD);
});

test("a purge of the response is one of its forms", async () => {
  const worker = await start();
  store(worker, "/a", text("one"));
  for (let round = 0; round < 2; round++) worker.ask("/a", { headers: GZIP });
  worker.services.purges.purgeTag(0, false); // of another
  expect(worker.ask("/a", { headers: GZIP }).head?.length).toBeGreaterThan(0);
  workerCache(worker.services).cache.invalidate("http://api.example.com/a");
  const missed = worker.ask("/a", { headers: GZIP });
  expect(worker.calls).toHaveLength(2);
  worker.last.head(200, fresh("content-type", "text/plain"), text("two").length).data(text("two")).end();
  expect(plain(missed)).toBe(text("two"));
  expect(plain(worker.ask("/a", { headers: GZIP }))).toBe(text("two"));
});

test("a kept form needs no slot of `concurrent`, and one that is not whole is not kept", async () => {
  const worker = await start({ route: ["compress: { concurrent: 1 }"] });
  const large = text("large").repeat(30);
  store(worker, "/a", large);
  // Beyond what is compressed at once: it goes on beside the thread.
  const slow = worker.ask("/a", { headers: GZIP });
  expect(workerCache(worker.services).fills.forms.size).toBe(1);
  slow.leave();
  expect(workerCache(worker.services).fills.forms.size).toBe(0);
  expect(objects(worker)).toBe(1);
  store(worker, "/b", text("one"));
  worker.ask("/b", { headers: GZIP });
  const busy = worker.ask("/a", { headers: GZIP });
  const kept = worker.ask("/b", { headers: GZIP });
  expect([field(kept, "content-encoding"), kept.head?.length]).toEqual(["gzip", kept.body.length]);
  expect(field(worker.ask("/a", { headers: GZIP }), "content-encoding")).toBeNull();
  busy.leave();
  expect(held(worker)).toEqual(NOTHING_HELD);
});

test("forms count for the share of their route", async () => {
  const worker = await start();
  const { responses } = worker.services;
  responses.accounts.open([{ owner: ownerNumber("r"), share: 1 }], new Set());
  store(worker, "/a", text("one"));
  worker.ask("/a", { headers: GZIP });
  expect(responses.accounts.counts(ownerNumber("r"))).toMatchObject({ objects: 2 });
});

test("no form of the stored body stands for one that a filter before has changed", async () => {
  class Upper extends PassingFilter {
    override data(chunk: Uint8Array): boolean {
      return this.next.data(Buffer.from(Buffer.from(chunk).toString("latin1").toUpperCase(), "latin1"));
    }
  }
  const upper = { name: "upper", create: () => (x: { readonly query: string }) => (x.query === "upper" ? new Upper() : null) };
  const worker = await PlayedWorker.start(
    `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }] } }
routes: [{ name: r, match: { path: /** }, to: a, cache: { key: { query: none } }, compress: {} }]
`,
    {
      registries: { filters: [upper, ...FILTERS] },
      plan: (plan) => ({
        ...plan,
        routes: plan.routes.map((route) => ({ ...route, filters: [{ name: "upper", config: null }, ...route.filters] })),
      }),
    },
  );
  workers.push(worker);
  store(worker, "/a", text("one"));
  const get = (query: string): string => plain(worker.ask("/a", { headers: GZIP }, query));
  for (let round = 0; round < 2; round++) expect([get("upper"), get("")]).toEqual([text("ONE"), text("one")]);
});

test("what a service has compressed is not compressed again, and never given to who does not take it, whatever Vary says", async () => {
  const worker = await start();
  const zipped = worker.ask("/a", { headers: ["accept-encoding", "gzip, br;q=0"] });
  worker.last
    .head(200, fresh("content-type", "text/plain", "content-encoding", "gzip"), 2000)
    .data("z".repeat(2000))
    .end();
  expect(zipped.body).toBe("z".repeat(2000));
  for (const same of ["gzip", "GZIP;q=0.2", "x-gzip , br;q=0"]) {
    const client = worker.ask("/a", { headers: ["accept-encoding", same] });
    expect([dealt(client).includes("; hit"), client.body.length]).toEqual([true, 2000]);
  }
  const plain = worker.ask("/a", { headers: ["accept-encoding", "identity"] });
  expect([plain.started, worker.calls.length]).toEqual([false, 2]);
  worker.last.head(200, fresh("content-type", "text/plain"), 5).data("plain").end();
  for (const other of ["identity", "gzip;q=0", "deflate"]) {
    const client = worker.ask("/a", { headers: ["accept-encoding", other] });
    expect([client.body, field(client, "content-encoding")]).toEqual(["plain", null]);
  }
});
