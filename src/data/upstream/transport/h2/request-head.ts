// Writes the head of a request as HTTP/2 has it (RFC 9113 section 8.3.1), and its framing: Host becomes `:authority`, the length is a field like any other.
import type { HpackEncoder } from "../../../../base/http2/hpack-encoder.ts";
import type { WireRequest } from "../../upstream.ts";

/** Methods whose requests say that they have no content when they have none (RFC 9110 section 8.6). */
const EXPECT_CONTENT: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);
/** Of connections of HTTP/1.1: no request may have them (RFC 9113 section 8.2.2). */
const NOT_SENT: ReadonlySet<string> = new Set([
  "host",
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
  "content-length",
]);
const SLASH = 47;

/** @param authority where the request names no Host @returns false when something in it must not be sent */
export function encodeRequest(
  encoder: HpackEncoder,
  request: WireRequest,
  target: { readonly https: boolean; readonly authority: string },
): boolean {
  const { method, path, headers } = request;
  if (path.charCodeAt(0) !== SLASH) return false;
  // Mostly the first: whoever builds a request begins with it.
  const authority = headers[0] === "host" ? (headers[1] as string) : hostOf(headers, target.authority);
  if (!encoder.request(method, target.https, { authority, path })) return false;
  if (!encodeCommon(encoder, request) || !encodeFields(encoder, headers, request.common?.list.length ?? 0)) return false;
  const length = contentLengthOf(request);
  return length < 0 || encoder.field("content-length", String(length));
}

/** Once encoded, and checked by that, they are copied: our blocks depend on nothing that came before them. */
function encodeCommon(encoder: HpackEncoder, { common = null }: WireRequest): boolean {
  if (common === null) return true;
  if (common.bytes !== null) {
    encoder.encoded(common.bytes);
    return true;
  }
  const from = encoder.length;
  if (!encodeFields(encoder, common.list, 0)) return false;
  common.bytes = Buffer.from(encoder.bytes().subarray(from));
  return true;
}

function encodeFields(encoder: HpackEncoder, headers: readonly string[], from: number): boolean {
  for (let i = from; i < headers.length; i += 2) {
    const name = headers[i] as string; // i is inside a list of pairs
    if (NOT_SENT.has(name)) continue;
    const value = headers[i + 1] as unknown; // a policy of the operator's own may have put in a number
    if (!encoder.field(name, typeof value === "string" ? value : String(value))) return false;
  }
  return true;
}

function hostOf(headers: readonly string[], otherwise: string): string {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === "host") return headers[i + 1] as string; // a list of pairs
  return otherwise;
}

/** @returns -1 where none is said */
function contentLengthOf({ method, body, contentLength }: WireRequest): number {
  if (body === null) return EXPECT_CONTENT.has(method) ? 0 : -1;
  return Buffer.isBuffer(body) ? body.length : contentLength;
}
