// A whole response, collected within its bound: what comes of it is told once, and nothing is left over.
import { expect, it } from "vitest";
import type { RequestView } from "../../../../src/data/routing/request-view.ts";
import { type CallRequest, NO_BODY, newCallRecord } from "../../../../src/data/upstream/call-request.ts";
import { type Collected, CollectedCall } from "../../../../src/data/upstream/collect.ts";
import type { Upstream } from "../../../../src/data/upstream/upstream.ts";
import { PlayedWorker } from "../../../support/played-worker.ts";

const CONFIG = `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }], retry: { attempts: 1, on: [reset] } } }
routes: [{ name: r, match: {}, to: a }]
`;

const requestOf = (worker: PlayedWorker, method = "GET"): CallRequest => ({
  services: worker.services,
  record: newCallRecord(),
  view: { requestId: "r", headers: [] } as unknown as RequestView, // round-robin looks no closer
  method,
  body: NO_BODY,
  timeouts: null,
  boundsBody: true,
  single: false,
  prepare: () => ({ method, path: "/", headers: [], body: null, contentLength: 0 }),
  via: null,
  dispatched() {},
});

async function collecting(maxBytes: number, method = "GET") {
  const worker = await PlayedWorker.start(CONFIG);
  const call = new CollectedCall(worker.runtime.upstreams[0] as Upstream, requestOf(worker, method), maxBytes); // of the configuration above
  const told: Collected[] = [];
  call.start((outcome) => told.push(outcome));
  return { worker, call, told };
}

/** Requests under way, deadlines that run. */
const left = ({ services }: PlayedWorker) => [services.health.ownInFlight(0), services.wheel.size];

it("a response is collected whole, with its trailers; what the transport lends is copied", async () => {
  const { worker, told } = await collecting(8);
  const lent = Buffer.from("12345678");
  worker.last.head(200, ["x-a", "1"]);
  worker.last.handler.wireData(lent.subarray(0, 4));
  worker.last.handler.wireData(lent.subarray(4));
  lent.fill("z");
  worker.last.end({ "x-t": "2" });
  expect(told).toEqual([{ kind: "response", status: 200, headers: ["x-a", "1"], body: Buffer.from("12345678"), trailers: ["x-t", "2"] }]);
  expect(left(worker)).toEqual([0, 0]);
});

it.each<[string, (worker: PlayedWorker) => void]>([
  ["its head says so", (worker) => void worker.last.head(200, [], 9)],
  ["one byte more comes", (worker) => void worker.last.head(200).data("12345678").data("9")],
])("a response that is too large is given up as soon as %s, and nothing is held against the target", async (_, happens) => {
  const { worker, told } = await collecting(8);
  happens(worker);
  expect(told).toEqual([{ kind: "too-large", status: 200, headers: [] }]);
  expect(worker.last.cancelled).toBe(true);
  expect(left(worker)).toEqual([0, 0]);
});

it.each([
  ["HEAD", 200],
  ["GET", 304],
])("the length that the response to %s with status %i tells is none of a body", async (method, status) => {
  const { worker, told } = await collecting(8, method);
  worker.last.head(status, [], 1_000_000).end();
  expect(told).toMatchObject([{ kind: "response", status, body: Buffer.alloc(0) }]);
});

it("a response that breaks off is asked for again, and nothing of the first is kept", async () => {
  const { worker, told } = await collecting(8);
  worker.last.head(200, ["x-first", "1"]).data("1234").fail();
  Object.defineProperty(worker.services.wheel, "now", { value: () => performance.now() + 1000 });
  worker.services.wheel.advance(); // the pause before the second attempt
  expect(worker.calls).toHaveLength(2);
  worker.last.head(201, ["x-second", "1"]).data("abcdef").end();
  expect(told).toEqual([{ kind: "response", status: 201, headers: ["x-second", "1"], body: Buffer.from("abcdef"), trailers: null }]);
  expect(left(worker)).toEqual([0, 0]);
});

it("a response that breaks off for good is a failure", async () => {
  const { worker, told } = await collecting(8);
  worker.last.head(200).data("1234").fail({ code: "upstream_invalid" });
  expect(told).toMatchObject([{ kind: "failed", failure: { code: "upstream_aborted" } }]);
  expect(left(worker)).toEqual([0, 0]);
});

it("nothing is told of a call that was cancelled, whenever that was", async () => {
  const early = await collecting(8);
  early.call.cancel();
  expect([early.worker.last.cancelled, left(early.worker)]).toEqual([true, [0, 0]]);
  const late = await collecting(8);
  late.worker.last.head(200).data("1");
  late.call.cancel();
  late.call.cancel();
  expect([late.worker.last.cancelled, left(late.worker)]).toEqual([true, [0, 0]]);
  expect([early.told, late.told]).toEqual([[], []]);
});

it("whoever throws at being told is told once all the same", async () => {
  const worker = await PlayedWorker.start(CONFIG);
  const broken = new CollectedCall(worker.runtime.upstreams[0] as Upstream, requestOf(worker), 8);
  let times = 0;
  broken.start(() => {
    times++;
    throw new Error("broken listener");
  });
  worker.last.head(200).end();
  expect(times).toBe(1);
  expect(worker.faults.join()).toContain("broken listener");
  expect(left(worker)).toEqual([0, 0]);
});
