// Owns the one table of everything that can go wrong with an exchange, as the outside sees it.
// Must never hold upstream details: what stands here may be sent to a client.

/** Whose fault it is: the client's, the gateway's own, or the upstream's. */
export type ErrorSource = "client" | "gateway" | "upstream";

/** One row of the table. */
export interface ErrorInfo {
  /** HTTP status sent to the client; 0 where no answer can be sent any more (log and metrics only). */
  readonly status: number;
  readonly source: ErrorSource;
  /** Whether the connection to the client is closed after the answer. */
  readonly close: boolean;
  /** RFC 9457 `title`: what it means, the same for every occurrence. */
  readonly title: string;
  /** What the person who meets it can do about it. */
  readonly remedy: string;
}

const row = (status: number, source: ErrorSource, close: boolean, title: string, remedy: string): ErrorInfo => ({
  status,
  source,
  close,
  title,
  remedy,
});

/**
 * Code -> status, source, meaning and remedy. The code is stable: it stands in the problem+json body (RFC 9457),
 * the access log, the metrics and the docs (a test holds table and docs together).
 */
export const ERRORS = {
  bad_request: row(
    400,
    "client",
    true,
    "The request is malformed or ambiguous",
    "Send a request that conforms to RFC 9112; the detail names the rule broken.",
  ),
  bad_path: row(
    400,
    "client",
    true,
    "The request path is unsafe",
    "Remove encoded slashes, backslashes, NUL bytes, double encodings and dot segments that leave the root.",
  ),
  credentials_malformed: row(
    400,
    "client",
    false,
    "The credentials are sent in a wrong way",
    "Send one token, in one place; the detail names the rule that broke.",
  ),
  version_ambiguous: row(
    400,
    "client",
    false,
    "It is not clear which version the request is for",
    "Name one version, in one place, or the same in all; the detail says what contradicts.",
  ),
  version_missing: row(
    400,
    "client",
    false,
    "The request must name a version",
    "Name a version where the detail says, or ask the operator for a default (versioning.default).",
  ),
  version_unknown: row(400, "client", false, "This version is not served here", "Use one of the versions that the detail lists."),
  credentials_missing: row(
    401,
    "client",
    false,
    "This route needs credentials",
    "Send a credential of a kind that the WWW-Authenticate header names.",
  ),
  credentials_invalid: row(
    401,
    "client",
    false,
    "The credentials are not valid",
    "Get a new token or check the key; the detail names the rule that broke.",
  ),
  ip_denied: row(403, "client", false, "This address may not use this route", "Ask the operator to allow the address."),
  insufficient_scope: row(
    403,
    "client",
    false,
    "The token lacks a scope that this route needs",
    "Ask for a token with the scopes that the WWW-Authenticate header names.",
  ),
  access_denied: row(
    403,
    "client",
    false,
    "This caller may not do this",
    "Ask the operator for the role or permission that the route demands.",
  ),
  origin_denied: row(
    403,
    "client",
    false,
    "This origin may not open a WebSocket on this route",
    "Ask the operator to add the origin to the route's cors.origins.",
  ),
  route_not_found: row(
    404,
    "client",
    false,
    "No route matches this request",
    "Check host, path, headers and query; `sluice routes` lists what exists.",
  ),
  method_not_allowed: row(405, "client", false, "The route exists, but not for this method", "Use one of the methods in the Allow header."),
  version_not_acceptable: row(
    406,
    "client",
    false,
    "No version that the request accepts is served here",
    "Accept one of the versions that the detail lists.",
  ),
  request_timeout: row(
    408,
    "client",
    true,
    "The request body did not arrive in time",
    "Send the body faster; the detail names the limit: limits.bodyTimeout, or limits.bodyRate, which a route may set to none.",
  ),
  body_too_large: row(
    413,
    "client",
    true,
    "The request body is larger than this route accepts",
    "Send less, or raise limits.bodyBytes for the route.",
  ),
  uri_too_long: row(414, "client", true, "The request target is too long", "Shorten the URL, or raise limits.uriBytes."),
  expectation_failed: row(417, "client", true, "Only Expect: 100-continue is supported", "Remove the Expect header."),
  upgrade_unsupported: row(426, "client", false, "This upgrade is not supported", "Use WebSocket version 13, or no Upgrade header."),
  misdirected_request: row(
    421,
    "client",
    false,
    "This connection was made for another host",
    "Open a connection for this host and send the request there; most clients do so by themselves (RFC 9110 section 15.5.20).",
  ),
  rate_limited: row(429, "client", false, "Too many requests", "Wait for the time in Retry-After; the RateLimit header has what is left."),
  quota_exceeded: row(
    429,
    "client",
    false,
    "The quota for this period is used up",
    "Wait until the period ends (Retry-After), or ask the operator for a larger tier.",
  ),
  concurrency_limited: row(
    429,
    "client",
    false,
    "Too many requests of this caller are under way",
    "Wait for some of them to end before you send more.",
  ),
  headers_too_large: row(
    431,
    "client",
    true,
    "The request header section is too large",
    "Send fewer or shorter headers, or raise limits.headerBytes / headerCount.",
  ),
  client_aborted: row(0, "client", true, "The client went away before the response was complete", "Nothing to do in the gateway."),
  cache_miss: row(
    504,
    "client",
    false,
    "Nothing stored may answer this request",
    "Ask without `Cache-Control: only-if-cached`: then the service is asked.",
  ),
  internal_error: row(500, "gateway", true, "The gateway failed", "Report it with the request id; the gateway log has the stack."),
  policy_failed: row(
    500,
    "gateway",
    false,
    "A policy of this route failed",
    "Report it with the request id; the gateway log names the policy and has its stack.",
  ),
  policy_timeout: row(
    504,
    "gateway",
    false,
    "A policy of this route took too long",
    "Retry later; the operator finds the policy's name in the log. The bound is limits.policyTimeout.",
  ),
  method_not_implemented: row(501, "gateway", true, "This method is not supported", "CONNECT and TRACE are never proxied."),
  overloaded: row(
    503,
    "gateway",
    false,
    "The gateway has no room for this request at present",
    "Retry later. The reason names what to raise: pool: the upstream's pool.connections or pool.queue; bodies: limits.bufferedBodyBytes; limit, line: the service has all that it can work on, see overload; instance: a worker has more to do than it can, see the gateway's own overload.",
  ),
  auth_overloaded: row(
    503,
    "gateway",
    false,
    "Too many new credentials are waiting to be verified",
    "Retry later with the same credential; callers verified before are not affected.",
  ),
  auth_unavailable: row(
    503,
    "gateway",
    false,
    "The credentials cannot be verified at present",
    "Retry later; the operator sees the identity provider's state on the admin listener.",
  ),
  limits_unavailable: row(
    503,
    "gateway",
    false,
    "The limit that guards this route cannot be decided at present",
    "Retry later; the operator sees the state of Redis and of the limit table on the admin listener.",
  ),
  breaker_open: row(
    503,
    "upstream",
    false,
    "The circuit breaker of this upstream is open",
    "Retry after the time in Retry-After; the service behind failed too often.",
  ),
  http_version: row(
    505,
    "gateway",
    true,
    "This HTTP version is not supported on this listener",
    "Use HTTP/1.1, or set `engine: net` on the listener.",
  ),
  no_healthy_target: row(
    503,
    "upstream",
    false,
    "No healthy target is available for this route",
    "Retry later; see /upstreams on the admin listener.",
  ),
  connect_failed: row(502, "upstream", false, "The upstream refused the connection", "Check that the service is running."),
  connect_timeout: row(
    504,
    "upstream",
    false,
    "The upstream did not accept the connection in time",
    "Check the service, or raise timeouts.connect.",
  ),
  response_timeout: row(504, "upstream", false, "The upstream did not answer in time", "Check the service, or raise timeouts.attempt."),
  total_timeout: row(504, "upstream", false, "The request ran out of time", "Check the service, or raise timeouts.total."),
  upstream_reset: row(
    502,
    "upstream",
    false,
    "The upstream closed the connection before answering",
    "Check the service's log at that time.",
  ),
  upstream_invalid: row(
    502,
    "upstream",
    false,
    "The upstream's answer is not valid HTTP",
    "Check the service; the gateway log has the reason.",
  ),
  upstream_tls: row(
    502,
    "upstream",
    false,
    "The TLS handshake with the upstream failed",
    "Check the upstream's certificate and `tls` settings.",
  ),
  upstream_upgrade_refused: row(
    502,
    "upstream",
    false,
    "The upstream refused the WebSocket upgrade",
    "Check that the service speaks WebSocket on this path.",
  ),
  upstream_aborted: row(
    502,
    "upstream",
    false,
    "The upstream broke off in the middle of its response",
    "Check the service. The client got 502 if nothing of the response had been sent, else a cut connection.",
  ),
  upstream_idle_timeout: row(
    504,
    "upstream",
    false,
    "The upstream stalled in the middle of its response",
    "Check the service, or raise timeouts.idle. The client got 504 if nothing of the response had been sent, else a cut connection.",
  ),
  upstream_status: row(
    502,
    "upstream",
    false,
    "The service answered with an error",
    "Check the service's log at that time; errorPages.intercept has its own response replaced. The status is the service's.",
  ),
  forward_auth_unavailable: row(
    503,
    "upstream",
    false,
    "The service that authorizes this request is not available at present",
    "Retry later; the operator sees the service among the upstreams on the admin listener, and the reason in the access log.",
  ),
  forward_auth_timeout: row(
    504,
    "upstream",
    false,
    "The service that authorizes this request did not respond in time",
    "Check that service, or raise forwardAuth.timeout.",
  ),
  leg_status: row(
    502,
    "upstream",
    false,
    "A service that this answer is made of refused its part",
    "The log names leg and status: see `expect` and `relay` of the leg. With `relay` the client gets the service's own status.",
  ),
  leg_invalid: row(
    502,
    "upstream",
    false,
    "A service that this answer is made of gave something that cannot be used",
    "The log names the leg and the reason: not JSON, not UTF-8, nothing where `select` looks, a value that another leg needs.",
  ),
  leg_too_large: row(
    502,
    "upstream",
    false,
    "A service that this answer is made of gave more than this route takes",
    "Raise `maxBytes` or `maxItems` of the leg, or ask the service for less.",
  ),
  leg_skipped: row(
    502,
    "upstream",
    false,
    "A service was not asked because another one that it depends on failed",
    "See why the other one failed: the answer and the log name it.",
  ),
} as const satisfies Record<string, ErrorInfo>;

/** A stable machine code of {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** Codes in a fixed order, so that shared memory and log records can carry a number: 0 means no error. */
export const ERROR_CODES = Object.keys(ERRORS) as readonly ErrorCode[]; // Object.keys loses the literal type

const CODE_NUMBERS: ReadonlyMap<ErrorCode, number> = new Map(ERROR_CODES.map((code, i) => [code, i + 1]));

/** The number of a code in records: 1-based, 0 for none. */
export const errorNumber = (code: ErrorCode | null): number => (code === null ? 0 : (CODE_NUMBERS.get(code) ?? 0));

/** The code of a number made by {@link errorNumber}; null for 0. */
export const errorOfNumber = (n: number): ErrorCode | null => ERROR_CODES[n - 1] ?? null;

/** A mistake in what the operator gave us (configuration, command line, environment): shown without a stack. */
export class OperatorError extends Error {
  /** Process exit status: 1 wrong input, 2 wrong usage. */
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = "OperatorError";
    this.exitCode = exitCode;
  }
}

/** Closes a union: fails to compile when a case is missing. */
export function assertNever(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
