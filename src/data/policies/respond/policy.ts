// Owns the fixed answer of a route: static page, mock, maintenance.
import type { Policy, PolicyFactory, Reply } from "../../policy.ts";
import type { RespondConfig } from "./config.ts";

/** Text as the byte string (one char a byte) of its UTF-8. */
const bytesOf = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

/** Answers every request alike. The reply carries the body also for HEAD: its length is told, the pipeline sends none of it. */
export const createRespond: PolicyFactory = (config): Policy => {
  const { status, headers, body, contentType, retryAfterSeconds } = config as RespondConfig; // parsed by respondSchema in the primary
  const list: string[] = [];
  if (body !== null && !("content-type" in headers)) list.push("content-type", bytesOf(contentType));
  for (const [name, value] of Object.entries(headers)) list.push(name, bytesOf(value));
  if (retryAfterSeconds !== null) list.push("retry-after", String(retryAfterSeconds));
  // One encoding for all requests; a string would be encoded again each time.
  const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body;
  return {
    name: "respond",
    // The list is copied: onResponse hooks change the head in place.
    onRequest: (): Reply => ({ kind: "response", status, headers: list.slice(), body: bytes }),
  };
};
