// Makes error responses out of the table of errors: a problem document (RFC 9457), or the page that is configured in its place, as the client wants it.
// Must never put upstream details into a body, nor anything of a service's own body where that was intercepted.
import { ERRORS, type ErrorCode } from "../../base/errors.ts";
import { addVary, getList, type HeaderList } from "../../base/header-list.ts";
import type { PageValues } from "../../base/page-text.ts";
import { reasonPhrase } from "../../base/reason-phrase.ts";
import type { ErrorPages } from "./error-pages.ts";
import type { Exchange } from "./exchange.ts";
import type { Reply, ResponseHead } from "./policy.ts";
import { headOf } from "./response-head.ts";

/** Seconds in Retry-After of the gateway's own 503 answers. */
const RETRY_AFTER_S = "1";

/** @property intercepted the status and some headers are a service's */
export type Problem = Omit<Extract<Reply, { readonly kind: "problem" }>, "kind"> & { readonly intercepted?: boolean };

/** An error response, ready for the response policies. */
export interface ProblemAnswer {
  readonly head: ResponseHead;
  readonly body: Buffer | null;
}

export function problem(x: Exchange, problem: Problem): ProblemAnswer {
  const { code, detail, headers, status = ERRORS[code].status, intercepted = false } = problem;
  const info = ERRORS[code];
  x.errorCode = code;
  x.errorDetail = detail;
  if (info.close) x.closeAfter = true;
  const list: HeaderList = ["cache-control", "no-store"];
  if (status === 503 && !intercepted && headers?.includes("retry-after") !== true) list.push("retry-after", RETRY_AFTER_S);
  if (headers !== undefined) list.push(...headers);
  const title = intercepted ? reasonPhrase(status) || info.title : info.title;
  const values: PageValues = { status, code, title, requestId: x.requestId, url: () => urlOf(x) };
  const page = pagesOf(x)?.answer(values, getList(x.headers, "accept"));
  if (page !== undefined) addVary(list, "accept"); // also where the problem document was chosen
  if (page != null)
    return {
      head: headOf(x, {
        status: page.status,
        headers: [...page.headers, ...list],
        length: page.body?.length ?? 0,
        fromUpstream: intercepted,
      }),
      body: page.body,
    };
  const body = document(x, values, detail);
  return {
    head: headOf(x, {
      status,
      headers: ["content-type", "application/problem+json", ...list],
      length: body.length,
      fromUpstream: intercepted,
    }),
    body,
  };
}

/** What was asked for, as the client has it; '' for what was not admitted, or came without Host. */
function urlOf(x: Exchange): string {
  if (x.unadmitted !== null || x.authority === "") return "";
  const query = x.runtime.hideCredentials(x.query);
  return `${x.clientInfo().scheme}://${x.authority}${x.path}${query === "" ? "" : `?${query}`}`;
}

function document(x: Exchange, { status, code, title, requestId }: PageValues, detail: string): Buffer {
  const info = ERRORS[code as ErrorCode]; // problem() has it from the table
  // Details of gateway and upstream faults are for the log; a client is told what it can mend itself.
  const shown = info.source === "client" && detail !== "" ? detail : info.title;
  const reason = x.overloadReason ?? undefined;
  const problem = { type: `urn:sluice:error:${code}`, title, status, code, reason, detail: shown, requestId };
  return Buffer.from(JSON.stringify(problem), "utf8");
}

/** @returns the error pages of the route, or of requests without one; null for none, and for clients that read no page: WebSockets and gRPC */
export function pagesOf(x: Exchange): ErrorPages | null {
  const { route, runtime } = x;
  const index = route === null ? runtime.plan.unroutedErrorPages : route.settings.errorPages;
  if (index < 0 || x.wantsWebSocket || x.header("content-type")?.startsWith("application/grpc") === true) return null;
  return runtime.errorPages[index] ?? null;
}

/** Of a service's response that is replaced, what goes on to the client: who may read it, when to come again, how to authenticate, and cookies. */
const KEPT: ReadonlySet<string> = new Set(["allow", "retry-after", "set-cookie", "timing-allow-origin", "vary", "www-authenticate"]);
const KEPT_PREFIXES: readonly string[] = ["access-control-", "ratelimit", "x-ratelimit-"];

/** @param headers of the service's response, flat */
export function intercepted(status: number, headers: HeaderList): Problem {
  const kept: HeaderList = [];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (KEPT.has(name) || KEPT_PREFIXES.some((prefix) => name.startsWith(prefix))) kept.push(name, headers[i + 1] as string);
  }
  return { code: "upstream_status", detail: `status ${status}`, status, headers: kept, intercepted: true };
}
