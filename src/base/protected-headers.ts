// Owns the list of headers that no configuration may touch, because they frame messages or belong to one hop. Pure; shared by schemas and policies.

const PROTECTED: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "date",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/**
 * Whether the gateway alone decides about a header: RFC 9110 section 7.6.1 (hop by hop), RFC 9112 section 6 (framing), and `date`, `expect`, `host`.
 * @param name lowercase
 */
export const isProtected = (name: string): boolean => PROTECTED.has(name);
