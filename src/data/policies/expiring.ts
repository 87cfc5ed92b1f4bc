// Owns values that a worker remembers for a while, by key, in a bounded number. Must never give one back beyond its time.

/** Values that end by themselves. When it is full the one that was set first goes. */
export class Expiring<V> {
  private readonly entries = new Map<string, { readonly value: V; readonly untilMs: number }>();
  private readonly max: number;

  constructor(max: number) {
    this.max = max;
  }

  get(key: string, nowMs: number): V | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    if (nowMs < entry.untilMs) return entry.value;
    this.entries.delete(key);
    return undefined;
  }

  set(key: string, value: V, untilMs: number): void {
    this.entries.delete(key); // so that it stands last
    if (this.entries.size >= this.max) {
      const [oldest] = this.entries.keys();
      if (oldest !== undefined) this.entries.delete(oldest);
    }
    this.entries.set(key, { value, untilMs });
  }

  delete(key: string): void {
    this.entries.delete(key);
  }
}
