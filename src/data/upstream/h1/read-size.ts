// Owns how much a connection reads at once from a plain TCP socket: little, until a long body fills that, then much, as long as its client keeps up.
// The buffers serve all connections of the thread: what is read is used up before the next read.

/** One read, bytes. */
export const READ_BYTES = 64 * 1024;
/** One read of a long body. Eight times as much at once makes a MiB a quarter cheaper. */
export const LONG_READ_BYTES = 512 * 1024;
/**
 * Connections of a thread that may read so much at once: while their responses go on, clients can so make it hold 32 MiB that they have not taken.
 * A response that is over no longer counts: its last read, of which the client may not have taken anything yet, comes on top.
 */
export const LONG_READERS_MAX = 64;

const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
let longBuffer: Buffer | null = null;
let longReaders = 0;

/** Of one connection. Each response begins with small reads. */
export class ReadSize {
  private long = false;
  /** This response's client has been too slow. */
  private slow = false;

  /** @returns where the next read goes: for net.OnReadOpts.buffer, which is called before the first read and after each */
  next(): Buffer {
    return this.long ? (longBuffer ??= Buffer.allocUnsafeSlow(LONG_READ_BYTES)) : buffer;
  }

  /** @param bytes that have come in one read */
  read(bytes: number): void {
    if (bytes !== READ_BYTES || this.long || this.slow || longReaders >= LONG_READERS_MAX) return;
    this.long = true;
    longReaders++;
  }

  /** The client does not take what has been read. */
  heldUp(): void {
    this.slow = true;
  }

  /** It has taken it. */
  wentOn(): void {
    this.leave();
  }

  /** The response is over, or the connection. */
  over(): void {
    this.slow = false;
    this.leave();
  }

  private leave(): void {
    if (!this.long) return;
    this.long = false;
    longReaders--;
  }
}
