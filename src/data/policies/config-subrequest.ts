// Owns how a configuration says what a service decides about requests: what the policy `forwardAuth` and the authenticator kind of that name have in
// common. Schema, types and docs only; loaded by the primary only.
import * as z from "zod";
import { isOriginClaim } from "../../base/origin-claims.ts";
import { isProtected } from "../../base/protected-headers.ts";
import { duration, headerName, headerText, lazyOptional, once, size } from "../../base/schema.ts";
import type { StatusRange } from "../../base/status-list.ts";
import { statusList } from "../../base/status-schema.ts";
import type { ServiceRef } from "../../plan/service-ref.ts";
import { serviceBreaker, servicePath, serviceRef, serviceTimeout, serviceUpstream, serviceUrl } from "./config-service.ts";

/** Headers in one list. */
export const HEADERS_MAX = 64;
const KEY_PARTS_MAX = 32;
const CACHE_MS_MAX = 3_600_000;
const CACHE_ENTRIES_MAX = 1_000_000;
const ANSWER_BYTES_MAX = 1024 ** 2;
/** Whatever a service answers with these has decided nothing. */
const FAILURES: readonly StatusRange[] = [{ min: 500, max: 599 }];

/** How a service is called and its answer read: the same for the policy and for the authenticator. */
export interface SubrequestConfig {
  readonly service: ServiceRef;
  readonly method: string;
  /** Of the request, lowercase: what the service receives. */
  readonly requestHeaders: readonly string[];
  readonly expect: ExpectConfig;
  readonly timeoutMs: number;
  readonly answerBytes: number;
  /** null: each request has its subrequest. */
  readonly cache: CacheConfig | null;
}

export interface ExpectConfig {
  readonly statuses: readonly StatusRange[];
  /** All must be there with these values: byte strings by lowercase name. */
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

export interface CacheConfig {
  readonly forMs: number;
  readonly deniedForMs: number;
  /** null: everything that the service received. */
  readonly key: readonly KeyPart[] | null;
  /** In each worker, of those that let pass and those that do not each. */
  readonly entries: number;
}

export const KEY_WORDS = ["method", "scheme", "host", "path", "query", "ip", "consumer"] as const;
export type KeyPart = { readonly kind: (typeof KEY_WORDS)[number] } | { readonly kind: "header" | "cookie"; readonly name: string };

/** Written by the gateway into every subrequest. */
export const OWN_HEADERS: ReadonlySet<string> = new Set([
  "x-request-id",
  "x-real-ip",
  "forwarded",
  "via",
  "content-type",
  "content-encoding",
]);

const forwardable = () =>
  headerName().refine(
    (name) => !isProtected(name) && !OWN_HEADERS.has(name) && !isOriginClaim(name),
    "the gateway writes this header into the subrequest itself, or it belongs to one connection",
  );

const noWildcard = (text: string): string => `\`${text}\` is a pattern: list exact names`;

/** Exact names: a pattern would also take headers that nobody thought of. */
export const headerList = (each: () => z.ZodType<string, string>) =>
  z
    .array(
      z
        .string()
        .superRefine((text, ctx) => {
          if (text.includes("*")) ctx.addIssue({ code: "custom", message: noWildcard(text) });
        })
        .pipe(each()),
    )
    .max(HEADERS_MAX)
    .transform((names) => [...new Set(names)]);

const expectSchema = once(() =>
  z
    .strictObject({
      status: statusList({ min: 200, max: 299, because: "no other answer lets a request pass" })
        .prefault("200-299")
        .meta({ description: "The statuses that let a request pass.", examples: [204, "200-299", [200, 204]] }),
      headers: z
        .record(headerName(), headerText())
        .refine((record) => Object.keys(record).length <= HEADERS_MAX, `expected at most ${HEADERS_MAX} headers`)
        .transform((record) =>
          Object.entries(record).map(([name, value]) => ({ name, value: Buffer.from(value, "utf8").toString("latin1") })),
        )
        .prefault({})
        .meta({
          description: "Headers that such an answer must have, each once and with exactly this value.",
          examples: [{ "x-auth-decision": "allow" }],
        }),
    })
    .transform((value): ExpectConfig => ({ statuses: value.status, headers: value.headers }))
    .prefault({})
    .meta({
      description:
        "What an answer must have to let a request pass. A service behind a proxy that answers everything with a page and 200 would let everybody pass. A 2xx without it is 403 `access_denied`.",
    }),
);

const keyPart = once(() =>
  z
    .string()
    .transform((text, ctx): KeyPart => {
      const word = KEY_WORDS.find((each) => each === text);
      if (word !== undefined) return { kind: word };
      const [, kind, name = ""] = /^(header|cookie)\.([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128})$/.exec(text) ?? [];
      if (kind === "header") return { kind, name: name.toLowerCase() };
      if (kind === "cookie") return { kind, name };
      ctx.addIssue({ code: "custom", message: `expected ${KEY_WORDS.join(", ")}, header.NAME or cookie.NAME` });
      return z.NEVER;
    })
    .meta({ examples: ["header.authorization", "cookie.session", "method", "path"] }),
);

const cacheSchema = once(() =>
  z
    .strictObject({
      for: duration()
        .refine((ms) => ms >= 1 && ms <= CACHE_MS_MAX, "expected more than 0 and at most 1h")
        .prefault("30s")
        .meta({ description: "How long a decision that lets pass is cached; `cache-control` of the answer can only shorten it." }),
      deniedFor: duration()
        .refine((ms) => ms <= CACHE_MS_MAX, "expected at most 1h")
        .prefault("1s")
        .meta({ description: "The same for 401 and 403. `0`: not at all. Other answers and failures are never cached." }),
      key: z
        .array(keyPart())
        .min(1)
        .max(KEY_PARTS_MAX)
        .optional()
        .meta({
          description:
            "What two requests of one route must have in common to share a decision. By default everything that the service received: method, scheme, host, path, query, address, who is calling, each of `requestHeaders`, the body. Narrower only where the service looks at nothing else.",
          examples: [["header.authorization", "method", "path"]],
        }),
      entries: z
        .int()
        .min(1)
        .max(CACHE_ENTRIES_MAX)
        .prefault(10_000)
        .meta({ description: "Decisions cached in each worker, of those that let pass and of refusals each; the oldest go first." }),
    })
    .transform((value): CacheConfig => ({ forMs: value.for, deniedForMs: value.deniedFor, key: value.key ?? null, entries: value.entries }))
    .meta({
      description:
        "Cache decisions, in each worker. Answers that set cookies, or have `cache-control: no-store`, are not cached. Off unless written.",
    }),
);

/** Keys of both; each reads its own. */
export const subrequestKeys = once(() => ({
  url: serviceUrl("http://auth.internal:9000/verify", { credentials: "" })
    .optional()
    .meta({
      description:
        "URL of the service. It becomes an upstream, `forwardAuth:ROUTE` (or `auth:NAME` for an authenticator), with breaker, pool and metrics.",
      examples: ["http://auth.internal:9000/verify"],
    }),
  to: serviceUpstream().optional(),
  path: servicePath()
    .optional()
    .meta({ description: "With `to`: path and query of the subrequest; `/` unless written.", examples: ["/verify"] }),
  ca: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "PEM file with the authorities to trust instead of the system's, for an https `url`." }),
  breaker: lazyOptional(serviceBreaker).meta({
    description:
      "Circuit breaker of a service at a `url`: opens after 5 failures in a row, for 5s. Failures: no connection, no answer in time, a broken one, or 5xx.",
  }),
  expect: expectSchema(),
  timeout: serviceTimeout("1s").meta({ description: "For one subrequest, everything included." }),
  answerBytes: size()
    .refine((bytes) => bytes >= 1024 && bytes <= ANSWER_BYTES_MAX, "expected 1KiB to 1MiB")
    .prefault("64KiB")
    .meta({ description: "Longest body of an answer; of a longer one only status and headers are relayed." }),
  cache: lazyOptional(cacheSchema),
}));

const METHODS = ["GET", "HEAD", "POST"] as const;

/** @param preset what stands for nothing */
export const subrequestMethod = (preset: string) =>
  z
    .enum(METHODS)
    .optional()
    .meta({ description: `Method of the subrequest. By default ${preset}.` });

/** The part of what was written that {@link SubrequestConfig} is made of. */
interface WrittenSubrequest {
  readonly url?: { readonly target: string; readonly path: string } | undefined;
  readonly to?: string | undefined;
  readonly path?: string | undefined;
  readonly ca?: string | undefined;
  readonly breaker?: { readonly failures: number; readonly openFor: number } | undefined;
  readonly expect: ExpectConfig;
  readonly timeout: number;
  readonly answerBytes: number;
  readonly cache?: CacheConfig | undefined;
}

export function subrequestConfigOf(written: WrittenSubrequest, method: string, requestHeaders: readonly string[]): SubrequestConfig {
  const { expect, timeout, answerBytes, cache } = written;
  return {
    service: serviceRef(written, written.url, { timeoutMs: timeout, connections: null, failureStatuses: FAILURES }),
    method,
    requestHeaders,
    expect,
    timeoutMs: timeout,
    answerBytes,
    cache: cache ?? null,
  };
}

/** What the service receives unless something is written. */
export const requestHeaders = (description: string) =>
  headerList(forwardable).meta({ description, examples: [["authorization", "cookie"]] });
