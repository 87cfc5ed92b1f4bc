// Owns where access-log lines go (standard output or a file) and what happens when that place is slow: lines are dropped
// and counted, never waited for. Must never block the primary on a reader, and never write half a line between two others.
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { Writable } from "node:stream";
import { OperatorError } from "../base/errors.ts";

/** Bytes that may wait for a slow sink; some 20000 lines. */
export const SINK_BUFFER_BYTES_MAX = 8 * 1024 * 1024;
const FILE_MODE = 0o640;
/** Time (ms) between two tries to open a file. */
const OPEN_RETRY_MS = 5000;

export interface LogSink {
  /**
   * Takes whole lines.
   * @param lines as many as `records`, each ending in a line feed; the sink owns the bytes from now on
   * @returns false when they were dropped
   */
  write(lines: Buffer, records: number): boolean;
  /** Records dropped so far. */
  readonly dropped: number;
  /** The last failure of the sink, for the gateway's log; null when the last write went well. */
  readonly failure: string | null;
  /** Open the file anew: after it was moved away by log rotation. Nothing to do for standard output. */
  reopen(): Promise<void>;
  /** Write out what waits, at most timeoutMs long, then let go. */
  close(timeoutMs: number): Promise<void>;
}

/** @param file a path, or `stdout`. @throws OperatorError when the file cannot be opened for appending. */
export async function openLogSink(file: string): Promise<LogSink> {
  // Standard output is written through its own descriptor, whatever it is: the supervisor writes there too, and a second
  // opening of the same file would have an offset of its own. Not by fs.write: on a pipe that nobody reads it would hold a
  // thread of the pool, and the process could not exit.
  return file === "stdout" ? new StreamSink(process.stdout) : FileSink.open(file);
}

/** As {@link openLogSink}, but a file that cannot be opened is tried again until it can: lines wait for it, as for a slow one. */
export async function openLogSinkLater(file: string): Promise<LogSink> {
  return file === "stdout" ? new StreamSink(process.stdout) : FileSink.openLater(file);
}

/** Lines to standard output. A failure (reader gone, disk full) is for good: a log that must survive those belongs in a file. */
export class StreamSink implements LogSink {
  dropped = 0;
  failure: string | null = null;
  private readonly stream: Writable;
  private readonly bufferBytesMax: number;
  private broken = false;

  constructor(stream: Writable, bufferBytesMax = SINK_BUFFER_BYTES_MAX) {
    this.stream = stream;
    this.bufferBytesMax = bufferBytesMax;
    stream.on("error", this.failed);
  }

  write(lines: Buffer, records: number): boolean {
    if (!this.broken && this.stream.writableLength + lines.length <= this.bufferBytesMax) {
      this.stream.write(lines);
      return true;
    }
    this.dropped += records;
    return false;
  }

  async reopen(): Promise<void> {}

  close(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.broken) return resolve();
      const timer = setTimeout(resolve, timeoutMs);
      this.stream.write("", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** The reader went away (EPIPE): there is nobody to write to any more. */
  private readonly failed = (error: Error): void => {
    this.broken = true;
    this.failure = error.message;
  };
}

/** Lines appended to a file, one write under way at a time. */
export class FileSink implements LogSink {
  dropped = 0;
  failure: string | null = null;
  private readonly path: string;
  private readonly bufferBytesMax: number;
  /** null: it could not be opened yet. */
  private handle: FileHandle | null;
  private retry: NodeJS.Timeout | null = null;
  private waiting: { lines: Buffer; records: number }[] = [];
  private waitingBytes = 0;
  private writing: Promise<void> | null = null;
  private closed = false;

  private constructor(path: string, handle: FileHandle | null, bufferBytesMax: number) {
    this.path = path;
    this.handle = handle;
    this.bufferBytesMax = bufferBytesMax;
  }

  /** @throws OperatorError */
  static async open(path: string, bufferBytesMax = SINK_BUFFER_BYTES_MAX): Promise<FileSink> {
    return new FileSink(path, await openForAppend(path), bufferBytesMax);
  }

  /** Tries again every retryMs as long as it cannot be opened. */
  static async openLater(path: string, { bufferBytesMax = SINK_BUFFER_BYTES_MAX, retryMs = OPEN_RETRY_MS } = {}): Promise<FileSink> {
    const sink = new FileSink(path, null, bufferBytesMax);
    await sink.tryToOpen(retryMs);
    return sink;
  }

  write(lines: Buffer, records: number): boolean {
    if (this.waitingBytes + lines.length > this.bufferBytesMax) {
      this.dropped += records;
      return false;
    }
    this.waiting.push({ lines, records });
    this.waitingBytes += lines.length;
    if (this.handle !== null) this.writing ??= this.writeOut(this.handle);
    return true;
  }

  async reopen(): Promise<void> {
    const fresh = await openForAppend(this.path);
    // Between two writes: what was begun on the old file ends there.
    while (this.writing !== null) await this.writing;
    const old = this.handle;
    this.use(fresh);
    await old?.close();
  }

  private use(handle: FileHandle): void {
    if (this.retry !== null) clearTimeout(this.retry);
    this.retry = null;
    if (this.handle === null) this.failure = null;
    this.handle = handle;
    if (this.waiting.length > 0) this.writing = this.writeOut(handle);
  }

  private async tryToOpen(retryMs: number): Promise<void> {
    try {
      const handle = await openForAppend(this.path);
      if (this.handle !== null || this.closed) return await handle.close(); // a reopen was quicker
      this.use(handle);
    } catch (error) {
      if (this.handle !== null || this.closed) return;
      this.failure = error instanceof Error ? error.message : String(error);
      this.retry = setTimeout(() => void this.tryToOpen(retryMs), retryMs).unref();
    }
  }

  async close(timeoutMs: number): Promise<void> {
    this.closed = true;
    if (this.retry !== null) clearTimeout(this.retry);
    const deadline = new Promise<void>((resolve) => setTimeout(resolve, timeoutMs).unref());
    if (this.writing !== null) await Promise.race([this.writing, deadline]);
    if (this.handle !== null) await Promise.race([this.handle.close().catch(() => {}), deadline]);
  }

  /** Writes until nothing waits. Never rejects: what cannot be written (disk full) is dropped and counted. */
  private async writeOut(handle: FileHandle): Promise<void> {
    while (this.waiting.length > 0) {
      const batch = this.waiting;
      const bytes = this.waitingBytes;
      this.waiting = [];
      try {
        await handle.appendFile(Buffer.concat(batch.map((b) => b.lines)));
        this.failure = null;
      } catch (error) {
        this.failure = error instanceof Error ? error.message : String(error);
        for (const { records } of batch) this.dropped += records;
      }
      this.waitingBytes -= bytes;
    }
    this.writing = null;
  }
}

async function openForAppend(path: string): Promise<FileHandle> {
  try {
    // Not blocking: opening a FIFO without a reader fails instead of hanging.
    const handle = await open(path, constants.O_APPEND | constants.O_CREAT | constants.O_WRONLY | constants.O_NONBLOCK, FILE_MODE);
    const stat = await handle.stat();
    if (stat.isFIFO() || stat.isSocket()) {
      await handle.close();
      throw new OperatorError(`log file ${path} is a pipe or a socket; use \`stdout\` and pipe that`);
    }
    return handle;
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new OperatorError(`cannot open the log file ${path}: ${reason}; check that the directory exists and is writable`);
  }
}
