// Owns one exchange through the policy `rewrite` without a socket: what the service is told, and what of its answer reaches the client.
import type { HeaderList } from "../../src/base/header-list.ts";
import type { UpstreamRequest } from "../../src/data/exchange/policy.ts";
import type { Endpoint } from "../../src/data/upstream/upstream.ts";
import { ask, buildPolicy, type RequestSketch, responseHead, TestExchange } from "./exchange.ts";

export interface Answered {
  /** As configured under `rewrite`. */
  readonly rewrite: unknown;
  readonly request?: RequestSketch;
  /** Authority of the target. */
  readonly target?: string;
  /** What Host the service gets; the target's by default. */
  readonly host?: string;
  /** What trusted proxies have said: their client's host, and the prefix that they removed. */
  readonly forwardedHost?: string;
  readonly forwardedPrefix?: readonly string[];
}

/** @returns what the service gets, and what becomes of the fields of its answer */
export function through(setting: Answered, fields: Readonly<Record<string, string | readonly string[]>>) {
  const { target = "app.internal:9001", host = target, request: sketch = {}, forwardedPrefix = [] } = setting;
  const x = new TestExchange(sketch);
  const policy = buildPolicy("rewrite", setting.rewrite);
  if (ask(policy, x) !== undefined) throw new Error("the rewrite has answered");
  const prefixes = forwardedPrefix.flatMap((each) => ["x-forwarded-prefix", each]);
  const headers: HeaderList = ["host", host, "x-forwarded-host", setting.forwardedHost ?? x.authority, ...prefixes];
  const request: UpstreamRequest = { method: x.method, path: x.upstreamPath, headers };
  policy.onUpstreamRequest?.(x, request);
  const head = responseHead({ status: 302, fields });
  policy.onUpstreamResponse?.(x, head, { request, endpoint: { plan: { authority: target } } as Endpoint }); // all that is read of it
  return { path: request.path, sent: request.headers, received: head.headers };
}

/** The one field of an answer. */
export const mapped = (setting: Answered, name: string, value: string): string => through(setting, { [name]: value }).received[1] ?? "";
