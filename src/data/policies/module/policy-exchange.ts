// Owns what a policy of the user's own sees of an exchange: the one object behind the types of policy/index.d.ts, with a check at run time that a call fits the
// hook it is made in. One for each policy and exchange. Must never hand out anything of the gateway's own that can be changed.

import type * as Public from "../../../../policy/index.d.ts";
import type { HeaderList } from "../../../base/header-list.ts";
import { getHeader, getList, removeHeader, setHeader } from "../../../base/header-list.ts";
import { cgiEquivalent } from "../../../base/http.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { ResponseHead, UpstreamRequest } from "../../exchange/policy.ts";
import { CookieWalk } from "../../routing/request/cookie-walk.ts";
import { decodedPath, singleHeaderValue, singleQueryValue } from "../../routing/request/single-value.ts";
import type { CallFailure } from "../../upstream/call-request.ts";
import { headerValue, writableName } from "./header-rules.ts";

const PATH = /^\/[\x21-\x22\x24-\x7e]*$/;
const cookies = new CookieWalk();

/** Name -> index in the runtime, of the upstreams that a policy may send to. */
export type Destinations = ReadonlyMap<string, number>;

type Seen = Public.OriginRequest & Public.UpstreamRequest & Public.Response & Public.UpstreamFailure & Public.Finish;

export class PolicyExchange implements Seen {
  readonly #x: Exchange;
  readonly #destinations: Destinations;
  /** What is changed at present; null outside of the hook. */
  #request: UpstreamRequest | null = null;
  #head: ResponseHead | null = null;
  #failure: CallFailure | null = null;
  /** In onRequest of the phase `origin`. */
  #atOrigin = false;
  /** Set in the phase `origin`, for each attempt. */
  #upstreamHeaders: HeaderList | null = null;
  /** What the policy keeps in its slots. */
  #kept: unknown[] | null = null;
  /** The body of the response is to be changed. */
  changesBody = false;

  constructor(x: Exchange, destinations: Destinations) {
    this.#x = x;
    this.#destinations = destinations;
  }

  // --- For the policy's own place in the pipeline (policy.ts) ---

  /** @internal */
  static begin(seen: PolicyExchange, atOrigin: boolean): void {
    seen.#atOrigin = atOrigin;
  }

  /** @internal What was set before is applied, then the hook may change it. */
  static attempt(seen: PolicyExchange, request: UpstreamRequest | null): void {
    seen.#request = request;
    const list = seen.#upstreamHeaders;
    if (request === null || list === null) return;
    for (let i = 0; i < list.length; i += 2) setHeader(request.headers, list[i] as string, list[i + 1] as string); // a list of pairs
  }

  /** @internal */
  static respond(seen: PolicyExchange, head: ResponseHead | null): void {
    seen.#head = head;
  }

  /** @internal */
  static fail(seen: PolicyExchange, failure: CallFailure | null): void {
    seen.#failure = failure;
  }

  /** @internal */
  static kept(seen: PolicyExchange, index: number): unknown {
    return seen.#kept?.[index];
  }

  /** @internal */
  static keep(seen: PolicyExchange, index: number, value: unknown): void {
    (seen.#kept ??= [])[index] = value;
  }

  // --- Facts ---

  get route(): string {
    return this.#x.route?.name ?? "";
  }
  get requestId(): string {
    return this.#x.requestId;
  }
  get method(): string {
    return this.#x.method;
  }
  get path(): string {
    return this.#x.path;
  }
  get query(): string {
    return this.#x.query;
  }
  get host(): string {
    return this.#x.host;
  }
  get scheme(): "http" | "https" {
    return this.#x.clientInfo().scheme;
  }
  get clientIp(): string {
    return this.#x.clientInfo().ip;
  }
  get caller(): Public.Caller | null {
    return this.#x.identity;
  }

  header(name: string): string | undefined {
    return getList(this.#x.headers, name.toLowerCase());
  }

  headerOnce(name: string): string | undefined {
    return singleHeaderValue(this.#x, name.toLowerCase());
  }

  cookie(name: string): string | undefined {
    let found: string | undefined;
    const { headers } = this.#x;
    for (let i = 0; i < headers.length; i += 2) {
      if (headers[i] !== "cookie") continue;
      cookies.begin(headers[i + 1] as string, name); // a list of pairs
      while (cookies.next()) {
        if (found !== undefined) return undefined;
        found = cookies.value();
      }
    }
    return found;
  }

  queryParameter(name: string): string | undefined {
    return singleQueryValue(this.#x, name);
  }

  parameter(name: string): string | undefined {
    const value = this.#x.param(name);
    return value === undefined ? undefined : decodedPath(value);
  }

  // --- onRequest ---

  get signal(): AbortSignal {
    return this.#x.signal;
  }

  sendTo(upstream: string): void {
    this.#mustBeAtOrigin("sendTo");
    const index = this.#destinations.get(upstream);
    if (index === undefined) throw new TypeError(`${JSON.stringify(upstream)} is not among the policy's \`upstreams\``);
    this.#x.sentTo = index;
  }

  #mustBeAtOrigin(call: string): void {
    if (!this.#atOrigin) throw new TypeError(`${call} is for onRequest in the phase origin`);
  }

  // --- The request that goes upstream ---

  get upstream(): string {
    return this.#x.upstream;
  }
  get upstreamMethod(): string {
    return this.#request?.method ?? this.#x.method;
  }
  get upstreamPath(): string {
    return this.#request?.path ?? this.#x.upstreamPath;
  }
  set upstreamPath(path: string) {
    this.#mustBeAtOrigin("assigning upstreamPath");
    if (!PATH.test(path)) throw new TypeError("upstreamPath begins with / and holds visible ASCII characters, no #: encode the others");
    if (hasDotSegment(path)) throw new TypeError("upstreamPath has a dot segment: a service could read another path");
    this.#x.upstreamPath = path;
  }

  upstreamHeader(name: string): string | undefined {
    return this.#request === null ? undefined : getList(this.#request.headers, name.toLowerCase());
  }

  setUpstreamHeader(name: string, value: string): void {
    const lower = this.#writableUpstream(name);
    const text = headerValue(lower, value);
    if (this.#request !== null) setHeader(this.#request.headers, lower, text);
    else {
      this.#mustBeAtOrigin("setUpstreamHeader");
      (this.#upstreamHeaders ??= []).push(lower, text);
    }
  }

  removeUpstreamHeader(name: string): void {
    if (this.#request === null) throw new TypeError("removeUpstreamHeader is for onUpstreamRequest");
    removeHeader(this.#request.headers, this.#writableUpstream(name));
  }

  #writableUpstream(name: string): string {
    const lower = writableName(name);
    if (this.#x.runtime.identityHeaders.isProtected(cgiEquivalent(lower)))
      throw new TypeError(`services take the header ${lower} for who is calling: the gateway alone writes it`);
    return lower;
  }

  // --- The response ---

  get status(): number {
    return this.#head?.status ?? this.#x.status;
  }
  get fromUpstream(): boolean {
    return this.#head?.fromUpstream ?? false;
  }

  responseHeader(name: string): string | undefined {
    return this.#head === null ? undefined : getHeader(this.#head.headers, name.toLowerCase());
  }

  setResponseHeader(name: string, value: string): void {
    const lower = writableName(name);
    setHeader(this.#mustRespond("setResponseHeader"), lower, headerValue(lower, value));
  }

  addResponseHeader(name: string, value: string): void {
    const lower = writableName(name);
    const text = headerValue(lower, value);
    if (this.#head !== null) this.#head.headers.push(lower, text);
    else this.#x.addResponseHeader(lower, text);
  }

  removeResponseHeader(name: string): void {
    removeHeader(this.#mustRespond("removeResponseHeader"), writableName(name));
  }

  #mustRespond(call: string): HeaderList {
    if (this.#head === null) throw new TypeError(`${call} is for onResponse`);
    return this.#head.headers;
  }

  // --- Failure and end ---

  get code(): string {
    return this.#failure?.code ?? "";
  }
  get errorCode(): string | null {
    return this.#x.errorCode;
  }
  get durationMs(): number {
    return performance.now() - this.#x.startedMs;
  }
  get bytesIn(): number {
    return this.#x.bytesIn;
  }
  get bytesOut(): number {
    return this.#x.bytesOut;
  }
  get target(): string {
    return this.#x.target;
  }
  get attempts(): number {
    return this.#x.attempts;
  }
}

/** Also in the spellings that services decode (RFC 3986 section 6.2.2). */
const hasDotSegment = (path: string): boolean => /(^|\/)(\.|%2e){1,2}(\/|$)/i.test(path.replace(/\?.*$/, ""));
