// Our connection and node:http2 (nghttp2) on the two ends of real sockets, each as client and as server: what one sends, the other reads, byte for byte.
// Seeded; a failure prints its seed.
import { createHash } from "node:crypto";
import http2 from "node:http2";
import net, { type AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { clientOn, openRequest, respond, serverOn } from "../../../support/http2-core.ts";
import { seededRandom } from "../../../support/upstreams.ts";

const SEED = Number(process.env["FUZZ_SEED"] ?? 20_261_129);
const REQUESTS = Number(process.env["FUZZ_CASES"] ?? 150);
const TOGETHER = 20;

const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

const listen = async (server: net.Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(server);
  return (server.address() as AddressInfo).port;
};

const connect = async (port: number): Promise<net.Socket> => {
  const socket = net.connect(port, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  open.push({ close: () => socket.destroy() });
  return socket;
};

interface Case {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly string[];
  readonly body: Buffer;
  readonly piece: number;
  readonly trailers: readonly string[];
  /** Pauses its reader after each chunk, for a turn of the event loop. */
  readonly slow: boolean;
}

function cases(random: () => number): Case[] {
  const below = (n: number): number => Math.floor(random() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const value = (): string =>
    Array.from({ length: 1 + below(60) }, () => String.fromCharCode(pick([33 + below(94), 33 + below(94), 161 + below(94)]))).join("");
  const headers = (count: number): string[] =>
    Array.from({ length: below(count) }, () => [
      pick(["x-a", "x-b", "accept", "accept-language", "x-long-name-of-a-field"]),
      value(),
    ]).flat();
  return Array.from({ length: REQUESTS }, () => {
    const body = Buffer.alloc(pick([0, 0, 1, 100, 16_384, 16_385, 65_535, 65_536, 300_000]) + below(3));
    for (let i = 0; i < body.length; i++) body[i] = below(256);
    return {
      method: body.length === 0 ? "GET" : "POST",
      path: `/${below(1000)}?${"q".repeat(below(300))}`,
      headers: headers(12),
      body,
      piece: 1 + below(50_000),
      trailers: random() < 0.4 ? ["x-trailer", value(), "x-end", "1"] : [],
      slow: random() < 0.3,
    };
  });
}

const digest = (body: Buffer): string => createHash("sha256").update(body).digest("hex").slice(0, 16);

/** Fields of one name joined, as node gives them. */
function byName(flat: readonly string[]): Record<string, string> {
  const out: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] as string;
    out[name] = name in out ? `${out[name]}, ${flat[i + 1]}` : (flat[i + 1] as string);
  }
  return out;
}

const fuzzed = ["x-a", "x-b", "accept", "accept-language", "x-long-name-of-a-field", "x-trailer", "x-end"];
const seen = (headers: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(fuzzed.filter((name) => headers[name] !== undefined).map((name) => [name, headers[name]]));

const latin1 = (text: string): string => Buffer.from(text, "latin1").toString("latin1");

async function inGroups<T, R>(list: readonly T[], work: (each: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < list.length; at += TOGETHER) results.push(...(await Promise.all(list.slice(at, at + TOGETHER).map(work))));
  return results;
}

describe(`seed ${SEED}`, () => {
  it("our client and node's server exchange fields, bodies and trailers without a byte's difference", async () => {
    const echo = http2.createServer();
    echo.on("stream", (stream, headers) => {
      const chunks: Buffer[] = [];
      let trailers: Record<string, unknown> = {};
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("trailers", (given) => {
        trailers = given;
      });
      stream.on("error", () => {});
      stream.on("end", () => {
        const out = {
          ":status": 200,
          ...seen(headers),
          "x-method": headers[":method"],
          "x-path": headers[":path"],
          "set-cookie": ["a=1", "b=2"],
        };
        stream.respond(out as http2.OutgoingHttpHeaders, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers(seen(trailers) as http2.OutgoingHttpHeaders));
        stream.end(Buffer.concat(chunks));
      });
    });
    const connection = clientOn(await connect(await listen(echo)));
    await inGroups(cases(seededRandom(SEED)), async (each) => {
      const ended = each.body.length === 0 && each.trailers.length === 0;
      const stream = openRequest(connection, { method: each.method, path: each.path, headers: each.headers, ended });
      if (each.slow)
        stream.onChunk = () => {
          stream.pause();
          setImmediate(() => stream.resume());
        };
      if (!ended) {
        await stream.sendAll(each.body, each.piece);
        stream.end([...each.trailers]);
      }
      expect(await stream.over$.promise).toBeNull();
      const fields = stream.head?.fields ?? [];
      expect(stream.head?.status).toBe(200);
      expect(seen(byName(fields))).toEqual(seen(byName(each.headers)));
      expect(byName(fields)).toMatchObject({ "x-method": each.method, "x-path": each.path, "set-cookie": "a=1, b=2" });
      expect([stream.bodyBytes, digest(stream.body)]).toEqual([each.body.length, digest(each.body)]);
      expect(seen(byName(stream.trailers?.fields ?? []))).toEqual(seen(byName(each.trailers)));
    });
    expect([connection.streams.size, connection.over]).toEqual([0, false]);
  });

  it("node's client and our server do", async () => {
    const server = net.createServer((socket) => {
      open.push({ close: () => socket.destroy() });
      serverOn(socket, async (stream, connection) => {
        const head = stream.head;
        if (head === null) throw new Error("no head");
        if (head.path.startsWith("/1"))
          stream.onChunk = () => {
            stream.pause();
            setImmediate(() => stream.resume());
          };
        await stream.over$.promise;
        const back = Object.entries(seen(byName(head.fields))).flat() as string[];
        respond(connection, stream, 200, [...back, "x-method", head.method, "x-path", head.path], false);
        await stream.sendAll(stream.body, 1 + ((head.path.length * 997) % 60_000));
        stream.end(Object.entries(seen(byName(stream.trailers?.fields ?? []))).flat() as string[]);
        connection.release();
      });
    });
    const client = http2.connect(`http://127.0.0.1:${await listen(server)}`);
    open.push(client);
    await inGroups(cases(seededRandom(SEED + 1)), async (each) => {
      const out = { ":method": each.method, ":path": each.path, ...byName(each.headers) };
      const stream = client.request(out, {
        endStream: each.body.length === 0 && each.trailers.length === 0,
        waitForTrailers: each.trailers.length > 0,
      });
      let head: Record<string, unknown> = {};
      let trailers: Record<string, unknown> = {};
      stream.on("response", (given) => {
        head = given;
      });
      stream.on("trailers", (given) => {
        trailers = given;
      });
      stream.on("wantTrailers", () => stream.sendTrailers(byName(each.trailers)));
      if (each.body.length > 0 || each.trailers.length > 0) stream.end(each.body);
      const chunks: Buffer[] = [];
      for await (const chunk of stream) {
        chunks.push(chunk as Buffer);
        if (each.slow) await new Promise((resolve) => setImmediate(resolve));
      }
      expect(head).toMatchObject({ ":status": 200, "x-method": each.method, "x-path": each.path });
      expect(seen(head)).toEqual(seen(byName(each.headers.map(latin1))));
      expect(digest(Buffer.concat(chunks))).toBe(digest(each.body));
      expect(seen(trailers)).toEqual(seen(byName(each.trailers)));
    });
  });
});
