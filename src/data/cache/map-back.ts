// Owns what the response policies make of a service's head before anything of it is judged or stored (`rewrite.response`): addresses and cookies as clients know them.
// All that it depends on beside the route's own configuration is in the key (key.ts): scheme, host, path, and what trusted proxies say of where the client asked.
// So it is done once for all who are served by it, and a hit costs nothing more.
import type { SentRequest } from "../exchange/policy.ts";
import { hasBody } from "../exchange/response-head.ts";
import type { WireHead } from "../upstream/upstream.ts";
import type { FillOrder } from "./fill-context.ts";

/** @param head whose fields are changed in place */
export function mapBack(
  { x, route }: FillOrder,
  sent: SentRequest,
  { status, head }: { readonly status: number; readonly head: WireHead },
): void {
  const { headers, length } = head;
  const seen = { status, headers, length, hasBody: hasBody("GET", status), fromUpstream: true };
  for (const policy of route.onUpstreamResponse ?? []) policy.onUpstreamResponse?.(x, seen, sent);
}
