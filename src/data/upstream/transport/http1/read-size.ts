// Owns how much a connection reads at once from a plain TCP socket: little, until a long body fills that, then much, as long as its client keeps up.
// Only bodies of known length: of those an exchange can tell when the client has taken them, which bounds what clients make a thread hold.
// The buffers serve all connections of the thread: what is read is used up before the next read.

/** One read, bytes. */
export const READ_BYTES = 64 * 1024;
/** One read of a long body. Eight times as much at once makes a MiB a quarter cheaper. */
export const LONG_READ_BYTES = 512 * 1024;
/** Responses of a thread that may be read so much at once, or of which the client has not taken such a read: 32 MiB that clients can make it hold. */
export const LONG_READERS_MAX = 64;

const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
let longBuffer: Buffer | null = null;
let longReaders = 0;

/** One of the {@link LONG_READERS_MAX}. Whoever holds it must leave it. */
export class LargeReadPermit {
  private held = true;

  constructor() {
    longReaders++;
  }

  /** Idempotent. */
  release(): void {
    if (this.held) longReaders--;
    this.held = false;
  }
}

/** Of one connection. Each response begins with small reads. */
export class ReadSize {
  private long: LargeReadPermit | null = null;
  /** Of this response. */
  private known = false;
  /** This response's client has been too slow. */
  private slow = false;
  /** It has not taken what was read last. */
  private waits = false;

  /** @param known the response has a body, and says how long it is */
  begins(known: boolean): void {
    this.known = known;
  }

  /** @returns where the next read goes: for net.OnReadOpts.buffer, which is called before the first read and after each */
  next(): Buffer {
    return this.long !== null ? (longBuffer ??= Buffer.allocUnsafeSlow(LONG_READ_BYTES)) : buffer;
  }

  /** @param bytes that have come in one read */
  read(bytes: number): void {
    if (bytes !== READ_BYTES || !this.known || this.long !== null || this.slow || longReaders >= LONG_READERS_MAX) return;
    this.long = new LargeReadPermit();
  }

  /** The client does not take what has been read. */
  clientPaused(): void {
    this.slow = true;
    this.waits = true;
  }

  /** It has taken it. */
  clientResumed(): void {
    this.waits = false;
    this.release();
  }

  /** The response is over. @returns what is to be left when the client has taken the last read; null when nothing is */
  ended(): LargeReadPermit | null {
    const untaken = this.waits ? this.long : null;
    if (untaken !== null) this.long = null;
    this.reset();
    return untaken;
  }

  /** The response is over, or the connection, and nobody waits for it. */
  reset(): void {
    this.known = false;
    this.slow = false;
    this.waits = false;
    this.release();
  }

  private release(): void {
    this.long?.release();
    this.long = null;
  }
}
