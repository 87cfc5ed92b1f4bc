// The open-loop generator against real servers: it keeps its count, its clock does not wait for answers, and nothing that failed is forgotten.
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { OpenLoop, type OpenLoopOptions } from "../../../../src/cli/bench/open-loop.ts";

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** @returns the port of a server that answers as told. */
async function serve(listener: http.RequestListener): Promise<number> {
  const server = http.createServer({ keepAliveTimeout: 60_000 }, listener);
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port; // a TCP server that listens has one
}

const shot = (path: string, method = "GET") => ({ method, bytes: Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: x\r\n\r\n`) });
const load = (port: number, part: Partial<OpenLoopOptions> = {}) =>
  new OpenLoop({
    target: { host: "127.0.0.1", port, tls: false },
    shots: [shot("/a")],
    connections: 4,
    rate: 200,
    durationMs: 500,
    timeoutMs: 5000,
    ...part,
  }).run();

describe("OpenLoop", () => {
  it("sends exactly what falls due, its shots in turn, and keeps their results apart", async () => {
    const seen = new Map<string, number>();
    const port = await serve((request, response) => {
      seen.set(request.url ?? "", (seen.get(request.url ?? "") ?? 0) + 1);
      response.writeHead(request.url === "/b" ? 404 : 200).end("x");
    });
    const result = await load(port, { shots: [shot("/a"), shot("/b")] });
    expect(Object.fromEntries(seen)).toEqual({ "/a": 50, "/b": 50 });
    expect([result.due, result.answered, result.failures.size]).toEqual([100, 100, 0]);
    expect(result.shots.map(({ statuses, failed, latency }) => [...statuses, failed, latency.count])).toEqual([
      [[200, 50], 0, 50],
      [[404, 50], 0, 50],
    ]);
  });

  it("counts the time that requests waited behind a stalled answer: a closed loop would hide it", async () => {
    let first = true;
    const port = await serve((_request, response) => {
      const stall = first;
      first = false;
      if (stall) setTimeout(() => response.end(), 300);
      else response.end();
    });
    const { shots, waited, answered } = await load(port, { connections: 1, rate: 100, durationMs: 400 });
    expect(answered).toBe(40);
    // One answer took 300 ms. Of the requests that fell due meanwhile, every one waited, and says so: not one of forty, but most of thirty.
    expect(waited).toBeGreaterThanOrEqual(20);
    expect(shots[0]?.latency.percentile(50)).toBeGreaterThan(10_000);
  });

  it("connects anew when the server closes, and loses nothing", async () => {
    let connections = 0;
    const port = await serve((_request, response) => response.writeHead(200, { connection: "close" }).end("x"));
    const counted = net.createServer((socket) => {
      connections++;
      const through = net.connect(port, "127.0.0.1");
      socket.pipe(through).pipe(socket);
      socket.on("error", () => through.destroy());
      through.on("error", () => socket.destroy());
    });
    closing.push(() => counted.close());
    await new Promise<void>((resolve) => counted.listen(0, "127.0.0.1", resolve));
    const result = await load((counted.address() as AddressInfo).port, { rate: 100, durationMs: 200 }); // as above
    expect([result.answered, result.shots[0]?.failed]).toEqual([20, 0]);
    expect(connections).toBeGreaterThanOrEqual(20);
  });

  it("gives up what gets no answer, with its time, and says why", async () => {
    const port = await serve((request, response) => {
      if (request.url === "/a") response.end();
    });
    const { shots, failures, answered, due } = await load(port, {
      shots: [shot("/a"), shot("/never")],
      connections: 40,
      rate: 100,
      durationMs: 200,
      timeoutMs: 300,
    });
    expect([due, answered, shots[0]?.failed, shots[1]?.failed]).toEqual([20, 10, 0, 10]);
    expect(Object.fromEntries(failures)).toEqual({ "no answer in time": 10 });
    expect(shots[1]?.latency.min).toBeGreaterThan(290_000);
  });

  it("counts answers that break off", async () => {
    const port = await serve((_request, response) => {
      response.writeHead(200, { "content-length": "100" }).write("x");
      setImmediate(() => response.destroy());
    });
    const { shots, failures, answered } = await load(port, { rate: 50, durationMs: 200 });
    expect([answered, shots[0]?.failed]).toEqual([0, 10]);
    expect([...failures.values()].reduce((sum, count) => sum + count, 0)).toBe(10);
  });

  it("reads an answer that ends with its connection, and a HEAD without a body", async () => {
    const server = net.createServer((socket) => {
      socket.once("data", (bytes: Buffer) => {
        socket.end(bytes.toString().startsWith("HEAD") ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\nhello");
      });
      socket.on("error", () => {});
    });
    closing.push(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { answered, failures } = await load((server.address() as AddressInfo).port, {
      shots: [shot("/a"), shot("/a", "HEAD")],
      rate: 20,
      durationMs: 300,
    }); // as above
    expect([answered, failures.size]).toEqual([6, 0]);
  });

  it("fails when nobody listens", async () => {
    const port = await serve(() => {});
    for (const close of closing.splice(0)) close();
    await expect(load(port)).rejects.toThrow("ECONNREFUSED");
  });
});
