// Owns how often something may happen: a bucket that leaks with time. By rate, not by total: an honest connection may live long.

export class RateMeter {
  private level = 0;
  private lastMs = 0;
  private readonly burst: number;
  private readonly perMs: number;

  /** @param burst at once @param perSecond for ever */
  constructor(burst: number, perSecond: number) {
    this.burst = burst;
    this.perMs = perSecond / 1000;
  }

  /** It happens. @returns false when it happens too often */
  take(nowMs: number): boolean {
    this.level = Math.max(0, this.level - (nowMs - this.lastMs) * this.perMs) + 1;
    this.lastMs = nowMs;
    return this.level <= this.burst;
  }

  /** We have given reason for so many more. */
  credit(count: number): void {
    this.level = Math.max(0, this.level - count);
  }
}
