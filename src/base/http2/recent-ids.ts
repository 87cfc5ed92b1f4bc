// Owns the identifiers of streams that were reset lately: a ring. What is older is forgotten.

/** Streams that are remembered. */
const IDS_MAX = 256;

export class RecentIds {
  private ids: Int32Array | null = null;
  private at = 0;

  add(id: number): void {
    this.ids ??= new Int32Array(IDS_MAX);
    this.ids[this.at] = id;
    this.at = (this.at + 1) % IDS_MAX;
  }

  has(id: number): boolean {
    return this.ids?.includes(id) === true;
  }
}
