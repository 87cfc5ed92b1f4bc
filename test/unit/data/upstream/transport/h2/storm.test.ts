// A storm of calls over the HTTP/2 client, before a service that answers, resets, refuses, breaks off and says GOAWAY as a seed has it, and callers that cancel, pause
// and discard: every call ends at most once, whole bodies are whole, and nothing is left behind. A failure prints the seed.
import http2, { type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { afterAll, expect, it } from "vitest";
import { TimerWheel } from "../../../../../../src/base/timer-wheel.ts";
import { H2Pool } from "../../../../../../src/data/upstream/transport/h2/pool.ts";
import { until } from "../../../../../support/until.ts";
import { endpoint, seededRandom, upstreamPlan } from "../../../../../support/upstreams.ts";
import { type Asked, ask, streamed } from "../../../../../support/wire-calls.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? 20_261_129);
const CALLS = Number(process.env["FUZZ_CASES"] ?? 4000);
const TOGETHER = 60;

const random = seededRandom(SEED);
const below = (n: number): number => Math.floor(random() * n);
const sessions = new Set<ServerHttp2Session>();
const server = http2.createServer({ settings: { maxConcurrentStreams: 20 }, maxSessionMemory: 100 });
server.on("session", (session) => {
  sessions.add(session);
  session.on("error", () => {});
  session.on("close", () => sessions.delete(session));
});
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  const what = String(headers[":path"]).slice(1);
  const bytes = Number(headers["x-bytes"]);
  if (what === "reset") return void stream.close(2);
  if (what === "refuse") return void stream.close(7);
  if (what === "goaway") stream.session?.goaway(0);
  if (what === "cut") return void stream.session?.destroy();
  stream.resume();
  stream.respond({ ":status": what === "error" ? 503 : 200 });
  if (what === "broken") {
    stream.write(Buffer.alloc(bytes));
    return void setImmediate(() => stream.close(2));
  }
  stream.end(Buffer.alloc(bytes, "b"));
});
afterAll(() => {
  for (const session of sessions) session.destroy();
  server.close();
});

const KINDS = ["ok", "ok", "ok", "ok", "error", "reset", "refuse", "broken", "goaway", "cut"] as const;

/** What the caller does on its side. */
function behave(asked: Asked, done: () => void): void {
  const kind = below(8);
  const giveUp = (how: "cancel" | "discard") => (): void => {
    asked.call?.[how]();
    done();
  };
  if (kind === 0) setTimeout(giveUp("cancel"), below(5));
  else if (kind === 1) asked.onHead = giveUp("discard");
  else if (kind <= 3)
    asked.onChunk = () => {
      asked.call?.pause();
      setImmediate(() => asked.call?.resume());
    };
}

it(`survives storm ${SEED}`, async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const wheel = new TimerWheel();
  const plan = upstreamPlan({ protocol: "h2c" });
  const pool = new H2Pool(
    endpoint("a", 0, { port: (server.address() as AddressInfo).port }),
    { ...plan, pool: { ...plan.pool, connections: 3, queue: 30, keepAliveMs: 60_000 } },
    wheel,
  );
  const seen = new Map<string, number>();
  const one = async (): Promise<void> => {
    const what = KINDS[below(KINDS.length)] as string;
    const bytes = [0, 1, 1000, 70_000, 300_000][below(5)] as number;
    const bodies = [{}, { body: Buffer.alloc(bytes), contentLength: bytes }, streamed([Buffer.alloc(bytes), Buffer.from("x")])];
    const body = bodies[below(3)] as object;
    const given = Promise.withResolvers<void>();
    const request = { method: "POST", path: `/${what}`, headers: ["host", "a", "x-bytes", String(bytes)], ...body };
    const asked = ask(pool, request, (each) => behave(each, given.resolve));
    const outcome = await Promise.race([asked.over, given.promise]);
    if (outcome === undefined) return void seen.set("given up", (seen.get("given up") ?? 0) + 1);
    const key = outcome.error?.code ?? String(outcome.status);
    seen.set(key, (seen.get(key) ?? 0) + 1);
    if (outcome.error === null) expect(outcome.body.length).toBe(bytes);
  };
  for (let at = 0; at < CALLS; at += TOGETHER) await Promise.all(Array.from({ length: TOGETHER }, one));
  expect([...seen.keys()].sort()).toEqual(expect.arrayContaining(["200", "503", "given up", "upstream_reset"]));
  await until("nothing is under way", () => pool.stats.running === 0 && pool.stats.queued === 0);
  pool.close();
  await until("no session is left", () => pool.stats.connected === 0);
  expect(wheel.size).toBe(0);
  wheel.stop();
});
