// Owns holding back a response until its body is there whole, and giving it to a policy of the user's own to change. Must never let a byte of the old body out.
import { getHeader, removeHeaders } from "../../../base/header-list.ts";
import type { ResponseHead } from "../../exchange/policy.ts";
import { PassingFilter, type ResponseFilter } from "../../exchange/response-filter.ts";

/** Bytes of bodies that the policies of one worker may hold at once. */
export const HELD_BYTES_MAX = 128 * 1024 ** 2;
let heldBytes = 0;

/** What is said of the old body, and not true of another. */
const OF_THE_BODY: ReadonlySet<string> = new Set([
  "accept-ranges",
  "content-digest",
  "content-md5",
  "digest",
  "etag",
  "repr-digest",
  "signature",
  "signature-input",
]);

interface Change {
  /** May throw. */
  change(body: Buffer): unknown;
  /** Tells of a failure. @returns what stands for it */
  failed(error: unknown): Error;
}

/** @returns why the body cannot be changed; '' when it can */
export function bodyRefusal({ status, headers, length, hasBody }: ResponseHead, maxBytes: number): string {
  if (!hasBody) return "";
  const coding = getHeader(headers, "content-encoding");
  if (coding !== undefined && coding.trim().toLowerCase() !== "identity")
    return `the upstream sent the body in a coding (${coding}), though it was not to`;
  if (status === 206) return "the upstream sent a part of the body (206), though the whole was asked for";
  return length > maxBytes ? tooLong(maxBytes) : "";
}

const tooLong = (maxBytes: number): string => `the body is longer than the ${maxBytes} bytes of maxBytes`;

export class WholeBodyFilter extends PassingFilter {
  readonly #maxBytes: number;
  readonly #change: Change;
  #head: ResponseHead | null = null;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #over = false;

  private constructor(maxBytes: number, change: Change) {
    super();
    this.#maxBytes = maxBytes;
    this.#change = change;
  }

  /** @returns null when there is no body to change: what the head says of it goes all the same */
  static open(head: ResponseHead, maxBytes: number, change: Change): ResponseFilter | null {
    removeHeaders(head.headers, (name) => OF_THE_BODY.has(name));
    if (head.hasBody) return new WholeBodyFilter(maxBytes, change);
    head.length = -1;
    return null;
  }

  override head(head: ResponseHead): void {
    this.#head = head;
  }

  override data(chunk: Uint8Array): boolean {
    if (this.#over) return true;
    this.#bytes += chunk.length;
    heldBytes += chunk.length;
    if (this.#bytes > this.#maxBytes) this.#fail(new Error(tooLong(this.#maxBytes)));
    else if (heldBytes > HELD_BYTES_MAX)
      this.#fail(new Error(`the policies of this worker hold ${HELD_BYTES_MAX} bytes of bodies already`));
    else this.#chunks.push(Buffer.from(chunk)); // lent: its memory is used again
    return true;
  }

  override end(): void {
    const head = this.#head;
    if (this.#over || head === null) return;
    const body = Buffer.concat(this.#chunks);
    this.#free();
    let changed: Buffer;
    try {
      changed = bytesOf(this.#change.change(body));
    } catch (error) {
      return this.#fail(error);
    }
    head.length = changed.length;
    this.next.head(head);
    if (changed.length > 0) this.next.data(changed);
    this.next.end(null); // the trailers were those of the old body
  }

  override abort(): void {
    this.#free();
  }

  #fail(error: unknown): void {
    this.#free();
    this.source.failed(this.#change.failed(error));
  }

  #free(): void {
    this.#over = true;
    this.#chunks = [];
    heldBytes -= this.#bytes;
    this.#bytes = 0;
  }
}

function bytesOf(changed: unknown): Buffer {
  if (typeof changed === "string") return Buffer.from(changed, "utf8");
  if (changed instanceof Uint8Array) return Buffer.from(changed.buffer, changed.byteOffset, changed.byteLength);
  throw new TypeError(`\`change\` gave ${typeof changed}, and has to give text or bytes`);
}
