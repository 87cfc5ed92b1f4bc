// Sends responses that are kept ready, and makes them so. Must never send a head that the response policies have not seen, nor one that they would have made
// otherwise for this request.
import { getList, type HeaderList } from "../../base/header-list.ts";
import type { Exchange } from "./exchange.ts";
import type { Policy } from "./policy.ts";
import type { LyingBody } from "./prepared-response.ts";
import { PreparedResponse } from "./prepared-response.ts";
import { finalHead, REPLY_EVENTS } from "./reply.ts";
import { hasBody } from "./response-head.ts";
import type { Route } from "./runtime.ts";

const NONE: HeaderList = [];
const REQUEST_ID = "x-request-id";

/** @returns by what, beside the head itself, the response policies tell this request from others; null when that is not known: each has to be shown its own head */
export function headDependsOn(x: Exchange, route: Route): string | null {
  const policies = route.onResponse;
  let text = "";
  if (policies !== null) {
    for (const policy of policies) {
      if (policy.headDependsOn === undefined) return null;
      text += `${policy.headDependsOn(x)}\n`;
    }
  }
  return x.responseHeaders === null ? text : `${text}\u0000${x.responseHeaders.join("\n")}`;
}

/**
 * Runs the response policies as for this exchange, and keeps what comes of it for others of the same {@link headDependsOn}.
 * @param head whose fields are the caller's own
 * @returns null when it cannot be kept; nothing has been sent
 */
export function prepareResponse(
  x: Exchange,
  { status, headers, length }: { readonly status: number; readonly headers: HeaderList; readonly length: number },
): PreparedResponse | null {
  const head = { status, headers, length, hasBody: hasBody(x.method, status), fromUpstream: true };
  if (!head.hasBody || finalHead(x, head) !== null) return null;
  if (head.length !== length || head.status !== status) return null;
  for (const policy of x.route?.onResponse ?? []) {
    const own = policy.ownFields?.(x) ?? NONE;
    for (let i = 0; i < own.length; i += 2) if (!takeOut(head.headers, own[i] as string, own[i + 1] as string)) return null; // pairs
  }
  let idAt = -1;
  for (let i = 0; i < head.headers.length; i += 2) {
    if (head.headers[i] !== REQUEST_ID) continue;
    if (idAt >= 0 || head.headers[i + 1] !== x.requestId) return null;
    idAt = i + 1;
  }
  return new PreparedResponse(status, head.headers, idAt, length);
}

/** @returns whether a policy that ran later has left it as it was, the only one of its name */
function takeOut(headers: HeaderList, name: string, value: string): boolean {
  const at = headers.indexOf(name);
  if (at < 0 || at % 2 !== 0 || headers[at + 1] !== value || getList(headers, name) !== value) return false;
  headers.splice(at, 2);
  return true;
}

/** Fields of its own that a response gets beside what is ready; null for none. */
function ownFields(x: Exchange, policies: readonly Policy[] | null): HeaderList | null {
  let all: HeaderList | null = null;
  if (policies === null) return all;
  for (const policy of policies) {
    if (policy.ownFields === undefined) continue;
    const own = policy.ownFields(x);
    if (own !== null && own.length > 0) all = all === null ? own : [...all, ...own];
  }
  return all;
}

/** Sends it at once, whole, in this turn. Only when {@link Exchange.takesPrepared}. @param body is let go when the exchange is over */
export function sendStored(x: Exchange, response: PreparedResponse, body: LyingBody): void {
  x.events = REPLY_EVENTS;
  x.sentFrom = body;
  const route = x.route;
  if (route?.accessLog !== false || route.onFinish !== null) x.clientInfo(); // once the response is out the address cannot be read any more
  x.sendPrepared(response, body, ownFields(x, route?.onResponse ?? null));
}
