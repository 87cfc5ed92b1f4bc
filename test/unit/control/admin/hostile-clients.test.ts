// Clients that hold what they are given: connections, heads, bodies, answers.
import { type IncomingHttpHeaders, request } from "node:http";
import { connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, expect, test } from "vitest";
import type { AdminDeps } from "../../../../src/control/admin/deps.ts";
import { type Admin, type AdminBounds, createAdmin } from "../../../../src/control/admin/server.ts";
import { cacheControl, instanceState, instanceTotals } from "../../../support/instance.ts";

const TOKEN = "s3cret";
const PATIENT: AdminBounds = { places: 10, headMs: 60_000, answerMs: 60_000 };

let admin: Admin | null = null;
const clients: Socket[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await admin?.close();
});

async function listen(bounds: AdminBounds, changes: Partial<AdminDeps> = {}): Promise<number> {
  admin = createAdmin(
    {
      token: () => TOKEN,
      state: () => instanceState(),
      totals: instanceTotals(),
      plan: () => null,
      config: () => ({ large: "x".repeat(32 * 1024 ** 2) }),
      reload: async () => ({ ok: true, version: 1, changes: [], warnings: [] }),
      drain: () => {},
      breakers: () => [],
      cache: cacheControl(),
      warmUp: { state: () => null, order: () => null },
      purge: async () => ({ removed: null, fleet: null }),
      forceBreaker: async () => false,
      ...changes,
    },
    (error) => {
      throw error;
    },
    bounds,
  );
  return (await admin.listen("127.0.0.1:0")).port;
}

/** One connection that has sent this. */
async function client(port: number, head: string): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  clients.push(socket);
  socket.on("error", () => {});
  await new Promise((resolve) => socket.once("connect", resolve));
  await new Promise<void>((resolve) => socket.write(head, () => resolve()));
  return socket;
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.resume().once("close", () => resolve());
  });

function probe(port: number, path = "/healthz", headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, headers, agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    })
      .on("error", reject)
      .end();
  });
}

test("probes are answered however many clients hold a connection with half a head or none at all", async () => {
  const port = await listen(PATIENT);
  const slow: Socket[] = [];
  for (let i = 0; i < 100; i++) slow.push(await client(port, i % 2 === 0 ? "GET /healthz HTTP/1.1\r\nHost: x" : ""));
  for (let i = 0; i < 5; i++) {
    expect(await probe(port)).toBe(200);
    slow.push(await client(port, "GET"));
  }
  await Promise.all(slow.slice(0, 90).map(closed)); // the oldest went
});

test("probes are answered beside clients that do not read their answers, and operators keep their places", async () => {
  const port = await listen(PATIENT);
  const operator = await client(port, `GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`);
  await new Promise((resolve) => operator.once("data", resolve));
  for (let i = 0; i < 30; i++) (await client(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20))).pause();
  expect(await probe(port)).toBe(200);
  const again = new Promise((resolve) => operator.once("data", resolve));
  operator.write(`GET /readyz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`);
  expect(String(await again)).toMatch(/^HTTP\/1.1 200/);
});

test("a probe keeps its place until its head has come, also beside clients that are being answered and others that come", async () => {
  const port = await listen(PATIENT);
  const upload = "POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"; // refused, and given time to read that
  for (let i = 0; i < 10; i++) await client(port, upload);
  await probe(port); // by now all their heads have been read
  const late = await client(port, "GET /healthz HTTP/1.1\r\n");
  for (let i = 0; i < 5; i++) await client(port, upload);
  const answer = new Promise((resolve, reject) => late.once("data", resolve).once("close", () => reject(new Error("no answer"))));
  late.write("Host: x\r\n\r\n");
  expect(String(await answer)).toMatch(/^HTTP\/1.1 200/);
});

test("operators who hold all places leave one to a probe", async () => {
  const port = await listen(PATIENT);
  for (let i = 0; i < 10; i++)
    (await client(port, `GET /config HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`)).once("readable", () => {});
  expect(await probe(port)).toBe(200);
});

test("a head that is not complete in time, and an answer that nobody takes, end the connection", async () => {
  const port = await listen({ places: 10, headMs: 200, answerMs: 200 });
  await closed(await client(port, "GET /healthz HTTP/1.1\r\nHost: x"));
  await closed(await client(port, ""));
  const deaf = await client(port, `GET /config HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`);
  await new Promise((resolve) => deaf.once("readable", resolve));
  deaf.write(" "); // a write after the reset tells of it without reading
  const timer = setInterval(() => deaf.write(" "), 20);
  await new Promise((resolve) => deaf.once("close", resolve));
  clearInterval(timer);
});

test("no body is read before the token is looked at, nor afterwards: the answer comes, and the connection ends", async () => {
  const port = await listen(PATIENT);
  for (const [authorization, status] of [
    ["", 401],
    [`Bearer ${TOKEN}`, 200],
  ] as const) {
    const { answer, sent } = await upload(port, { authorization, "content-length": String(1024 ** 3) });
    expect(answer).toMatchObject({ status, connection: "close" });
    expect(sent).toBeLessThan(64 * 1024 ** 2); // what the system's buffers hold
  }
});

test("a client that asks before it sends its body is told the outcome instead of to go on", async () => {
  const port = await listen(PATIENT);
  const { answer, sent } = await upload(port, { expect: "100-continue", "content-length": "1000000" }, false);
  expect([answer, sent]).toMatchObject([{ status: 401, connection: "close", continued: false }, 0]);
});

interface Uploaded {
  readonly answer: { readonly status: number; readonly connection: string; readonly continued: boolean };
  readonly sent: number;
}

/** POST /reload with a body that is sent as fast as it is taken, until the connection ends. */
function upload(port: number, headers: IncomingHttpHeaders, sends = true): Promise<Uploaded> {
  return new Promise((resolve) => {
    let continued = false;
    let sent = 0;
    let answered: Promise<Uploaded["answer"]> | null = null;
    const part = Buffer.alloc(64 * 1024);
    const sending = request({ host: "127.0.0.1", port, method: "POST", path: "/reload", headers, agent: false });
    sending.on("continue", () => {
      continued = true;
    });
    sending.on("response", (response) => {
      const { statusCode = 0, headers } = response;
      answered = text(response).then(() => ({ status: statusCode, connection: headers.connection ?? "", continued }));
    });
    sending.on("error", () => {});
    sending.on("close", () => void answered?.then((answer) => resolve({ answer, sent })));
    if (!sends) return sending.flushHeaders();
    const more = (): void => {
      while (sending.write(part)) sent += part.length;
      sent += part.length;
    };
    sending.on("drain", more);
    more();
  });
}
