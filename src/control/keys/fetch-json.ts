// Owns one fetch of a JSON document from an identity provider: bounded in time and size, TLS verified.
// Must never follow an answer to another origin: whoever can redirect there could choose the keys.
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";
import { cacheLifetimeMs } from "./cache-lifetime.ts";

// Not by import: that reads every export, and one of them loads a whole fetch implementation. Nor before somebody asks: most never do.
const http = () => process.getBuiltinModule("node:http");
const https = () => process.getBuiltinModule("node:https");

/** RFC 9110 section 15.4: those that name where the same document is now. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const REDIRECTS_MAX = 5;

/** Beyond any key set or discovery document. */
const BODY_BYTES_MAX = 512 * 1024;

export interface FetchOptions {
  readonly timeoutMs: number;
  /** PEM; null for the system's authorities. */
  readonly ca: string | null;
  readonly signal: AbortSignal;
}

/** @property lifetimeMs how long the answer says it is good; null when it does not */
export interface FetchedJson {
  readonly value: unknown;
  readonly lifetimeMs: number | null;
}

/** @throws Error with a reason for operators; always within `timeoutMs` */
export async function fetchJson(url: string, { timeoutMs, ca, signal }: FetchOptions): Promise<FetchedJson> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  try {
    const response = await found(new URL(url), ca, within);
    const text = await body(response);
    return { value: parse(text), lifetimeMs: cacheLifetimeMs(response.headers) };
  } catch (error) {
    if (within.aborted && !signal.aborted) throw new Error(`no answer within ${timeoutMs} ms`);
    throw new Error(reasonOf(error));
  }
}

/** Within one origin (RFC 6454 section 5) the provider only moves its own document. */
async function found(start: URL, ca: string | null, signal: AbortSignal): Promise<IncomingMessage> {
  let url = start;
  for (let redirects = 0; ; redirects++) {
    const response = await head(url, ca, signal);
    const { statusCode = 0 } = response;
    if (statusCode === 200) return response;
    response.destroy();
    if (!REDIRECTS.has(statusCode)) throw new Error(`status ${statusCode}`);
    const next = response.headers.location === undefined ? null : URL.parse(response.headers.location, url.href);
    if (next === null) throw new Error(`status ${statusCode} without a Location that is a URL`);
    if (next.origin !== url.origin || next.username !== "" || next.password !== "")
      throw new Error(`status ${statusCode}: redirects to another origin are not followed, name the final URL`);
    if (redirects === REDIRECTS_MAX) throw new Error(`more than ${REDIRECTS_MAX} redirects`);
    url = next;
  }
}

function head(url: URL, ca: string | null, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const options: RequestOptions = {
      method: "GET",
      headers: { accept: "application/json, application/jwk-set+json", "user-agent": "sluice-keys" },
      agent: false,
      signal,
    };
    const request: ClientRequest =
      url.protocol === "https:" ? https().request(url, ca === null ? options : { ...options, ca }) : http().request(url, options);
    request.on("error", reject);
    request.on("response", resolve);
    request.end();
  });
}

async function body(response: IncomingMessage): Promise<string> {
  if (response.headers["content-encoding"] !== undefined) throw new Error("the answer is compressed although nobody asked for that");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Leaving the loop destroys the connection.
    if (bytes > BODY_BYTES_MAX) throw new Error(`the answer is larger than ${BODY_BYTES_MAX / 1024} KiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, "")); // some write a byte order mark
  } catch {
    throw new Error("the answer is not JSON");
  }
}

/** The code of a system or OpenSSL error says more than its message. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error && typeof error.code === "string" ? error.code : error.message;
}
