// Owns the admin listener's refusals: one table, like base/errors.ts for exchanges, answered as problem+json (RFC 9457).

interface AdminProblem {
  readonly status: number;
  readonly title: string;
  readonly remedy: string;
}

/** Code -> status, meaning, remedy. */
export const ADMIN_PROBLEMS = {
  token_required: {
    status: 401,
    title: "A token is required",
    remedy: "Send `Authorization: Bearer TOKEN` with the token of admin.token.",
  },
  loopback_only: {
    status: 403,
    title: "Without admin.token only this machine may call",
    remedy: "Set admin.token, or call from the same machine.",
  },
  host_refused: {
    status: 403,
    title: "Without admin.token the Host must be localhost or a loopback address",
    remedy: "Use http://127.0.0.1 or http://localhost, or set admin.token.",
  },
  cross_site: {
    status: 403,
    title: "A page of another site may not do this",
    remedy: "Use the status page itself, or a tool outside the browser.",
  },
  not_found: { status: 404, title: "There is nothing here", remedy: "GET / shows what there is." },
  method_not_allowed: { status: 405, title: "Not with this method", remedy: "Use one of the methods in the Allow header." },
  bad_parameter: { status: 400, title: "A parameter of the query is wrong", remedy: "Nothing was done." },
  cache_busy: {
    status: 503,
    title: "The store of responses could not be gone over",
    remedy: "Try again: what was named by URL or tag is purged, prefixes and everything may not be.",
  },
  reload_refused: {
    status: 422,
    title: "The configuration was refused",
    remedy: "Mend every problem listed; the old configuration is still in force.",
  },
  failed: { status: 500, title: "The gateway failed to answer", remedy: "See the gateway's log." },
} as const satisfies Record<string, AdminProblem>;
export type AdminProblemCode = keyof typeof ADMIN_PROBLEMS;

export interface AdminAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Runs when the answer has been sent. */
  readonly afterwards?: () => void;
}

/** @param more members besides type, title, status and code; must hold no secrets */
export function problem(
  code: AdminProblemCode,
  more: Readonly<Record<string, unknown>> = {},
  headers: Readonly<Record<string, string>> = {},
): AdminAnswer {
  const { status, title, remedy } = ADMIN_PROBLEMS[code];
  const body = { type: `urn:sluice:admin:${code}`, title, status, code, remedy, ...more };
  return { status, type: "application/problem+json", body: `${JSON.stringify(body)}\n`, headers };
}

export function json(value: unknown, status = 200): AdminAnswer {
  return { status, type: "application/json", body: `${JSON.stringify(value, null, 2)}\n` };
}
