// Owns a strict reader of HTTP/1.1 messages from bytes (RFC 9112): for both ends of a test. Any deviation is an error,
// so that a gateway that sends something ambiguous is found out.

export interface RawHead {
  readonly startLine: string;
  /** As received: names in their own case, values as byte strings. */
  readonly fields: readonly (readonly [string, string])[];
  /** Bytes of the head, final CRLF included. */
  readonly size: number;
}

export interface RawBody {
  /** Decoded. */
  readonly body: Buffer;
  /** Bytes on the wire. */
  readonly size: number;
  readonly trailers: readonly (readonly [string, string])[];
}

const FIELD = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t\x20-\x7e\x80-\xff]*?)[\t ]*$/;

/** @returns null while it is incomplete. @throws Error when it is malformed */
export function readHead(bytes: Buffer): RawHead | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [startLine = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  if (/[\r\n]/.test(startLine)) throw new Error(`bare CR or LF in ${JSON.stringify(startLine)}`);
  return { startLine, fields: readFields(lines), size: end + 4 };
}

function readFields(lines: readonly string[]): (readonly [string, string])[] {
  return lines.map((line) => {
    const match = FIELD.exec(line);
    if (match === null) throw new Error(`not a field line: ${JSON.stringify(line)}`);
    return [match[1] ?? "", match[2] ?? ""] as const;
  });
}

/** @param ended the sender has closed: the end of a body without length. @returns null while it is incomplete */
export function readMessageBody(head: RawHead, rest: Buffer, ended: boolean): RawBody | null {
  const lengths = valuesOf(head, "content-length");
  const encodings = valuesOf(head, "transfer-encoding");
  if (lengths.length + encodings.length > 1) throw new Error(`ambiguous framing: ${JSON.stringify(head.fields)}`);
  if (encodings.length === 1) {
    if (encodings[0] !== "chunked") throw new Error(`transfer-encoding ${encodings[0]}`);
    return readChunked(rest, head.startLine.startsWith("HTTP/"));
  }
  if (lengths.length === 1) {
    if (!/^\d+$/.test(lengths[0] ?? "")) throw new Error(`content-length ${lengths[0]}`);
    const length = Number(lengths[0]);
    return rest.length < length ? null : { body: rest.subarray(0, length), size: length, trailers: [] };
  }
  return ended ? { body: rest, size: rest.length, trailers: [] } : null;
}

/** RFC 9112 section 7.1.1: the extension that the uws engine puts behind the last chunk before it closes. */
const LAST_CHUNK_EXTENDED = /^0;[a-z]+="[^"\\]*"$/;

/** RFC 9112 section 7.1, without extensions: nobody here sends any, but behind the last chunk of a response. */
function readChunked(rest: Buffer, isResponse: boolean): RawBody | null {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = rest.indexOf("\r\n", at);
    if (lineEnd < 0) return null;
    const sizeText = rest.subarray(at, lineEnd).toString("latin1");
    if (!/^[0-9a-fA-F]+$/.test(sizeText) && !(isResponse && LAST_CHUNK_EXTENDED.test(sizeText)))
      throw new Error(`chunk size ${JSON.stringify(sizeText)}`);
    const size = Number.parseInt(sizeText, 16);
    at = lineEnd + 2;
    if (size === 0) break;
    if (rest.length < at + size + 2) return null;
    chunks.push(rest.subarray(at, at + size));
    at += size;
    if (rest.subarray(at, at + 2).toString("latin1") !== "\r\n") throw new Error("a chunk is longer than it says");
    at += 2;
  }
  if (rest.subarray(at, at + 2).toString("latin1") === "\r\n") return { body: Buffer.concat(chunks), size: at + 2, trailers: [] };
  const end = rest.indexOf("\r\n\r\n", at);
  if (end < 0) return null;
  return { body: Buffer.concat(chunks), size: end + 4, trailers: readFields(rest.subarray(at, end).toString("latin1").split("\r\n")) };
}

export const valuesOf = (head: RawHead, name: string): string[] =>
  head.fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
