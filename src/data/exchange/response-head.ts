// Owns how the head of a response that the gateway makes begins, before any policy has seen it. Pure.
import type { Exchange } from "./exchange.ts";
import type { ResponseHead } from "./policy.ts";

/** @param length of the body in bytes, -1 for unknown. @param fromUpstream a service's response is what the head stands for */
export const headOf = (
  x: Exchange,
  { status, headers, length, fromUpstream = false }: Omit<ResponseHead, "hasBody" | "fromUpstream"> & { readonly fromUpstream?: boolean },
): ResponseHead => ({ status, headers, length, hasBody: hasBody(x.method, status), fromUpstream });

/** RFC 9110 section 6.4.1: HEAD, 204 and 304 have no body, whatever their headers say. */
export const hasBody = (method: string, status: number): boolean => method !== "HEAD" && status !== 204 && status !== 304;
