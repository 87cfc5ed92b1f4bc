// Owns a concrete Exchange without a socket, and the way from a written policy configuration to a running policy.
// The engine's side only: what it is told to write is recorded.

import type { X509Certificate } from "node:crypto";
import type { HeaderList } from "../../src/base/header-list.ts";
import { isAmbiguousFieldName } from "../../src/base/http.ts";
import { FEATURES } from "../../src/control/config/schema/features.ts";
import { identity } from "../../src/control/config/schema/identity.ts";
import { type BodySink, Exchange } from "../../src/data/exchange/exchange.ts";
import { IdentityHeaders } from "../../src/data/exchange/identity/identity-headers.ts";
import type { Policy, Reply, ResponseHead } from "../../src/data/exchange/policy.ts";
import type { OpenFilter } from "../../src/data/exchange/response-filter.ts";
import { ExchangeSlot, type PolicyRoute } from "../../src/data/exchange/route-context.ts";
import type { Route, Runtime, Services } from "../../src/data/exchange/runtime.ts";
import { FILTERS } from "../../src/data/filters/registry.ts";
import { fixedReply } from "../../src/data/handlers/fixed-reply.ts";
import { redirectTo } from "../../src/data/handlers/redirect/handler.ts";
import type { RespondConfig } from "../../src/data/handlers/respond/config.ts";
import type { RedirectConfig } from "../../src/data/policies/redirect/config.ts";
import { createRedirect } from "../../src/data/policies/redirect/policy.ts";
import { POLICIES } from "../../src/data/policies/registry.ts";

export interface RequestSketch {
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  /** `Host` as sent; the host is derived from it. */
  readonly authority?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly ip?: string;
  readonly scheme?: "http" | "https";
  readonly webSocket?: boolean;
  readonly services?: Services;
  /** The client's, verified. */
  readonly certificate?: X509Certificate;
  /** Path parameters of the matched route. */
  readonly params?: Readonly<Record<string, string>>;
}

/** What readers of bodies look at. */
const TEST_LIMITS = { bodyTimeoutMs: 30_000, bodyRate: null, bufferedBodyBytes: 256 * 1024 ** 2, bodiesPerAddress: null } as const;

/** Records what the gateway writes. */
export class TestExchange extends Exchange {
  readonly peer: string;
  readonly certificate: X509Certificate | null;
  sink: BodySink | null = null;
  head: { readonly status: number; readonly headers: HeaderList; readonly length: number } | null = null;
  readonly chunks: Uint8Array[] = [];
  ended = false;
  aborted = false;

  constructor(sketch: RequestSketch = {}) {
    const ip = sketch.ip ?? "203.0.113.7";
    const scheme = sketch.scheme ?? "http";
    // Policies reach only these; a whole runtime would need a worker.
    super({ resolveClient: () => ({ ip, scheme }), services: sketch.services, limits: TEST_LIMITS } as unknown as Runtime);
    this.peer = ip;
    this.certificate = sketch.certificate ?? null;
    this.method = sketch.method ?? "GET";
    this.path = sketch.path ?? "/";
    this.query = sketch.query ?? "";
    this.authority = sketch.authority ?? "api.example.com";
    this.host = this.authority.toLowerCase().replace(/:\d+$/, "");
    this.secure = scheme === "https";
    this.wantsWebSocket = sketch.webSocket ?? false;
    this.headers = flat(sketch.headers ?? {});
    this.hasAmbiguousFieldNames = this.headers.some((name, i) => i % 2 === 0 && isAmbiguousFieldName(name));
    this.requestId = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    this.upstreamPath = this.query === "" ? this.path : `${this.path}?${this.query}`;
    const params = sketch.params ?? {};
    this.params = Object.values(params);
    // Templates and param() read only these members.
    this.route = {
      name: "test",
      paramNames: Object.keys(params),
      settings: { bodyBytes: 10 * 1024 ** 2, bodyRate: null },
    } as unknown as Route;
  }

  override clientCertificate(): X509Certificate | null {
    return this.certificate;
  }
  peerAddress(): string {
    return this.peer;
  }
  readBody(sink: BodySink): void {
    this.sink = sink;
  }
  redirectBody(sink: BodySink): void {
    this.sink = sink;
  }
  pauseBody(): void {}
  resumeBody(): void {}
  start(status: number, headers: HeaderList, length: number): void {
    this.head = { status, headers, length };
  }
  write(chunk: Uint8Array): boolean {
    this.chunks.push(chunk);
    return true;
  }
  end(chunk?: Uint8Array): void {
    if (chunk !== undefined) this.chunks.push(chunk);
    this.ended = true;
  }
  abort(): void {
    this.aborted = true;
  }
  acceptWebSocket(): void {}
  get started(): boolean {
    return this.head !== null;
  }
  get closed(): boolean {
    return this.ended || this.aborted;
  }
}

/** `{a: "1", b: ["2", "3"]}` -> `[a, 1, b, 2, b, 3]` */
export function flat(headers: Readonly<Record<string, string | readonly string[]>>): HeaderList {
  return Object.entries(headers).flatMap(([name, value]) =>
    typeof value === "string" ? [name, value] : value.flatMap((each) => [name, each]),
  );
}

/** What the loader makes of a policy's configuration; a list of `path: message` when it is refused. */
export function parsePolicy(key: string, written: unknown): { readonly config: unknown } | { readonly problems: readonly string[] } {
  const entry = FEATURES.find((each) => each.key === key);
  if (entry === undefined) throw new Error(`no policy schema ${key}`);
  const parsed = entry.schema().safeParse(written);
  if (parsed.success) return { config: parsed.data };
  return { problems: parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`) };
}

/** What the handler `respond`, or the policy and the handler `redirect`, answers to an exchange. */
export function buildAnswer(key: "respond" | "redirect", written: unknown, route: Partial<PolicyRoute> = {}): Policy {
  const parsed = parsePolicy(key, written);
  if ("problems" in parsed) throw new Error(parsed.problems.join("; "));
  const config = structuredClone(parsed.config);
  if (key === "respond") return { name: key, onRequest: fixedReply(config as RespondConfig) };
  const { paramNames, ...rest } = policyRoute(route);
  const policy = createRedirect(config, { ...rest, paramNames });
  const moved = (config as RedirectConfig).to === undefined ? null : redirectTo(config as RedirectConfig, paramNames);
  return { name: key, onRequest: (x) => policy.onRequest?.(x) ?? moved?.(x) };
}

/** From what the operator writes to the filter in a worker. */
export function buildFilter(key: string, written: unknown): OpenFilter {
  const parsed = parsePolicy(key, written);
  if ("problems" in parsed) throw new Error(parsed.problems.join("; "));
  const create = FILTERS.find((each) => each.name === key)?.create;
  if (create === undefined) throw new Error(`no filter ${key}`);
  return create(structuredClone(parsed.config), policyRoute());
}

/** From what the operator writes to the policy in a worker: parse, clone across the thread border, build. */
export function buildPolicy(key: string, written: unknown, route: Partial<PolicyRoute> = {}): Policy {
  const parsed = parsePolicy(key, written);
  if ("problems" in parsed) throw new Error(parsed.problems.join("; "));
  const create = POLICIES.find((each) => each.name === key)?.create;
  if (create === undefined) throw new Error(`no policy ${key}`);
  return create(structuredClone(parsed.config), policyRoute(route));
}

/** A route as a policy sees it. */
export function policyRoute(route: Partial<PolicyRoute> = {}): PolicyRoute {
  // Policies that need the plan or services are given real ones by their tests; the others never look.
  const identityHeaders = new IdentityHeaders(identity().parse({}));
  const resources = {
    plan: { authenticators: [] },
    services: {},
    authenticators: new Map(),
    identityHeaders,
  } as unknown as PolicyRoute["resources"];
  let slots = 0;
  return { name: "test", paramNames: [], methods: [], resources, slot: () => new ExchangeSlot(slots++), keyed: () => [], ...route };
}

/** What a policy that answers at once makes of a request before it is known who calls, and in its own phase. */
export function ask(policy: Policy, x: Exchange): Reply | undefined {
  const reply = policy.onEdge?.(x) ?? policy.onRequest?.(x);
  if (reply instanceof Promise) throw new Error(`${policy.name} answered with a promise`);
  return reply;
}

export function responseHead(
  sketch: Partial<ResponseHead> & { readonly fields?: Record<string, string | readonly string[]> } = {},
): ResponseHead {
  const { fields, ...rest } = sketch;
  return { status: 200, headers: flat(fields ?? {}), length: -1, hasBody: true, fromUpstream: true, ...rest };
}
