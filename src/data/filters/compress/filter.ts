// Owns the decision whether and how a response is compressed, and what that changes in its head (RFC 9110 sections 8.4, 12.5.3).

import { addVary, getHeader, getList, type HeaderList, removeHeaders, setHeader } from "../../../base/header-list.ts";
import { negotiateEncoding } from "../../../base/http.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { ResponseHead } from "../../exchange/policy.ts";
import { type FilterEntry, PassingFilter, type ResponseFilter } from "../../exchange/response-filter.ts";
import type { FormMaker } from "../../exchange/stored-forms.ts";
import type { CompressConfig, Encoding } from "./config.ts";
import { KeptFilter } from "./kept-filter.ts";
import { compileMediaTypes } from "./media-types.ts";
import { type Slots, ZlibTransform } from "./zlib-transform.ts";

/** Headers that stop being true when the bytes change: length, ranges (their offsets), digests (RFC 9530). */
const STALE: ReadonlySet<string> = new Set(["accept-ranges", "content-digest", "content-length", "content-md5", "digest", "repr-digest"]);
const isStale = (name: string): boolean => STALE.has(name);

/** Compresses what the client accepts and the operator finds worth it; leaves everything else untouched. */
export const createCompress: FilterEntry["create"] = (config) => {
  const compress = new Compress(config as CompressConfig); // parsed by compressSchema in the primary
  return (x, head) => compress.open(x, head);
};

class Compress {
  readonly #config: CompressConfig;
  readonly #worthIt: (contentType: string) => boolean;
  readonly #slots: Slots;

  constructor(config: CompressConfig) {
    this.#config = config;
    this.#worthIt = compileMediaTypes(config.types);
    this.#slots = { used: 0, max: config.concurrent };
  }

  open(x: Exchange, head: ResponseHead): ResponseFilter | null {
    if (head.status === 304) weakenNotModified(x, head);
    if (!this.#eligible(x, head)) return null;
    // The choice depends on Accept-Encoding from here on, also when it falls on identity.
    addVary(head.headers, "accept-encoding");
    const encoding = negotiateEncoding(getList(x.headers, "accept-encoding"), this.#config.encodings) as Encoding | null; // one of those offered
    if (encoding === null) return null;
    const level = this.#config.level[encoding];
    const form = `${encoding}/${level}`;
    const kept = head.storedForms?.find(form) ?? null;
    if (kept === null && head.hasBody && this.#slots.used >= this.#slots.max) return null;
    removeHeaders(head.headers, isStale);
    setHeader(head.headers, "content-encoding", encoding);
    weakenEtag(head);
    head.length = kept === null ? -1 : kept.bytes.length;
    if (kept !== null) return new KeptFilter(kept);
    // HEAD gets the head that GET would have.
    if (!head.hasBody) return null;
    return new CompressFilter(new ZlibTransform(encoding, level, this.#slots), head.storedForms?.make(form) ?? null);
  }

  #eligible(x: Exchange, head: ResponseHead): boolean {
    if (!(head.hasBody || x.method === "HEAD")) return false;
    if (!mayEncode(head.status) || (head.length >= 0 && head.length < this.#config.minBytes)) return false;
    const type = getHeader(head.headers, "content-type");
    if (type === undefined || !this.#worthIt(type)) return false;
    if (getHeader(head.headers, "content-encoding") !== undefined || getHeader(head.headers, "content-range") !== undefined) return false;
    // RFC 9111 section 5.2.2.6
    return !/(?:^|[,\s])no-transform(?:$|[,\s])/i.test(getList(head.headers, "cache-control") ?? "");
  }
}

/** A compressor in its place in the chain. */
class CompressFilter extends PassingFilter {
  readonly #transform: ZlibTransform;
  readonly #maker: FormMaker | null;
  #trailers: HeaderList | null = null;

  /** @param maker takes what comes out, to keep it */
  constructor(transform: ZlibTransform, maker: FormMaker | null) {
    super();
    this.#transform = transform;
    this.#maker = maker;
    transform.attach({
      transformed: (chunk) => {
        maker?.add(chunk);
        if (!this.next.data(chunk)) transform.pause();
      },
      transformEnded: () => {
        maker?.done();
        this.next.end(this.#trailers);
      },
      transformDrained: () => this.source.drained(),
      transformFailed: (error) => {
        maker?.drop();
        this.source.failed(error);
      },
    });
  }

  override data(chunk: Uint8Array): boolean {
    return this.#transform.write(chunk);
  }

  override end(trailers: HeaderList | null): void {
    this.#trailers = trailers;
    this.#transform.end();
  }

  override abort(): void {
    this.#maker?.drop();
    this.#transform.destroy();
  }

  close(): void {
    this.#maker?.drop();
    this.#transform.destroy();
  }

  override drained(): void {
    this.#transform.resume();
  }
}

/** Final statuses with a whole body: not 204, 205, 206 (a part) and not redirects. */
const mayEncode = (status: number): boolean => status === 200 || status === 201 || status === 202 || status === 203 || status >= 400;

/** RFC 9110 section 8.8.1: a strong validator names exact bytes, and these are others now. */
function weakenEtag(head: ResponseHead): void {
  const etag = getHeader(head.headers, "etag");
  if (etag?.startsWith('"')) setHeader(head.headers, "etag", `W/${etag}`);
}

/** The client revalidates what it got compressed: RFC 9110 section 15.4.5 wants the ETag and Vary that the 200 had. */
function weakenNotModified(x: Exchange, head: ResponseHead): void {
  const etag = getHeader(head.headers, "etag");
  if (!etag?.startsWith('"') || !getList(x.headers, "if-none-match")?.includes(`W/${etag}`)) return;
  weakenEtag(head);
  addVary(head.headers, "accept-encoding");
}
