// Upstreams that fail: what is tried again and what is not, which deadline ends what, and what the client is told.
import net, { type AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BothEngines, ENGINES } from "../../support/both-engines.ts";
import { FullBacklog } from "../../support/full-backlog.ts";
import { field } from "../../support/raw-client.ts";
import { OK, RawUpstream, type RequestHandler, type UpstreamConnection } from "../../support/raw-upstream.ts";
import { until } from "../../support/until.ts";

/** A port that nobody listens on. */
async function refusingPort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo; // a TCP server that listens has one
  await new Promise((resolve) => server.close(resolve));
  return port;
}

let rig: BothEngines;
let second: RawUpstream;
let full: FullBacklog;
beforeAll(async () => {
  second = await RawUpstream.start();
  full = await FullBacklog.start();
  const nobody = await refusingPort();
  rig = await BothEngines.start((port) => {
    const url = (of: number): string => `{ url: "http://127.0.0.1:${of}" }`;
    const generous = "health: { passive: false }, retry: { budget: 100%, on: [connect-failure, reset, 503], bufferBytes: 1KiB }";
    return `upstreams:
  u: { targets: [ ${url(port)} ] }
  pair: { targets: [ ${url(port)}, ${url(second.port)} ], balance: round-robin, ${generous} }
  half-gone: { targets: [ ${url(nobody)}, ${url(second.port)} ], balance: round-robin, ${generous} }
  single: { targets: [ ${url(port)} ], ${generous} }
  gone: { targets: [ ${url(nobody)} ], health: { passive: { consecutiveFailures: 3, maxEjected: 100% } }, retry: { attempts: 0 } }
  frugal: { targets: [ ${url(port)} ], health: { passive: false }, retry: { budget: 10%, backoff: { base: 0, max: 0 } } }
  never: { targets: [ ${url(port)} ], health: { passive: false }, retry: { budget: 0% } }
  full: { targets: [ ${url(full.port)} ], timeouts: { connect: 200ms }, health: { passive: false } }
  quick: { targets: [ ${url(port)} ], timeouts: { response: 200ms, idle: 200ms }, health: { passive: false } }
  brief: { targets: [ ${url(port)}, ${url(second.port)} ], balance: round-robin, timeouts: { idle: 200ms }, health: { passive: false }, retry: { budget: 100%, on: [timeout] } }
  short: { targets: [ ${url(port)} ], timeouts: { total: 300ms }, health: { passive: false } }
  narrow: { targets: [ ${url(port)} ], pool: { connections: 1, queue: 1 }, health: { passive: false } }
routes:
  - { name: all, match: { path: "/**" }, to: u }
  - { name: packed, match: { path: "/packed/**" }, compress: { minBytes: 1 }, to: pair }
${["pair", "half-gone", "single", "gone", "frugal", "never", "full", "quick", "brief", "short", "narrow"].map((name) => `  - { name: ${name}, match: { path: "/${name}/**" }, to: ${name} }`).join("\n")}
`;
  });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  await second[Symbol.asyncDispose]();
  await full[Symbol.asyncDispose]();
});

let runs = 0;
const fresh = (prefix: string): string => `${prefix}/f-${++runs}`;

/** Of the requests for a path, over both upstreams: the first is treated so, all others get 200. */
function firstFails(path: string, fault: RequestHandler): void {
  let seen = 0;
  for (const upstream of [rig.upstream, second]) {
    upstream.on(path, (connection, request) => (seen++ === 0 ? fault(connection, request) : connection.write(OK)));
  }
}

const reset: RequestHandler = (connection) => connection.reset();
const answer503: RequestHandler = (connection) => connection.write("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");

/** A head that promises a body, and what the connection then does. */
const headThen =
  (head: string, then: (connection: UpstreamConnection) => void): RequestHandler =>
  (connection) => {
    connection.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n`);
    then(connection);
  };
const ends = (connection: UpstreamConnection): void => connection.end();
const misframes = (connection: UpstreamConnection): void => connection.write("no size\r\n");
const stalls = (): void => {};

/** What connections do once the client has the head. */
let waiting: (() => void)[] = [];
const later =
  (then: (connection: UpstreamConnection) => void) =>
  (connection: UpstreamConnection): void =>
    void waiting.push(() => then(connection));
function goOn(): void {
  const all = waiting;
  waiting = [];
  for (const each of all) each();
}
const LENGTH = "Content-Length: 10";
const CHUNKED = "Transfer-Encoding: chunked";

describe.each(ENGINES)("%s", (engine) => {
  /** @returns status, problem code and body of the answer */
  async function ask(
    path: string,
    method = "GET",
    body = "",
  ): Promise<{ status: number; code: string | undefined; text: string; retryAfter: string | undefined }> {
    rig.report();
    await using client = await rig.connect(engine);
    client.send(`${method} ${path} HTTP/1.1\r\nHost: a.example\r\n${body === "" ? "" : `Content-Length: ${body.length}\r\n`}\r\n${body}`);
    const response = await client.response(method === "HEAD");
    const text = response.body.toString();
    const code = /"code":"(\w+)"/.exec(text)?.[1];
    return { status: response.status, code, text, retryAfter: field(response, "retry-after") };
  }

  describe("tries again", () => {
    it.each([
      ["a reset before the answer", reset, "GET"],
      ["a reset before the answer", reset, "HEAD"],
      ["a reset before the answer", reset, "PUT"],
      ["a reset before the answer", reset, "DELETE"],
      ["a connection that ends without an answer", ((connection) => connection.end()) as RequestHandler, "GET"],
      ["503, as configured", answer503, "GET"],
    ])("after %s, at the other target: %3$s", async (_, fault, method) => {
      const path = fresh("/pair");
      firstFails(path, fault);
      const body = method === "PUT" ? "hello" : "";
      expect((await ask(path, method, body)).status).toBe(200);
      const requests = [...rig.upstream.to(path), ...second.to(path)];
      expect([rig.upstream.to(path).length, second.to(path).length]).toEqual([1, 1]);
      expect(requests.map((request) => request.body.toString())).toEqual([body, body]);
    });

    it.each(["GET", "POST"])("after a refused connection, where nothing was sent: %s", async (method) => {
      for (let i = 0; i < 4; i++) expect((await ask(fresh("/half-gone"), method, method === "POST" ? "hello" : "")).status).toBe(200);
    });

    // The engine uws holds a head back until there is a body to send with it; net sends it when the event loop comes round.
    it.runIf(engine === "uws").each([
      ["ends after its head and before its body", LENGTH, ends, "/pair", "GET"],
      ["ends after the head of a chunked answer", CHUNKED, ends, "/pair", "GET"],
      ["ends after its head", LENGTH, ends, "/pair", "PUT"],
      ["stalls after its head, as configured", LENGTH, stalls, "/brief", "GET"],
      ["stalls after the head of a chunked answer, as configured", CHUNKED, stalls, "/brief", "DELETE"],
    ] as const)(
      "an answer of which the client has nothing yet, when the upstream %s: %s %s %s %s",
      async (_, head, then, prefix, method) => {
        const path = fresh(prefix);
        firstFails(path, headThen(head, then));
        const body = method === "PUT" ? "hello" : "";
        expect(await ask(path, method, body)).toMatchObject({ status: 200, text: "ok" });
        expect([...rig.upstream.to(path), ...second.to(path)].map((request) => request.body.toString())).toEqual([body, body]);
      },
    );

    it.runIf(engine === "uws")("an answer that was being compressed and of which nothing had come out", async () => {
      rig.report();
      const path = fresh("/packed");
      firstFails(
        path,
        headThen("Content-Type: text/plain\r\nContent-Length: 5000", (connection) => connection.end("some")),
      );
      await using client = await rig.connect(engine);
      client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n`);
      expect((await client.response()).status).toBe(200);
      expect(rig.upstream.to(path).length + second.to(path).length).toBe(2);
    });

    it("at the same target when there is no other", async () => {
      const path = fresh("/single");
      firstFails(path, reset);
      expect((await ask(path)).status).toBe(200);
      expect(rig.upstream.to(path)).toHaveLength(2);
    });

    it("as often as configured, then the failure is the answer", async () => {
      const path = fresh("/pair");
      for (const upstream of [rig.upstream, second]) upstream.on(path, reset);
      expect(await ask(path)).toMatchObject({ status: 502, code: "upstream_reset" });
      expect(rig.upstream.to(path).length + second.to(path).length).toBe(3);
    });

    it("no more than the budget allows", async () => {
      const path = fresh("/frugal");
      rig.upstream.on(path, reset);
      const requests = 150;
      for (let i = 0; i < requests; i += 10) await Promise.all(Array.from({ length: 10 }, () => ask(path)));
      const retries = rig.upstream.to(path).length - requests;
      // 10 % of the requests of both engines' runs, and what is allowed each second anyway; without a budget it were 300.
      expect(retries).toBeLessThan(120);
      expect(retries).toBeGreaterThan(0);
    });
  });

  describe("does not try again", () => {
    it.runIf(engine === "net").each([
      ["stalls after its head", LENGTH, stalls, "/brief", "GET"],
      ["stalls after the head of a chunked answer", CHUNKED, stalls, "/brief", "DELETE"],
      ["ends a while after its head", LENGTH, later(ends), "/pair", "GET"],
      ["breaks the framing a while after its head", CHUNKED, later(misframes), "/pair", "GET"],
    ] as const)("an answer whose head has gone out, when the upstream %s: %s %s %s %s", async (_, head, then, prefix, method) => {
      rig.report();
      const path = fresh(prefix);
      firstFails(path, headThen(head, then));
      await using client = await rig.connect(engine);
      client.send(`${method} ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      expect((await client.head()).status).toBe(200);
      goOn();
      await client.closes();
      expect(client.pending.toString()).toBe("");
      expect(rig.upstream.to(path).length + second.to(path).length).toBe(1);
    });

    it.runIf(engine === "uws")("an answer that broke the rules of framing, though the client has nothing of it", async () => {
      const path = fresh("/single");
      firstFails(path, headThen(CHUNKED, misframes));
      expect(await ask(path)).toMatchObject({ status: 502, code: "upstream_aborted" });
      expect(rig.upstream.to(path)).toHaveLength(1);
    });

    it.each([
      ["POST after a reset", reset, "POST", "hello", 502],
      ["PATCH after a reset", reset, "PATCH", "hello", 502],
      ["POST after 503", answer503, "POST", "hello", 503],
      ["PUT with a body larger than is kept", reset, "PUT", "x".repeat(5000), 502],
      [
        "after 503 with a Retry-After that nobody waits for",
        ((connection) => connection.write("HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n")) as RequestHandler,
        "GET",
        "",
        503,
      ],
    ])("%s", async (_, fault, method, body, status) => {
      const path = fresh("/single");
      firstFails(path, fault);
      expect((await ask(path, method, body)).status).toBe(status);
      expect(rig.upstream.to(path)).toHaveLength(1);
    });

    it("without a budget", async () => {
      const path = fresh("/never");
      firstFails(path, reset);
      expect(await ask(path)).toMatchObject({ status: 502, code: "upstream_reset" });
      expect(rig.upstream.to(path)).toHaveLength(1);
    });

    it("once the answer has begun", async () => {
      rig.report();
      const path = fresh("/pair");
      for (const upstream of [rig.upstream, second]) upstream.answer(path, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", true);
      await using client = await rig.connect(engine);
      client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      expect((await client.head()).status).toBe(200);
      await client.closes();
      expect(client.pending.toString()).toBe("half");
      expect(rig.upstream.to(path).length + second.to(path).length).toBe(1);
    });
  });

  describe("ends", () => {
    /** Keeps silent. @returns the connection, once there is one */
    function silence(path: string, first = ""): () => UpstreamConnection | null {
      let held: UpstreamConnection | null = null;
      rig.upstream.on(path, (connection) => {
        held = connection;
        if (first !== "") connection.write(first);
      });
      return () => held;
    }

    it("504 response_timeout when no answer comes; the upstream request is cancelled", async () => {
      const path = fresh("/quick");
      const held = silence(path);
      expect(await ask(path)).toMatchObject({ status: 504, code: "response_timeout" });
      await until("the upstream's connection is closed", () => held()?.closed === true);
      expect(rig.upstream.to(path)).toHaveLength(1); // a timeout is not in the default list of what is tried again
    });

    it("504 total_timeout when the time for all attempts is over", async () => {
      const path = fresh("/short");
      const held = silence(path);
      expect(await ask(path)).toMatchObject({ status: 504, code: "total_timeout" });
      await until("the upstream's connection is closed", () => held()?.closed === true);
    });

    it("504 connect_timeout when nobody accepts", async () => {
      expect(await ask(fresh("/full"))).toMatchObject({ status: 504, code: "connect_timeout" });
    });

    it.runIf(engine === "uws").each([
      ["502 upstream_aborted when it ends after its head", "/single", LENGTH, ends, 502, "upstream_aborted"],
      ["502 upstream_aborted when it ends after the head of a chunked answer", "/single", CHUNKED, ends, 502, "upstream_aborted"],
      ["504 upstream_idle_timeout when it stalls after its head", "/quick", LENGTH, stalls, 504, "upstream_idle_timeout"],
      [
        "504 upstream_idle_timeout when it stalls after the head of a chunked answer",
        "/quick",
        CHUNKED,
        stalls,
        504,
        "upstream_idle_timeout",
      ],
      ["502 upstream_aborted when its framing breaks", "/single", CHUNKED, misframes, 502, "upstream_aborted"],
    ] as const)("%s, and POST is not sent again", async (_, prefix, head, then, status, code) => {
      const path = fresh(prefix);
      rig.upstream.on(path, headThen(head, then));
      await using client = await rig.connect(engine);
      client.send(`POST ${path} HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello`);
      const response = await client.response();
      expect(response.status).toBe(status);
      expect(response.body.toString()).toContain(`"code":"${code}"`);
      expect(field(response, "content-type")).toBe("application/problem+json");
      expect(rig.upstream.to(path)).toHaveLength(1);
      // The connection is as good as before.
      const next = fresh("");
      client.send(`GET ${next} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      expect((await client.response()).status).toBe(200);
      await until("the log has it", () =>
        rig.gateway.lines().some((each) => each["path"] === path && each["code"] === code && each["status"] === status),
      );
    });

    it("by cutting the client off when an event stream, of which the head goes out at once, ends early", async () => {
      const path = fresh("/quick");
      rig.upstream.on(path, headThen(`Content-Type: text/event-stream\r\n${CHUNKED}`, stalls));
      await using client = await rig.connect(engine);
      client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      expect((await client.head()).status).toBe(200);
      await client.closes();
    });

    it("by cutting the client off when an answer stalls", async () => {
      rig.report();
      const path = fresh("/quick");
      const held = silence(path, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      await using client = await rig.connect(engine);
      client.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`);
      expect((await client.head()).status).toBe(200);
      await client.closes();
      expect(client.pending.toString()).toBe("half");
      await until("the upstream's connection is closed", () => held()?.closed === true);
      await until("the log has it", () =>
        rig.gateway.lines().some((each) => each["path"] === path && each["code"] === "upstream_idle_timeout"),
      );
    });

    it("502 connect_failed, and 503 no_healthy_target with Retry-After once the only target is ejected", async () => {
      const seen = new Set<string>();
      await expect
        .poll(async () => {
          const { status, code, retryAfter, text } = await ask(fresh("/gone"));
          expect(text).not.toContain("127.0.0.1");
          seen.add(`${status} ${code} ${retryAfter ?? "-"}`);
          return code;
        })
        .toBe("no_healthy_target");
      for (const each of seen) expect(["502 connect_failed -", "503 no_healthy_target 1"]).toContain(each);
    });

    it("503 overloaded when connections and queue are full; those who waited are served", async () => {
      const path = fresh("/narrow");
      const held: UpstreamConnection[] = [];
      rig.upstream.on(path, (connection) => held.push(connection));
      const first = ask(path);
      await rig.upstream.received(path);
      const others = [ask(path), ask(path)];
      expect(await Promise.race(others)).toMatchObject({ status: 503, code: "overloaded" });
      held[0]?.write(OK);
      await rig.upstream.received(path, 2);
      held[1]?.write(OK);
      expect((await first).status).toBe(200);
      expect((await Promise.all(others)).map(({ status }) => status).toSorted()).toEqual([200, 503]);
    });
  });
});
