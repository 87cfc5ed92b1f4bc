// Sends a request's body as it arrives, as fast as the stream's windows and the wire take it, up to the length that was declared.
import type { Readable } from "node:stream";
import { ERROR_CODE } from "../../../../base/http2/protocol.ts";
import type { H2Call } from "./call.ts";

export class BodyPump {
  private done = false;
  private readonly source: Readable;
  private readonly call: H2Call;
  /** Bytes still to come; -1 for any number. */
  private remaining: number;

  constructor(source: Readable, call: H2Call, contentLength: number) {
    this.source = source;
    this.call = call;
    this.remaining = contentLength;
    source.on("data", (chunk: Buffer) => this.send(chunk));
    source.on("end", () => this.finish());
  }

  /** The stream has room again. */
  drained(): void {
    if (!this.done) this.source.resume();
  }

  /** Nobody wants the rest. */
  stop(): void {
    if (this.done) return;
    this.done = true;
    this.source.destroy();
  }

  private send(chunk: Buffer): void {
    if (this.done) return;
    if (this.remaining >= 0) {
      this.remaining -= chunk.length;
      if (this.remaining < 0) return this.broken("the body is longer than its Content-Length");
    }
    if (!this.call.write(chunk, false)) this.source.pause();
  }

  private finish(): void {
    if (this.done) return;
    if (this.remaining > 0) return this.broken("the body is shorter than its Content-Length");
    this.done = true;
    this.call.end(this.call.request.trailers?.() ?? null);
  }

  private broken(reason: string): void {
    this.call.reset(ERROR_CODE.cancel);
    this.call.failed({ code: "upstream_reset", unsent: false, reason });
  }
}
