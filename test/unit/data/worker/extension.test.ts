// A toy handler, filter, policy and transport, added as ARCHITECTURE.md tells it, each in ten lines or so; and what a filter and a policy can rely on.
import { Readable } from "node:stream";
import { gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import type { HandlerEntry } from "../../../../src/data/exchange/handler.ts";
import type { Policy } from "../../../../src/data/exchange/policy.ts";
import { reply } from "../../../../src/data/exchange/reply.ts";
import { type FilterEntry, PassingFilter } from "../../../../src/data/exchange/response-filter.ts";
import { FILTERS } from "../../../../src/data/filters/registry.ts";
import type { PolicyEntry } from "../../../../src/data/policies/registry.ts";
import { REGISTRIES } from "../../../../src/data/worker/build-runtime.ts";
import { phasesOf } from "../../../../src/data/worker/request-steps.ts";
import type { FeaturePlan, Plan } from "../../../../src/plan/plan.ts";
import { PlayedWorker } from "../../../support/played-worker.ts";

const CONFIG = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }], retry: { attempts: 0 } } }
routes: [{ name: r, match: {}, to: a }]
`;

const withRoute =
  (changes: { readonly handler?: FeaturePlan; readonly filters?: readonly FeaturePlan[]; readonly policies?: readonly FeaturePlan[] }) =>
  (plan: Plan): Plan => ({ ...plan, routes: plan.routes.map((route) => ({ ...route, ...changes })) });

const named = (...names: readonly string[]): readonly FeaturePlan[] => names.map((name) => ({ name, config: null }));

/** A worker whose route has these policies, in this order. */
function withPolicies(...policies: readonly Policy[]): Promise<PlayedWorker> {
  const entries = policies.map((policy): PolicyEntry => ({ name: policy.name, phase: policy.phase ?? "origin", create: () => policy }));
  return PlayedWorker.start(CONFIG, {
    registries: { policies: entries, phases: phasesOf(entries) },
    plan: withRoute({ policies: named(...policies.map(({ name }) => name)) }),
  });
}

it("a handler is an entry in the registry of handlers", async () => {
  const echo: HandlerEntry = {
    name: "echo",
    create: (config) => ({
      handle: (x) => reply(x, { kind: "response", status: 200, headers: [], body: `${String(config)} ${x.method} ${x.path}` }),
    }),
  };
  const worker = await PlayedWorker.start(CONFIG, {
    registries: { handlers: [echo] },
    plan: withRoute({ handler: { name: "echo", config: "you said" } }),
  });
  expect(worker.ask("/a/b")).toMatchObject({ body: "you said GET /a/b", ended: true });
  expect(worker.calls).toEqual([]);
});

it("a filter is an entry in the registry of filters", async () => {
  const shout: FilterEntry = {
    name: "shout",
    create: () => (_x, head) =>
      head.headers.includes("text/plain")
        ? new (class extends PassingFilter {
            override data(chunk: Uint8Array): boolean {
              return this.next.data(Buffer.from(Buffer.from(chunk).toString().toUpperCase()));
            }
          })()
        : null,
  };
  const worker = await PlayedWorker.start(CONFIG, { registries: { filters: [shout] }, plan: withRoute({ filters: named("shout") }) });
  const x = worker.ask("/");
  worker.last.head(200, ["content-type", "text/plain"], 5).data("hel").data("lo").end();
  expect(x).toMatchObject({ body: "HELLO", ended: true, head: { status: 200, length: 5 } });
  const passedBy = worker.ask("/");
  worker.last.head(200, ["content-type", "text/html"]).data("hello").end();
  expect(passedBy).toMatchObject({ body: "hello", filters: null });
});

it("a transport is an entry in the registry of transports", async () => {
  const worker = await PlayedWorker.start(CONFIG); // its transport is a toy of this kind: test/support/played-worker.ts
  const x = worker.ask("/");
  worker.last.head(204).end();
  expect(x).toMatchObject({ status: 204, target: "a-http://a:80" });
});

/** Notes what it sees of a response. */
function observer(name: string, notes: string[]): FilterEntry {
  const note = (text: string) => notes.push(`${name}.${text}`);
  class Observer extends PassingFilter {
    override end(trailers: string[] | null): void {
      note("end");
      super.end(trailers);
    }
    override abort(): void {
      note("abort");
    }
    close(): void {
      note("close");
    }
  }
  return { name, create: () => () => new Observer() };
}

async function observed(...names: readonly string[]) {
  const notes: string[] = [];
  const worker = await PlayedWorker.start(CONFIG, {
    registries: { filters: names.map((name) => observer(name, notes)) },
    plan: withRoute({ filters: named(...names) }),
  });
  return { worker, notes };
}

it("a filter that keeps the length of the body hears of the end, although the client has everything before the upstream says so", async () => {
  const { worker, notes } = await observed("o");
  const x = worker.ask("/");
  worker.last.head(200, [], 2).data("{}");
  expect([x.ended, x.finished, notes]).toEqual([true, false, []]);
  worker.last.end();
  expect([x.finished, notes]).toEqual([true, ["o.end", "o.close"]]);
});

it.each<[string, (worker: PlayedWorker, x: ReturnType<PlayedWorker["ask"]>) => void]>([
  ["the client goes", (_, x) => x.leave()],
  ["the service breaks off", (worker) => worker.last.fail()],
])("every filter hears of an abort, once, when %s", async (_, happens) => {
  const { worker, notes } = await observed("o", "p");
  const x = worker.ask("/");
  worker.last.head(200, [], 5).data("{");
  happens(worker, x);
  expect(notes).toEqual(["o.abort", "o.close", "p.abort", "p.close"]);
  expect(x.finished).toBe(true);
});

it("a route with an observer and `compress` compresses its first response, and says what it depends on", async () => {
  const notes: string[] = [];
  const worker = await PlayedWorker.start(CONFIG.replace("to: a }", "to: a, compress: { minBytes: 1B } }"), {
    registries: { filters: [observer("o", notes), ...FILTERS] },
    plan: (plan) => ({ ...plan, routes: plan.routes.map((route) => ({ ...route, filters: [...named("o"), ...route.filters] })) }),
  });
  const x = worker.ask("/", { headers: ["accept-encoding", "gzip"] });
  worker.last.head(200, ["content-type", "text/plain"], 4).data("abcd").end();
  expect(gunzipSync(Buffer.from(x.body, "latin1")).toString()).toBe("abcd");
  expect(x.head?.headers).toEqual(expect.arrayContaining(["content-encoding", "gzip", "vary", "accept-encoding"]));
  expect([x.head?.length, notes]).toEqual([-1, ["o.end", "o.close"]]);
});

it("filters pass the gateway's own answers too", async () => {
  const { worker, notes } = await observed("o");
  const x = worker.ask("/");
  worker.last.fail({ code: "connect_failed", unsent: true });
  expect([x.status, x.ended, notes]).toEqual([502, true, ["o.end", "o.close"]]);
});

it("a filter holds the head back until it knows what to say, and the chain behind it waits", async () => {
  const notes: string[] = [];
  const whole: FilterEntry = {
    name: "whole",
    create: () => () =>
      new (class extends PassingFilter {
        held: Parameters<PassingFilter["head"]>[0] | null = null;
        text = "";
        override head(head: Parameters<PassingFilter["head"]>[0]): void {
          this.held = head;
        }
        override data(chunk: Uint8Array): boolean {
          this.text += Buffer.from(chunk).toString();
          return true;
        }
        override end(trailers: string[] | null): void {
          if (this.held === null) return;
          this.held.length = this.text.length;
          this.held.headers.push("x-length", String(this.text.length));
          this.next.head(this.held);
          this.next.data(Buffer.from(this.text));
          this.next.end(trailers);
        }
      })(),
  };
  const worker = await PlayedWorker.start(CONFIG, {
    registries: { filters: [whole, observer("o", notes)] },
    plan: withRoute({ filters: named("whole", "o") }),
  });
  const x = worker.ask("/");
  worker.last.head(200).data("ab").data("cd");
  expect([x.started, x.body]).toEqual([false, ""]);
  worker.last.end();
  expect(x).toMatchObject({ body: "abcd", ended: true, head: { length: 4, headers: expect.arrayContaining(["x-length", "4"]) } });
  expect(notes).toEqual(["o.end", "o.close"]);
});

it("a slow client pauses the service through a filter, and goes on when it has room", async () => {
  const { worker } = await observed("o", "p");
  const x = worker.ask("/");
  x.slow = true;
  const call = worker.last.head(200, [], 10).data("12345");
  expect(call.paused).toBe(true);
  x.drain();
  expect(call.paused).toBe(false);
});

it("a filter that throws ends the response: with an error while nothing was sent, else by cutting it", async () => {
  const failing: FilterEntry = {
    name: "failing",
    create: () => () =>
      new (class extends PassingFilter {
        override data(chunk: Uint8Array): boolean {
          if (Buffer.from(chunk).toString() === "bad") throw new Error("broken filter");
          return super.data(chunk);
        }
      })(),
  };
  const worker = await PlayedWorker.start(CONFIG, { registries: { filters: [failing] }, plan: withRoute({ filters: named("failing") }) });
  const x = worker.ask("/");
  worker.last.head(200, [], 9).data("good").data("bad");
  expect(x).toMatchObject({ cut: true, code: "internal_error", finished: true });
  expect(worker.faults.join()).toContain("broken filter");
});

it("a policy may replace a response: the rest of the policies see the new one, and the body of the old one is not sent", async () => {
  const seen: number[] = [];
  const worker = await withPolicies(
    { name: "last", onResponse: (_x, head): undefined => void seen.push(head.status) },
    {
      name: "replace",
      onResponse: (_x, head) => (head.status === 404 ? { kind: "response", status: 200, headers: [], body: "stored" } : undefined),
    },
    { name: "first", onResponse: (_x, head): undefined => void seen.push(head.status) },
  );
  const x = worker.ask("/");
  const call = worker.last.head(404, [], 7);
  expect([x.status, x.body, call.discarded, seen]).toEqual([200, "stored", true, [404, 200]]);
  expect(x.head?.headers.filter((name) => name === "x-request-id")).toHaveLength(1);
});

it("a policy may answer for an upstream that gave none, and the log keeps why", async () => {
  const worker = await withPolicies({
    name: "stale",
    onUpstreamFailure: (_x, { code }) =>
      code === "connect_failed" ? { kind: "response", status: 200, headers: [], body: "stale" } : undefined,
  });
  const x = worker.ask("/");
  worker.last.fail({ code: "connect_failed", unsent: true });
  expect([x.status, x.body, x.code]).toEqual([200, "stale", "connect_failed"]);
});

it("asynchronous work of a policy ends with its time: the answer is 504, its signal fires, and what comes later is nobody's", async () => {
  const pending = Promise.withResolvers<undefined>();
  const reasons: string[] = [];
  const worker = await withPolicies({
    name: "slow",
    onRequest: (x) => {
      x.signal.addEventListener("abort", () => reasons.push("aborted"));
      return pending.promise;
    },
  });
  const x = worker.ask("/");
  expect(x.finished).toBe(false);
  const { wheel } = worker.services;
  Object.defineProperty(wheel, "now", { value: () => performance.now() + 6000 });
  wheel.advance();
  expect([x.status, x.code, x.errorDetail]).toEqual([504, "policy_timeout", "policy slow took longer than 5000 ms"]);
  expect(reasons).toEqual(["aborted"]);
  pending.resolve(undefined);
  await pending.promise;
  expect(worker.calls).toEqual([]);
  worker.stop();
});

it("asynchronous work of a policy ends when the client goes: its signal fires, and nothing is sent to a service", async () => {
  const pending = Promise.withResolvers<undefined>();
  const reasons: string[] = [];
  const finished: string[] = [];
  const worker = await withPolicies({
    name: "slow",
    onRequest: (x) => {
      x.signal.addEventListener("abort", () => reasons.push("aborted"));
      return pending.promise;
    },
    onFinish: (x) => finished.push(x.errorCode ?? ""),
  });
  const x = worker.ask("/");
  x.leave();
  expect([x.finished, x.code, reasons, finished]).toEqual([true, "client_aborted", ["aborted"], ["client_aborted"]]);
  pending.resolve(undefined);
  await pending.promise;
  expect(worker.calls).toEqual([]);
  worker.stop();
});

it("a policy's slot holds what it keeps of an exchange, apart from other policies and other exchanges", async () => {
  const entries = ["a", "b"].map(
    (name): PolicyEntry => ({
      name,
      phase: "origin",
      create: (_config, route) => {
        const slot = route.slot<string>();
        return {
          name,
          onRequest: (x): undefined => slot.set(x, `${slot.get(x) ?? ""}${name}${x.path}`) as undefined,
          onResponse: (x, head): undefined => void head.headers.push(`x-${name}`, slot.get(x) ?? ""),
        };
      },
    }),
  );
  const worker = await PlayedWorker.start(CONFIG, {
    registries: { ...REGISTRIES, policies: entries, phases: phasesOf(entries) },
    plan: withRoute({ policies: named("a", "b") }),
  });
  const [x, y] = [worker.ask("/x"), worker.ask("/y")];
  for (const call of worker.calls) call.head(204).end();
  expect(x.head?.headers).toEqual(expect.arrayContaining(["x-a", "a/x", "x-b", "b/x"]));
  expect(y.head?.headers).toEqual(expect.arrayContaining(["x-a", "a/y", "x-b", "b/y"]));
});

it("a reply may be a stream: read as fast as the client takes it, destroyed when the client goes, cut when it fails", async () => {
  const body = () => new Readable({ read() {} });
  const streams = [body(), body(), body()];
  const handler: HandlerEntry = {
    name: "stream",
    create: () => {
      let next = 0;
      return {
        handle: (x) =>
          reply(x, { kind: "stream", status: 200, headers: [], body: streams[next++] ?? body(), trailers: () => ["x-t", "1"] }),
      };
    },
  };
  const worker = await PlayedWorker.start(CONFIG, {
    registries: { handlers: [handler] },
    plan: withRoute({ handler: { name: "stream", config: null } }),
  });
  const [whole, left, failed] = [worker.ask("/1"), worker.ask("/2"), worker.ask("/3")];
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  whole.slow = true;
  streams[0]?.push("ab");
  await turn();
  expect([whole.body, streams[0]?.isPaused()]).toEqual(["ab", true]);
  whole.drain();
  streams[0]?.push("cd");
  streams[0]?.push(null);
  await turn();
  await turn();
  expect([whole.body, whole.ended, whole.responseTrailers]).toEqual(["abcd", true, ["x-t", "1"]]);
  left.leave();
  expect([left.finished, streams[1]?.destroyed]).toEqual([true, true]);
  streams[2]?.destroy(new Error("source broke"));
  await turn();
  expect([failed.cut, failed.code]).toEqual([true, "internal_error"]);
});
