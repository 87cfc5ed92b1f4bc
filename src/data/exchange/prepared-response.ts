// Owns a whole response that is sent again and again: its head is put together once, for all requests that get the same but for their id. Engines keep its bytes here.
// Of one thread, one route of one plan, and one time: whoever keeps it sees to it that nothing in it has become untrue.
import type { HeaderList } from "../../base/header-list.ts";

/** A body that lies somewhere: its memory is looked at only when an engine needs it. */
export interface LyingBody {
  /** Bytes. */
  readonly length: number;
  /** Stays as it is until {@link release}. */
  readonly body: Buffer;
  release(): void;
}

/** An engine may copy a body of at most this behind the head. */
export const COPIED_BODY_BYTES_MAX = 2048;

export class PreparedResponse {
  readonly status: number;
  /** As it was for one request, after all policies. Nobody may change it. */
  readonly headers: HeaderList;
  /** Index in {@link headers} of the value that is each request's own id; -1: it has none. */
  readonly idAt: number;
  /** Of its body, bytes. */
  readonly length: number;
  /** What the engines have made of it; null: nothing yet, or nothing that could be used again. */
  uws: PreparedBytes | null = null;
  http1: PreparedBytes | null = null;

  constructor(status: number, headers: HeaderList, idAt: number, length: number) {
    this.status = status;
    this.headers = headers;
    this.idAt = idAt;
    this.length = length;
  }

  /** @param id of a request @param leavesOut a field that the engine writes itself; lowercase */
  fieldsFor(id: string, leavesOut = ""): PreparedFields {
    const { headers, idAt } = this;
    let lines = "";
    let at = -1;
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string; // pairs
      if (name === leavesOut) continue;
      if (i + 1 === idAt) at = lines.length + name.length + 2;
      lines += `${name}: ${i + 1 === idAt ? id : headers[i + 1]}\r\n`;
    }
    return { lines, idAt: at };
  }
}

/** A header section as text, a character a byte. */
export interface PreparedFields {
  /** Each with its CRLF. */
  readonly lines: string;
  /** Where the id stands in it; -1 for nowhere. */
  readonly idAt: number;
}

/** Up to here an id is written char by char, which is faster than a call. */
const CHARS_MAX = 48;

/** Bytes in which only the request's id changes from one response to the next. Must not be used again while a write that has not ended lies in them. */
export class PreparedBytes {
  /** Of Date; '' when it does not change. */
  readonly date: string;
  readonly #bytes: Buffer;
  readonly #idAt: number;
  readonly #idLength: number;

  /** @param text with the id, a character a byte @param idAt where the id stands; -1 for nowhere @param body behind it; null for none */
  constructor(text: string, idAt: number, idLength: number, rest: { readonly date: string; readonly body: Buffer | null }) {
    const { date, body } = rest;
    const bytes = Buffer.allocUnsafeSlow(text.length + (body?.length ?? 0));
    bytes.write(text, 0, "latin1");
    if (body !== null) bytes.set(body, text.length);
    this.date = date;
    this.#bytes = bytes;
    this.#idAt = idAt;
    this.#idLength = idAt < 0 ? -1 : idLength;
  }

  get length(): number {
    return this.#bytes.length;
  }

  /** @returns null when this id does not fit: then they have to be made anew */
  with(id: string): Buffer | null {
    const length = this.#idLength;
    if (length < 0) return this.#bytes;
    if (id.length !== length) return null;
    const bytes = this.#bytes;
    const at = this.#idAt;
    if (length > CHARS_MAX) bytes.write(id, at, "latin1");
    else for (let i = 0; i < length; i++) bytes[at + i] = id.charCodeAt(i);
    return bytes;
  }
}
