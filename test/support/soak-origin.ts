// Owns the service behind the cache's soak: URLs that differ in everything a cache looks at, and answers of which every byte says whose, which and when they are.
// Its clients in the same process check what they get against it (verdict). Must never answer from chance alone: what differs is in the identity of the answer.
import { createHash } from "node:crypto";
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { SoakAnswer } from "./soak-client.ts";
import { seededRandom } from "./upstreams.ts";

/** What identifies an answer, beside its path: who it is told to, which variant, which content and which answer of the service's. */
export interface AnswerId {
  readonly path: string;
  /** What the service is told of the caller. */
  readonly told: readonly (string | null)[];
  readonly variant: string;
  readonly version: number;
  readonly generation: number;
}

/** What a path is like, the same for every route. */
interface Nature {
  readonly bytes: number;
  readonly chunked: boolean;
  readonly control: string;
  readonly vary: string;
  readonly slow: boolean;
  readonly breaks: boolean;
  readonly fails: boolean;
}

export const SOAK_PATHS = 60;
export const TOLD = ["x-consumer", "x-roles-of", "x-by", "x-tenant", "x-person"] as const;
const SIZES = [0, 37, 900, 5000, 12_000, 30_000, 90_000, 150_000];
const CONTROLS = [
  "max-age=60",
  "public, max-age=60",
  "max-age=600, must-revalidate",
  "max-age=60, stale-while-revalidate=60",
  "max-age=1, stale-while-revalidate=60",
  "max-age=1, stale-if-error=60",
  "max-age=0",
  "no-cache",
  "private",
  "no-store",
];
const VARIES = ["", "", "accept-language", "x-shade, accept-encoding"];
/** What slow paths take at most, before the head and in the middle, ms. */
const SLOW_MS = 40;
const TABLE_BYTES = 512 * 1024;
/** Random bytes: a piece of an answer is one at its place only. */
const TABLE = (() => {
  const random = seededRandom(99);
  return Buffer.from(Uint8Array.from({ length: TABLE_BYTES }, () => Math.floor(random() * 256)));
})();

/** Of each kind of control one that may be stored. */
export const SLOW_PATHS: readonly number[] = [5, 16, 20, 38, 49];

/** Size, framing and all else differ from path to path, each by a step of its own. */
export const natureOf = (n: number): Nature => ({
  bytes: SIZES[n % SIZES.length] ?? 0,
  chunked: n % 5 === 3,
  control: CONTROLS[(n * 7) % CONTROLS.length] ?? "",
  vary: VARIES[(n >> 2) % VARIES.length] ?? "",
  slow: SLOW_PATHS.includes(n),
  breaks: n % 17 === 9,
  fails: n % 13 === 6,
});

/** One with another version has another length. */
const bytesOf = (n: number, version: number): number => natureOf(n).bytes + (natureOf(n).bytes === 0 ? 0 : version % 7);

export function variantOf(vary: string, headers: Readonly<Record<string, unknown>>): string {
  return vary === ""
    ? ""
    : vary
        .split(", ")
        .map((name) => `${name}=${headers[name] ?? ""}`)
        .join("&");
}

const numberOf = (path: string): number => Number(/\/(\d+)/.exec(path)?.[1] ?? 0);
const hashOf = (text: string): number => createHash("sha1").update(text).digest().readUInt32BE(0);

/** The bytes of an answer from one place to another. */
function bytesFrom(id: string, from: number, to: number): Buffer {
  const parts: Buffer[] = [];
  const first = Buffer.from(`${id}\n`, "latin1");
  if (from < first.length) parts.push(first.subarray(from, Math.min(to, first.length)));
  const start = hashOf(id) % TABLE_BYTES;
  for (let at = Math.max(from, first.length); at < to; ) {
    const place = (start + at - first.length) % TABLE_BYTES;
    const piece = TABLE.subarray(place, Math.min(TABLE_BYTES, place + to - at));
    parts.push(piece);
    at += piece.length;
  }
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

const etagOf = ({ path, told, variant, version, generation }: AnswerId): string =>
  `"${hashOf(JSON.stringify([path, told, variant])).toString(16)}.${version}.${generation}"`;

export class SoakOrigin implements AsyncDisposable {
  readonly port: number;
  /** Number of the last answer. */
  generation = 0;
  /** Of the last one for each path. */
  readonly latest = new Map<string, number>();
  readonly #versions = new Map<string, number>();
  readonly #server: http.Server;
  readonly #random = seededRandom(7);

  private constructor(server: http.Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port; // a TCP server that listens has one
  }

  static async start(): Promise<SoakOrigin> {
    const server = http.createServer({ keepAlive: true }, (request, response) => origin.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", 4096, resolve));
    const origin = new SoakOrigin(server);
    return origin;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { url: path = "", headers, method } = request;
    request.resume();
    if (path === "/judge" || path === "/decide") return decide(headers, response);
    const generation = ++this.generation;
    this.latest.set(path, generation);
    const version = this.#versions.get(path) ?? 0;
    if (method === "POST") {
      this.#versions.set(path, version + 1);
      response.writeHead(200, { "x-generation": String(generation), "content-length": 0 }).end();
      return;
    }
    if (this.#random() < 0.002) this.#versions.set(path, version + 1); // changes by itself
    const n = numberOf(path);
    const nature = natureOf(n);
    if (nature.fails && this.#random() < 0.2) {
      response.writeHead(503, { "content-length": 0 }).end();
      return;
    }
    const id: AnswerId = {
      path,
      told: TOLD.map((name) => headers[name]?.toString() ?? null),
      variant: variantOf(nature.vary, headers),
      version: this.#versions.get(path) ?? 0,
      generation,
    };
    const fields: http.OutgoingHttpHeaders = { "cache-control": nature.control, "cache-tag": `t${n % 8}` };
    if (nature.vary !== "") fields["vary"] = nature.vary;
    const known = headers["if-none-match"];
    if (known !== undefined && sameContent(known, etagOf(id))) response.writeHead(304, { ...fields, etag: known }).end();
    else this.#send(response, { id, nature, fields, length: bytesOf(n, id.version) });
  }

  #send(
    response: http.ServerResponse,
    answer: { readonly id: AnswerId; readonly nature: Nature; readonly fields: http.OutgoingHttpHeaders; readonly length: number },
  ): void {
    const { id, nature, fields, length } = answer;
    const text = JSON.stringify(id);
    const head = { ...fields, etag: etagOf(id), "x-id": text, ...(nature.chunked ? {} : { "content-length": length }) };
    const half = length >> 1;
    const breaks = nature.breaks && this.#random() < 0.1;
    if (!breaks && !nature.slow) return void response.writeHead(200, head).end(bytesFrom(text, 0, length));
    const begin = (): void => {
      response.writeHead(200, head);
      response.write(bytesFrom(text, 0, half));
      setTimeout(end, Math.floor(this.#random() * SLOW_MS));
    };
    const end = (): void => {
      if (!breaks) return void response.end(bytesFrom(text, half, length));
      response.destroy();
    };
    setTimeout(begin, this.#random() < 0.5 ? 0 : Math.floor(this.#random() * SLOW_MS));
  }
}

/** The service that decides about sessions: `user/role`. */
function decide(headers: http.IncomingHttpHeaders, response: http.ServerResponse): void {
  const [user = "", role = ""] = String(headers["x-session"] ?? "").split("/");
  if (role === "") response.writeHead(401).end();
  else response.writeHead(200, { "x-user": user, "x-roles": role, "x-tenant": `${user}.${role}` }).end();
}

/** The same content, whichever answer it came with. */
const sameContent = (a: string, b: string): boolean => a.slice(0, a.lastIndexOf(".")) === b.slice(0, b.lastIndexOf("."));

/** What a client has asked, and what it may get. */
export interface Expected {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly told: readonly (string | null)[];
  /** Answers of the service up to this one were void when it asked. */
  readonly floor: number;
}

/** @returns what is wrong with an answer; '' for nothing */
export function verdict({ method, path, headers, told, floor }: Expected, { status, headers: fields, body }: SoakAnswer): string {
  if (status === 304) return fields["etag"] === headers["if-none-match"] ? "" : `304 for another tag: ${fields["etag"]}`;
  if (status === 416) return headers["range"] === undefined ? "416 without a range" : "";
  if (status !== 200 && status !== 206) return `status ${status}: ${body.toString("latin1", 0, 200)}`;
  const text = fields["x-id"] ?? "";
  const id = JSON.parse(text) as AnswerId; // of this origin, or what is wrong is thrown
  const n = numberOf(path);
  if (id.path !== path) return `the answer of ${id.path}`;
  if (JSON.stringify(id.told) !== JSON.stringify(told)) return `the answer of ${JSON.stringify(id.told)}`;
  if (id.variant !== variantOf(natureOf(n).vary, headers)) return `the variant ${id.variant}`;
  if (fields["etag"] !== etagOf(id)) return `the tag of another answer: ${fields["etag"]}`;
  if (id.generation <= floor) return `answer ${id.generation}, from before ${floor}, which was purged`;
  const length = bytesOf(n, id.version);
  if (method === "HEAD") {
    const said = fields["content-length"];
    return said === undefined || Number(said) === length ? "" : `content-length ${said} instead of ${length}`;
  }
  const [from, to] = status === 200 ? [0, length] : rangeOf(fields["content-range"] ?? "", length);
  if (body.length !== to - from) return `${body.length} bytes instead of ${to - from}`;
  return body.equals(bytesFrom(text, from, to)) ? "" : `bytes of another answer in ${text}`;
}

function rangeOf(field: string, length: number): readonly [number, number] {
  const [, first = "0", last = "0", all = ""] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(field) ?? [];
  return Number(all) === length ? [Number(first), Number(last) + 1] : [0, -1];
}
