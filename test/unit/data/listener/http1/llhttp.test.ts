// Held against another reader of HTTP/1.x, node:http's llhttp in its strict mode: what both take they read alike, and where one takes what the other refuses, it is
// known why. Thousands of messages, valid and damaged, by seed.
import http, { type IncomingMessage } from "node:http";
import { Duplex } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MessageMaker } from "../../../../support/http1-messages.ts";
import { type AdmittedRequest, PlayedListener } from "../../../../support/played-http1.ts";
import { PlayedWorker } from "../../../../support/played-worker.ts";

const CONFIG = `version: 1
listeners: [ { address: 127.0.0.1:0 } ]
upstreams: { u: { targets: [ { url: "http://127.0.0.1:9" } ] } }
routes: [ { name: all, match: { path: "/**" }, to: u } ]
`;

let worker: PlayedWorker;
let listener: PlayedListener;
beforeAll(async () => {
  worker = await PlayedWorker.start(CONFIG);
  listener = new PlayedListener(worker.runtime);
});
afterAll(() => worker.stop());

/** A request as node:http has read it to its end. */
interface Reference {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly string[];
  body: string;
  trailers: readonly string[];
}

/** The far end of a connection that is none. */
class Wire extends Duplex {
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done();
  }
}

/** What llhttp makes of the bytes. @returns the requests that came to their end, and why it stopped reading; '' when it did not */
async function reference(bytes: Buffer): Promise<{ readonly requests: Reference[]; readonly fault: string }> {
  const requests: Reference[] = [];
  const found = { fault: "" };
  const take = (req: IncomingMessage, res: http.ServerResponse): void => {
    const chunks: Buffer[] = [];
    const each: Reference = { method: req.method ?? "", url: req.url ?? "", headers: lowercase(req.rawHeaders), body: "", trailers: [] };
    req.on("data", (chunk: Buffer) => chunks.push(chunk));
    req.on("error", () => {});
    req.on("end", () => {
      requests.push({ ...each, body: Buffer.concat(chunks).toString("latin1"), trailers: lowercase(req.rawTrailers) });
      res.end();
    });
  };
  const server = http.createServer(
    { insecureHTTPParser: false, requireHostHeader: false, keepAliveTimeout: 0, shouldUpgradeCallback: () => false },
    take,
  );
  server.on("checkContinue", take).on("checkExpectation", take);
  server.on("clientError", (error: NodeJS.ErrnoException) => {
    found.fault ||= error.code ?? "error";
  });
  server.on("connect", () => {
    found.fault ||= "CONNECT";
  });
  const wire = new Wire();
  server.emit("connection", wire);
  wire.push(bytes);
  for (let turns = 0; turns < 12; turns++) await new Promise((resolve) => setImmediate(resolve));
  wire.destroy();
  return { requests, ...found };
}

const lowercase = (raw: readonly string[]): string[] => raw.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text));

/** What llhttp takes and we refuse: what admission says, and why it is right to. */
const STRICTER: readonly (readonly [detail: RegExp, reason: string])[] = [
  [
    /method is not an uppercase token|never proxied/,
    "methods are uppercase tokens of 32 characters; CONNECT, TRACE and TRACK are never proxied",
  ],
  [/Host header|host is not host/, "RFC 9112 section 3.2: exactly one valid Host"],
  [/request target is neither|request line is not/, "RFC 9112 section 3.2: four forms of targets and no other"],
  [/empty segment, an encoded slash|must be percent-encoded/, "paths and queries in normal form only"],
  [
    /Content-Length is not a plain|more than one Content-Length|Transfer-Encoding/,
    "RFC 9112 section 6: framing that two readers could see in two ways",
  ],
  [/Expect accepted/, "RFC 9110 section 10.1.1"],
  [/Connection option|Connection names/, "RFC 9110 section 7.6.1"],
  [/empty lines before/, "RFC 9112 section 2.2 wants one to be passed over; llhttp takes any number, and bare CR or LF"],
  [/LF without CR|CR that ends no line/, "RFC 9112 section 2.2: bare CR and LF before a request, which llhttp passes over"],
  [/only HTTP\/1\.1/, "RFC 9112 section 2.3: llhttp takes HTTP/0.9 and HTTP/2.0 by their numbers"],
  [/header of the gateway's own/, "identity headers under other names"],
  [/a trailer is not valid/, "RFC 9110 section 6.5.1: trailers that decide the framing"],
  [/control character|forbidden character/, "RFC 9110 section 5.5"],
  [/chunk size is not valid/, "RFC 9112 section 7.1.1: a chunk extension without a name"],
];

/** What we take and llhttp refuses: its own word for it, and why we may. */
const LAXER: Readonly<Record<string, string>> = {
  HPE_INVALID_METHOD: "llhttp knows a list of methods (RFC 9110 section 9.1 allows any token)",
  HPE_CLOSED_CONNECTION: "bytes behind the last request of a connection: neither reads them",
};

interface Tally {
  alike: number;
  stricter: number;
  laxer: number;
}

/** @returns what is wrong with the pair; '' for nothing */
function compare(ours: readonly AdmittedRequest[], theirs: readonly Reference[]): string {
  for (let i = 0; i < Math.min(ours.length, theirs.length); i++) {
    const [a, b] = [ours[i] as AdmittedRequest, theirs[i] as Reference]; // in range
    if (a.method !== b.method) return `method ${a.method} against ${b.method}`;
    if (a.path !== "*" && a.body !== b.body) return `body ${a.body.length} against ${b.body.length} bytes`;
    const target = b.url.replace(/^http:\/\/[^/?]*/i, "");
    const asSent = target.startsWith("/") || target === "*" ? target : `/${target}`;
    if (a.path !== "*" && `${a.path}${a.query === "" ? "" : `?${a.query}`}` !== asSent.replace(/\?$/, ""))
      return `target ${a.path} against ${asSent}`;
    const named = /(?:^|,)\s*x-[ab]\s*(?:,|$)/i.test(b.headers.find((_, at) => b.headers[at - 1] === "connection") ?? "");
    const absolute = b.url !== target;
    if (!named && !absolute && !sameFields(a.headers, b.headers))
      return `headers ${JSON.stringify(a.headers)} against ${JSON.stringify(b.headers)}`;
    if (a.path !== "*" && !sameFields(a.trailers ?? [], b.trailers)) return `trailers ${a.trailers} against ${b.trailers}`;
  }
  return "";
}

/** An empty port is taken off Host (RFC 3986 section 6.2.3). */
const sameFields = (ours: readonly string[], theirs: readonly string[]): boolean =>
  JSON.stringify(ours) ===
  JSON.stringify(theirs.map((text, i) => (theirs[i - 1] === "host" && i % 2 === 1 ? text.replace(/:$/, "") : text)));

async function judge(text: string, tally: Tally): Promise<string> {
  const bytes = Buffer.from(text, "latin1");
  const { requests } = await listener.outcome([bytes]);
  const { details } = listener;
  const theirs = await reference(bytes);
  const wrong = compare(requests, theirs.requests);
  if (wrong !== "") return wrong;
  if (requests.length < theirs.requests.length) {
    const [detail] = details;
    tally.stricter++;
    if (detail === undefined)
      return lastCloses(text, requests.length) ? "" : `${theirs.requests.length} against our ${requests.length}, and nothing was refused`;
    return STRICTER.some(([pattern]) => pattern.test(detail)) ? "" : `refused for no known reason: ${detail}`;
  }
  if (requests.length > theirs.requests.length) {
    tally.laxer++;
    const isForServer = requests[theirs.requests.length]?.path === "*"; // answered before its body is there
    return isForServer || theirs.fault in LAXER || lastCloses(text, theirs.requests.length) ? "" : `taken, and llhttp says ${theirs.fault}`;
  }
  tally.alike++;
  return "";
}

/** A request that ends its connection: the one reads on behind it, the other does not. */
const lastCloses = (text: string, served: number): boolean => served > 0 && /HTTP\/1\.0|Connection: (close|Upgrade)/i.test(text);

describe("llhttp reads the same", () => {
  it.each(Array.from({ length: 8 }, (_, i) => i + 1))("messages by chance, seed %i", async (seed) => {
    const maker = new MessageMaker(1000 + seed);
    const tally: Tally = { alike: 0, stricter: 0, laxer: 0 };
    const wrong: string[] = [];
    for (let i = 0; i < 500; i++) {
      const text = maker.next();
      const verdict = await judge(text, tally);
      if (verdict !== "") wrong.push(`${verdict}: ${JSON.stringify(text)}`);
    }
    expect(wrong).toEqual([]);
    expect(tally.alike).toBeGreaterThan(250); // most are valid, or refused by both
  });
});
