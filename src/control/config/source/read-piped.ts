// Owns reading configurations that come through a pipe: `-c -` and `-c <(...)`. Each is read once, whole, within bounds, by the process that was called.
// Must never be used for anything but the argument of -c: no other file of the gateway may be a pipe.
import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { Readable } from "node:stream";
import { OperatorError } from "../../../base/errors.ts";
import { isPiped, NOT_PIPED, type PipedTexts, STDIN } from "./piped.ts";

/** Largest configuration, and longest time (ms) until its end. */
const BYTES_MAX = 16 * 1024 ** 2;
const READ_MS_MAX = 10_000;

/** Where `-c -` comes from. */
export interface StandardInput {
  readonly stdin: () => AsyncIterable<Uint8Array>;
}

/**
 * Reads those of the files that are pipes.
 * @throws OperatorError for one that is named twice, empty, too long, or takes too long
 */
export async function readPiped(files: readonly string[], io: StandardInput, readMsMax = READ_MS_MAX): Promise<PipedTexts> {
  const piped = files.filter(isPiped);
  if (piped.length === 0) return NOT_PIPED;
  const texts = new Map<string, Buffer>();
  for (const file of piped) {
    if (texts.has(file)) throw new OperatorError(`-c ${file}: named twice, and a pipe can be read only once`, 2);
    texts.set(file, await readWhole(file, file === STDIN ? io.stdin() : openPipe(file), readMsMax));
  }
  return texts;
}

/** Opening does not wait for a writer; reading does. */
function openPipe(file: string): Readable {
  return new Socket({ fd: openSync(file, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false });
}

async function readWhole(file: string, source: AsyncIterable<Uint8Array>, readMsMax: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const refuse = (problem: string): never => {
    throw new OperatorError(`-c ${file}: ${problem}`);
  };
  let length = 0;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), readMsMax);
  });
  try {
    const iterator = source[Symbol.asyncIterator]();
    for (;;) {
      const next = await Promise.race([iterator.next(), late]);
      if (next === null) return refuse(`the configuration has no end within ${readMsMax / 1000} s; whoever writes it must close the pipe`);
      if (next.done === true) break;
      length += next.value.length;
      if (length > BYTES_MAX) return refuse(`the configuration is larger than ${BYTES_MAX / 1024 ** 2} MiB`);
      chunks.push(next.value);
    }
  } finally {
    clearTimeout(timer);
    if (source instanceof Readable) source.destroy(); // an open one would keep the process
  }
  return length === 0 ? refuse("no configuration came through the pipe") : Buffer.concat(chunks);
}
