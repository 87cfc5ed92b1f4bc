// Owns turning a configured fixed answer into replies: for the handler `respond` and for the fallback of a breaker.
import type { Reply } from "../exchange/policy.ts";
import type { RespondConfig } from "./respond/config.ts";

/** Text as the byte string (one char a byte) of its UTF-8. */
const bytesOf = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

/** @param config parsed by respondSchema in the primary. @returns what gives a new reply each time, as onResponse hooks change heads in place. */
export function fixedReply(config: RespondConfig): () => Reply {
  const { status, headers, body, contentType, retryAfterSeconds } = config;
  const list: string[] = [];
  if (body !== null && !("content-type" in headers)) list.push("content-type", bytesOf(contentType));
  for (const [name, value] of Object.entries(headers)) list.push(name, bytesOf(value));
  if (retryAfterSeconds !== null) list.push("retry-after", String(retryAfterSeconds));
  // One encoding for all requests; a string would be encoded again each time.
  const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body;
  return () => ({ kind: "response", status, headers: list.slice(), body: bytes });
}
