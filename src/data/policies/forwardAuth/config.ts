// Owns the `forwardAuth` key of a route: a service that decides whether a request may pass. Schema, types and docs only.
import * as z from "zod";
import { isOriginClaim } from "../../../base/origin-claims.ts";
import { isProtected } from "../../../base/protected-headers.ts";
import { withRules } from "../../../base/rules.ts";
import { headerName, lazyOptional, once, size } from "../../../base/schema.ts";
import { oneService } from "../config-service.ts";
import {
  HEADERS_MAX,
  headerList,
  OWN_HEADERS,
  requestHeaders,
  type SubrequestConfig,
  subrequestConfigOf,
  subrequestKeys,
  subrequestMethod,
} from "../config-subrequest.ts";

const BODY_BYTES_MAX = 16 * 1024 ** 2;

export interface ForwardAuthConfig extends SubrequestConfig {
  /** Of the answer, lowercase: what goes upstream with a request that passes. */
  readonly responseHeaders: readonly string[];
  /** null: the subrequest has no body. */
  readonly body: BodyConfig | null;
  readonly onDenied: "relay" | "problem";
  readonly onFailure: "deny" | "allow";
  /** Cookies of an answer that lets pass, for the client: all, none (an empty list), or these. */
  readonly addCookies: "all" | readonly string[];
}

export interface BodyConfig {
  readonly bytesMax: number;
  readonly over: "refuse" | "omit";
}

const copied = () =>
  headerName().refine(
    (name) => !isProtected(name) && !OWN_HEADERS.has(name) && !isOriginClaim(name) && name !== "set-cookie",
    "this header frames the message, belongs to one connection, or says where a request came from: no service may set it",
  );

const bodySchema = once(() =>
  z
    .strictObject({
      maxBytes: size()
        .refine((bytes) => bytes >= 1 && bytes <= BODY_BYTES_MAX, "expected at most 16MiB")
        .prefault("64KiB")
        .meta({ description: "Longest body that the service receives." }),
      over: z.enum(["refuse", "omit"]).prefault("refuse").meta({
        description:
          "What becomes of longer ones. `refuse`: 413. `omit`: the subrequest has no body and `x-forwarded-body: omitted`; one of unknown length is collected first, up to the route's `limits.bodyBytes`.",
      }),
    })
    .transform((value): BodyConfig => ({ bytesMax: value.maxBytes, over: value.over }))
    .meta({
      description:
        "Send the request's body with the subrequest, byte for byte, with its content-type and content-encoding. Only then it is collected in memory.",
      examples: [{ maxBytes: "64KiB" }],
    }),
);

export const forwardAuthSchema = once(() =>
  withRules(
    z.strictObject({
      ...subrequestKeys(),
      method: subrequestMethod("GET, or POST with `body`"),
      requestHeaders: requestHeaders(
        "Headers of the request that the service receives, by exact name. It always gets `x-forwarded-method`, `-uri`, `-host`, `-proto`, `-port` and `-for`, `forwarded`, `via` and `x-request-id`, as the gateway writes them, and who the route's `auth` has proven in the headers of `identity`.",
      ).prefault(["authorization", "cookie"]),
      responseHeaders: headerList(copied)
        .prefault([])
        .meta({
          description:
            "Headers of an answer that lets pass, by exact name, for the upstream. What the client sent under these names, or spellings of them, is always removed.",
          examples: [["x-user", "x-tenant"]],
        }),
      body: lazyOptional(bodySchema),
      onDenied: z.enum(["relay", "problem"]).prefault("relay").meta({
        description:
          "What the client gets when the service does not let it pass. `relay`: the service's status, headers and body, as a redirect to a login page is. `problem`: 401 `credentials_invalid` for 401, with the service's `WWW-Authenticate`; else 403 `access_denied`.",
      }),
      onFailure: z.enum(["deny", "allow"]).prefault("deny").meta({
        description:
          "What becomes of a request when the service cannot be reached, answers too late, or with 5xx. `deny`: 503 `forward_auth_unavailable` or 504 `forward_auth_timeout`. `allow`: it passes, counted, and the upstream finds `x-forward-auth: failed-open`, which no client can send.",
      }),
      addCookies: z
        .union([z.boolean(), z.array(z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/, "expected a cookie name")).max(HEADERS_MAX)])
        .transform((value): "all" | readonly string[] => (value === true ? "all" : value === false ? [] : value))
        .prefault(false)
        .meta({
          description:
            "Cookies that an answer sets when it lets pass go to the client too, beside the upstream's: `true` for all, or their names. The response is then `cache-control: private`.",
          examples: [true, ["session"]],
        }),
    }),
    oneService("url"),
    ({ method, body }, object) => {
      if (body !== undefined && (method === "GET" || method === "HEAD")) object("a subrequest with a body needs POST", ["method"]);
    },
  )
    .transform(
      (value): ForwardAuthConfig => ({
        ...subrequestConfigOf(value, value.method ?? (value.body === undefined ? "GET" : "POST"), value.requestHeaders),
        responseHeaders: value.responseHeaders,
        body: value.body ?? null,
        onDenied: value.onDenied,
        onFailure: value.onFailure,
        addCookies: value.addCookies,
      }),
    )
    .meta({
      description:
        "Call a service before a request is forwarded (as Traefik's ForwardAuth, nginx's auth_request and Envoy's ext_authz do): 2xx lets it pass, anything else does not.",
    }),
);
