// Every exchange ends once and gives back what it took, whatever its policies, filters and streams do; a failing part of the gateway lets nothing through.
import { Readable } from "node:stream";
import { expect, it } from "vitest";
import type { HandlerEntry } from "../../../../src/data/exchange/handler.ts";
import type { Policy, Reply } from "../../../../src/data/exchange/policy.ts";
import { reply } from "../../../../src/data/exchange/reply.ts";
import { type FilterEntry, PassingFilter } from "../../../../src/data/exchange/response-filter.ts";
import type { PolicyEntry } from "../../../../src/data/policies/registry.ts";
import { phasesOf } from "../../../../src/data/worker/request-steps.ts";
import type { FeaturePlan, Plan } from "../../../../src/plan/plan.ts";
import { PlayedWorker } from "../../../support/played-worker.ts";

const config = (upstream = "retry: { attempts: 0 }", route = "") => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams:
  a: { targets: [{ url: http://a }], ${upstream} }
  copies: { targets: [{ url: http://copies }] }
routes: [{ name: r, match: {}, to: a${route} }]
`;

const named = (...names: readonly string[]): readonly FeaturePlan[] => names.map((name) => ({ name, config: null }));
const withRoute =
  (changes: { readonly handler?: FeaturePlan; readonly filters?: readonly FeaturePlan[]; readonly policies?: readonly FeaturePlan[] }) =>
  (plan: Plan): Plan => ({ ...plan, routes: plan.routes.map((route) => ({ ...route, ...changes })) });

function withPolicies(text: string, ...policies: readonly Policy[]): Promise<PlayedWorker> {
  const entries = policies.map((policy): PolicyEntry => ({ name: policy.name, phase: policy.phase ?? "origin", create: () => policy }));
  return PlayedWorker.start(text, {
    registries: { policies: entries, phases: phasesOf(entries) },
    plan: withRoute({ policies: named(...policies.map(({ name }) => name)) }),
  });
}

function withFilters(...filters: readonly FilterEntry[]): Promise<PlayedWorker> {
  return PlayedWorker.start(config(), { registries: { filters }, plan: withRoute({ filters: named(...filters.map(({ name }) => name)) }) });
}

const filter = (name: string, create: () => PassingFilter): FilterEntry => ({ name, create: () => create });

/** A route that answers with a stream. */
async function withStream(body: Readable): Promise<PlayedWorker> {
  const handler: HandlerEntry = {
    name: "stream",
    create: () => ({ handle: (x) => reply(x, { kind: "stream", status: 200, headers: [], body }) }),
  };
  return PlayedWorker.start(config(), {
    registries: { handlers: [handler] },
    plan: withRoute({ handler: { name: "stream", config: null } }),
  });
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const SLOTS = [0, 1, 2, 3, 4, 5, 6, 7];
/** What is under way: exchanges, requests to targets, copies, deadlines. */
const left = ({ services }: PlayedWorker) => ({
  exchanges: services.inFlight,
  atTargets: SLOTS.reduce((sum, slot) => sum + services.health.ownInFlight(slot), 0),
  mirrored: services.mirrored,
  deadlines: services.wheel.size,
});
const NOTHING = { exchanges: 0, atTargets: 0, mirrored: 0, deadlines: 0 };

it("an answer of the gateway's own that every filter of the route passes by ends its exchange", async () => {
  const worker = await PlayedWorker.start(config(undefined, ", compress: {}"));
  const x = worker.ask("/");
  worker.last.fail({ code: "connect_failed", unsent: true });
  expect(x).toMatchObject({ status: 502, ended: true, finished: true });
  expect(left(worker)).toEqual(NOTHING);
});

it("a response that the client has taken behind a filter lets go of what its transport holds for it", async () => {
  const worker = await withFilters(filter("passing", () => new (class extends PassingFilter {})()));
  const x = worker.ask("/");
  x.slow = true;
  const call = worker.last.head(200, [], 4).data("1234");
  call.end();
  expect(x.finished).toBe(true);
  expect(call.paused && !call.cancelled).toBe(false);
});

it("a response whose filter ends it early ends the request to the service", async () => {
  const short = filter(
    "short",
    () =>
      new (class extends PassingFilter {
        override data(chunk: Uint8Array): boolean {
          this.next.data(chunk);
          this.next.end(null);
          return true;
        }
        override end(): void {}
      })(),
  );
  const worker = await withFilters(short);
  const x = worker.ask("/");
  const call = worker.last.head(200).data("enough");
  expect([x.body, x.finished, call.cancelled]).toEqual(["enough", true, true]);
  expect(left(worker)).toEqual(NOTHING);
});

const THROWS = (): never => {
  throw new Error("broken policy");
};

it.each<[keyof Policy, number]>([
  ["onEdge", 500],
  ["onRequest", 500],
  ["onIdentified", 500],
  ["onUpstreamRequest", 500],
  ["onUpstreamFailure", 500],
])("a policy that throws in %s is answered with an error, and nothing is left over", async (hook, status) => {
  const ends: string[] = [];
  const worker = await withPolicies(
    config(),
    { name: "broken", [hook]: THROWS },
    { name: "other", onFinish: () => void ends.push("finished") },
  );
  const x = worker.ask("/");
  if (hook === "onUpstreamFailure") worker.last.fail();
  await turn();
  expect(x).toMatchObject({ status, code: "internal_error", ended: true, finished: true });
  expect(worker.faults.join()).toContain("failed inside the gateway");
  expect([left(worker), ends]).toEqual([NOTHING, ["finished"]]);
  worker.stop();
});

it("a policy that throws in onResponse sends no response through, not even that of the error", async () => {
  const ends: string[] = [];
  const worker = await withPolicies(
    config(),
    { name: "broken", onResponse: THROWS },
    { name: "other", onFinish: () => void ends.push("finished") },
  );
  const x = worker.ask("/");
  const call = worker.last.head(200, ["x-secret", "1"], 2).data("{}");
  expect([x.head, x.body, x.cut, x.code, call.cancelled]).toEqual([null, "", true, "internal_error", true]);
  expect([left(worker), ends]).toEqual([NOTHING, ["finished"]]);
});

it("a policy that throws in onFinish keeps no other policy from its own", async () => {
  const ends: string[] = [];
  const worker = await withPolicies(
    config(),
    { name: "broken", onFinish: THROWS },
    { name: "other", onFinish: () => void ends.push("finished") },
  );
  const x = worker.ask("/");
  worker.last.head(204).end();
  expect([x.status, ends, left(worker)]).toEqual([204, ["finished"], NOTHING]);
});

// What a module that nobody type-checks may return.
const GARBAGE: readonly [string, unknown][] = [
  ["no headers", { kind: "response", status: 200, body: "x" }],
  ["no kind", { status: 200 }],
  ["null", null],
  ["a stream that is none", { kind: "stream", status: 200, headers: [], body: "text" }],
  ["a number", 7],
];

it.each(GARBAGE)("what no policy may return is an error in every hook that may answer: %s", async (_, garbage) => {
  const answer = (): Reply => garbage as Reply;
  for (const hook of ["onRequest", "onResponse", "onUpstreamFailure"] as const) {
    let calls = 0;
    const once = (): Reply | undefined => (++calls === 1 ? answer() : undefined);
    const worker = await withPolicies(config(), { name: "odd", [hook]: once });
    const x = worker.ask("/");
    if (hook === "onResponse") worker.last.head(200, ["x-secret", "1"], 2);
    if (hook === "onUpstreamFailure") worker.last.fail();
    await turn();
    expect(x, hook).toMatchObject({ status: 500, code: "internal_error", ended: true, finished: true });
    expect(x.head?.headers).not.toContain("x-secret");
    expect(left(worker)).toEqual(NOTHING);
    worker.stop();
  }
});

it("a policy that throws while the copy of a request is made keeps the copy from being sent, and nothing else", async () => {
  let calls = 0;
  const worker = await withPolicies(config(undefined, ", mirror: { upstream: copies }"), {
    name: "broken",
    onUpstreamRequest: () => {
      if (++calls === 2) THROWS();
    },
  });
  const x = worker.ask("/");
  expect(worker.calls).toHaveLength(1);
  worker.last.head(200, [], 2).data("ok").end();
  expect([x.status, x.body, x.finished]).toEqual([200, "ok", true]);
  expect(left(worker)).toEqual(NOTHING);
});

it("a filter that throws at the end before anything was sent is answered with an error", async () => {
  const whole = filter(
    "whole",
    () =>
      new (class extends PassingFilter {
        override head(head: Parameters<PassingFilter["head"]>[0]): void {
          if (head.status !== 200) super.head(head);
        }
        override data(chunk: Uint8Array): boolean {
          return Buffer.from(chunk).toString() === "secret" || super.data(chunk);
        }
        override end(trailers: string[] | null): void {
          if (this.first) {
            this.first = false;
            THROWS();
          }
          super.end(trailers);
        }
        first = first++ === 0;
      })(),
  );
  let first = 0;
  const worker = await withFilters(whole);
  const x = worker.ask("/");
  worker.last.head(200).data("secret").end();
  await turn();
  expect([x.status, x.code, x.ended, x.cut]).toEqual([500, "internal_error", true, false]);
  expect(left(worker)).toEqual(NOTHING);
});

it("a filter that throws at its abort keeps no other filter from its own", async () => {
  const notes: string[] = [];
  const noting = (name: string, fails: boolean) =>
    filter(
      name,
      () =>
        new (class extends PassingFilter {
          override abort(): void {
            notes.push(`${name}.abort`);
            if (fails) THROWS();
          }
          close(): void {
            notes.push(`${name}.close`);
            if (fails) THROWS();
          }
        })(),
    );
  const worker = await withFilters(noting("o", true), noting("p", false));
  const x = worker.ask("/");
  worker.last.head(200, [], 5).data("{");
  x.leave();
  expect(notes).toEqual(["o.abort", "o.close", "p.abort", "p.close"]);
  expect([x.finished, left(worker)]).toEqual([true, NOTHING]);
  expect(worker.faults.join()).toContain("broken policy");
});

/** Notes its parts, so that a test plays what a filter does later. */
class Late extends PassingFilter {
  held: Parameters<PassingFilter["head"]>[0] | null = null;
  override head(head: Parameters<PassingFilter["head"]>[0]): void {
    this.held = head;
  }
  override data(): boolean {
    return true;
  }
  override end(): void {}
  /** Everything at once. */
  late(text: string): void {
    if (this.held !== null) this.next.head(this.held);
    this.next.data(Buffer.from(text));
    this.next.end(null);
  }
}

it("a filter that goes on behind another one's throw ends the response, also when nobody is there to catch it", async () => {
  const late: Late[] = [];
  const worker = await withFilters(
    filter("late", () => {
      const one = new Late();
      late.push(one);
      return one;
    }),
    filter(
      "broken",
      () =>
        new (class extends PassingFilter {
          override data(): boolean {
            return THROWS();
          }
        })(),
    ),
  );
  const x = worker.ask("/");
  worker.last.head(200).data("a").end();
  late[0]?.late("b");
  expect([x.cut, x.code, x.finished, x.body]).toEqual([true, "internal_error", true, ""]);
});

it("what a filter says of a response that was given up reaches nobody", async () => {
  const late: Late[] = [];
  const worker = await PlayedWorker.start(config(), {
    registries: {
      filters: [
        {
          name: "late",
          create: () => (_x, head) => {
            if (head.status !== 200) return null;
            const one = new Late();
            late.push(one);
            return one;
          },
        },
      ],
    },
    plan: withRoute({ filters: named("late") }),
  });
  const x = worker.ask("/", { chunked: true, method: "POST" });
  x.send("part");
  worker.last.head(200, ["x-secret", "1"]).data("secret").fail();
  expect(late).toHaveLength(1);
  late[0]?.late("secret");
  expect([x.started, x.body]).toEqual([false, ""]);
  x.send("rest", true);
  await turn();
  expect([x.status, x.code, x.body.includes("secret"), x.head?.headers.includes("x-secret")]).toEqual([
    502,
    "upstream_aborted",
    false,
    false,
  ]);
});

it("a filter that sends data before the head ends the response", async () => {
  const worker = await withFilters(
    filter(
      "early",
      () =>
        new (class extends PassingFilter {
          override head(): void {}
        })(),
    ),
  );
  const x = worker.ask("/");
  worker.last.head(200).data("lost");
  await turn();
  expect([x.code, x.finished, x.body]).toEqual(["internal_error", true, ""]);
});

it("the stream of a reply that fails before the reply is written ends the response, and nothing else", async () => {
  const body = new Readable({ read() {} });
  const worker = await withStream(body);
  const x = worker.ask("/", { chunked: true, method: "POST" }); // its body is read first
  body.destroy(new Error("no such file"));
  await turn();
  expect(x.finished).toBe(false);
  x.send("", true);
  await turn();
  await turn();
  expect([x.finished, x.code]).toEqual([true, "internal_error"]);
});

it("the stream of a reply that was destroyed before the reply is written ends the response", async () => {
  const body = new Readable({ read() {} });
  body.destroy();
  const worker = await withStream(body);
  await turn();
  const x = worker.ask("/");
  await turn();
  expect([x.finished, x.code]).toEqual([true, "internal_error"]);
});

it("a stream of text is sent as its bytes", async () => {
  const worker = await withStream(Readable.from(["é", "b"]));
  const x = worker.ask("/");
  await turn();
  await turn();
  expect([x.body, x.ended]).toEqual([Buffer.from("éb").toString("latin1"), true]);
});

it("a body that breaks a bound of the gateway while a filter holds the response back is refused with the reason", async () => {
  const late = filter("late", () => new Late());
  const worker = await PlayedWorker.start(config(), {
    registries: { filters: [{ ...late, create: () => (_x, head) => (head.status === 200 ? new Late() : null) }] },
    plan: (plan) => ({ ...withRoute({ filters: named("late") })(plan), limits: { ...plan.limits, bufferedBodyBytes: 1024 ** 2 } }),
  });
  const x = worker.ask("/", { chunked: true, method: "POST" });
  x.send("1234");
  worker.last.head(200);
  x.send("5".repeat(2 * 1024 ** 2));
  x.send("", true);
  await turn();
  expect([x.status, x.code, x.overloadReason, x.errorDetail]).toEqual([
    503,
    "overloaded",
    "bodies",
    "bodies: limits.bufferedBodyBytes of request bodies are held already",
  ]);
  expect(x.body).toContain('"reason":"bodies"');
});

it("a response that is taken back leaves no status behind", async () => {
  const worker = await PlayedWorker.start(config("retry: { attempts: 1, on: [reset] }"));
  const x = worker.ask("/");
  x.holdsBack = true;
  worker.last.head(200).data("a").fail();
  expect([x.started, x.status]).toEqual([false, 0]);
  x.leave();
  expect([x.status, x.code, left(worker)]).toEqual([0, "client_aborted", NOTHING]);
});

it("a 429 that `retry.on` lists is tried again, and is no failure of its target", async () => {
  const worker = await PlayedWorker.start(
    config("retry: { attempts: 1, on: [429, 502-504], backoff: { base: 1ms, max: 1ms } }, breaker: { minimumRequests: 1 }"),
  );
  const x = worker.ask("/");
  const [first] = worker.calls;
  first?.head(429);
  await expect.poll(() => worker.calls.length).toBe(2);
  expect(first?.discarded).toBe(true);
  worker.last.head(429).end();
  expect([x.status, x.attempts, left(worker)]).toEqual([429, 2, NOTHING]);
});

it("a 404 that `retry.on` does not list is passed on", async () => {
  const worker = await PlayedWorker.start(config("retry: { attempts: 1, on: [429, 502-504] }"));
  const x = worker.ask("/");
  worker.last.head(404).end();
  expect([x.status, x.attempts]).toEqual([404, 1]);
});
