// Owns decoding of field blocks (RFC 7541) and the dynamic table that goes with it. A block is decoded to its end whatever it holds, or the table would
// be out of step with the peer's. Must never hold more than the table's size and one block's section.
import { HeaderSection } from "./header-section.ts";
import { type HpackField, isValueBytes, kindOfName, STATIC_TABLE } from "./hpack-fields.ts";
import { decodeHuffman } from "./huffman.ts";
import { FIELD_OVERHEAD_BYTES } from "./protocol.ts";

const STATIC_FIELDS = STATIC_TABLE.length - 1;
/** Table size updates at the beginning of a block: two say all (RFC 7541 section 4.2). */
const SIZE_UPDATES_MAX = 2;
/** An integer beyond this is none that could be meant: no string and no table is so large (RFC 7541 section 5.1). */
const INTEGER_MAX = 0x0fffffff;
/** Blocks whose section is remembered, bytes. */
const REMEMBERED_BYTES_MAX = 1024;

/** Where Huffman strings are decoded to: of all connections of the thread. */
let scratch = Buffer.allocUnsafeSlow(8 * 1024);

export class HpackDecoder {
  private readonly tableBytesMax: number;
  private readonly sectionBytesMax: number;
  private tableBytesLimit: number;
  private tableBytes = 0;
  /** A ring: the newest at `newest`, older ones at lower places. */
  private ring: (HpackField | null)[] = [];
  private mask = -1;
  private newest = 0;
  private count = 0;
  // Of the block that is being decoded.
  private source: Buffer = scratch;
  private at = 0;
  private end = 0;
  private changed = false;
  private badValue = false;
  // The last block that left the table alone, and what it says.
  private lastBlock: Buffer | null = null;
  private lastLength = -1;
  private lastSection: HeaderSection | null = null;

  /**
   * @param tableBytesMax as our SETTINGS_HEADER_TABLE_SIZE says
   * @param sectionBytesMax of a decoded section: names, values and 32 bytes a field
   */
  constructor(tableBytesMax: number, sectionBytesMax: number) {
    this.tableBytesMax = this.tableBytesLimit = tableBytesMax;
    this.sectionBytesMax = sectionBytesMax;
  }

  /**
   * @param source lent
   * @returns what the whole block says, the same object as before for a block that is equal to the last one: read only. null: COMPRESSION_ERROR, and nothing
   * more can be decoded.
   */
  decode(source: Buffer, from: number, to: number): HeaderSection | null {
    if (this.isLast(source, from, to)) return this.lastSection;
    const section = new HeaderSection(this.sectionBytesMax);
    this.source = source;
    this.at = from;
    this.end = to;
    this.changed = false;
    const sound = this.readSizeUpdates() && this.readFields(section);
    this.source = scratch; // what was lent is not held
    if (!sound) return null;
    if (this.changed) this.lastLength = -1;
    else this.remember(source, from, to, section);
    return section;
  }

  private isLast(source: Buffer, from: number, to: number): boolean {
    const { lastBlock, lastLength } = this;
    if (lastBlock === null || lastLength !== to - from) return false;
    for (let i = 0; i < lastLength; i++) if (source[from + i] !== lastBlock[i]) return false;
    return true;
  }

  private remember(source: Buffer, from: number, to: number, section: HeaderSection): void {
    if (to - from > REMEMBERED_BYTES_MAX) {
      this.lastLength = -1;
      return;
    }
    if (this.lastBlock === null || this.lastBlock.length < to - from) this.lastBlock = Buffer.allocUnsafeSlow(2 * (to - from));
    for (let i = from; i < to; i++) this.lastBlock[i - from] = source[i]!; // in range
    this.lastLength = to - from;
    this.lastSection = section;
  }

  private readSizeUpdates(): boolean {
    for (let updates = 0; this.at < this.end && (this.source[this.at]! & 0xe0) === 0x20; updates++) {
      const size = this.readInteger(5);
      if (size < 0 || size > this.tableBytesMax || updates >= SIZE_UPDATES_MAX) return false;
      this.changed = true;
      this.tableBytesLimit = size;
      this.evict(size);
    }
    return true;
  }

  private readFields(section: HeaderSection): boolean {
    while (this.at < this.end) {
      const first = this.source[this.at]!; // in range
      if ((first & 0x80) !== 0) {
        const field = this.fieldAt(this.readInteger(7));
        if (field === null) return false;
        section.add(field.name, field.value, field.kind, field.badValue);
      } else if ((first & 0x40) !== 0) {
        if (!this.readLiteral(section, 6, true)) return false;
      } else if ((first & 0x20) !== 0)
        return false; // a size update behind a field (RFC 7541 section 4.2)
      else if (!this.readLiteral(section, 4, false)) return false;
    }
    return true;
  }

  private readLiteral(section: HeaderSection, prefixBits: number, indexed: boolean): boolean {
    const index = this.readInteger(prefixBits);
    if (index < 0) return false;
    let name: string | null;
    let kind: number;
    if (index === 0) {
      name = this.readString();
      if (name === null) return false;
      kind = kindOfName(name);
    } else {
      const named = this.fieldAt(index);
      if (named === null) return false;
      ({ name, kind } = named);
    }
    const value = this.readString();
    if (value === null) return false;
    const { badValue } = this;
    section.add(name, value, kind, badValue);
    if (indexed) this.insert({ name, value, kind, badValue, size: name.length + value.length + FIELD_OVERHEAD_BYTES });
    return true;
  }

  /** RFC 7541 section 5.1. @returns -1 when it is cut short or too large */
  private readInteger(prefixBits: number): number {
    const { source, end } = this;
    if (this.at >= end) return -1;
    const prefix = (1 << prefixBits) - 1;
    let value = source[this.at++]! & prefix; // in range
    if (value < prefix) return value;
    for (let shift = 0; shift <= 28; shift += 7) {
      if (this.at >= end) return -1;
      const byte = source[this.at++]!; // in range
      value += (byte & 127) * 2 ** shift;
      if (value > INTEGER_MAX) return -1;
      if (byte < 128) return value;
    }
    return -1;
  }

  /** RFC 7541 section 5.2. Says in `badValue` whether it could be a field's value. @returns null when it is cut short or no such code */
  private readString(): string | null {
    if (this.at >= this.end) return null;
    const huffman = (this.source[this.at]! & 0x80) !== 0;
    const length = this.readInteger(7);
    if (length < 0 || length > this.end - this.at) return null;
    const from = this.at;
    this.at += length;
    if (!huffman) {
      this.badValue = !isValueBytes(this.source, from, this.at);
      return this.source.toString("latin1", from, this.at);
    }
    if (2 * length > scratch.length) scratch = Buffer.allocUnsafeSlow(2 * length);
    const written = decodeHuffman(this.source, from, this.at, scratch);
    if (written < 0) return null;
    this.badValue = !isValueBytes(scratch, 0, written);
    return scratch.toString("latin1", 0, written);
  }

  // --- The dynamic table ---

  private fieldAt(index: number): HpackField | null {
    if (index <= 0) return null;
    if (index <= STATIC_FIELDS) return STATIC_TABLE[index] as HpackField; // in range
    const age = index - STATIC_FIELDS - 1;
    return age < this.count ? (this.ring[(this.newest - age) & this.mask] as HpackField) : null; // a place that is taken
  }

  /** RFC 7541 section 4.4: what does not fit empties the table. */
  private insert(field: HpackField): void {
    this.changed = true;
    this.evict(this.tableBytesLimit - field.size);
    if (field.size > this.tableBytesLimit) return;
    if (this.count > this.mask) this.grow();
    this.newest = (this.newest + 1) & this.mask;
    this.ring[this.newest] = field;
    this.count++;
    this.tableBytes += field.size;
  }

  /** Drops the oldest until at most so many bytes are left. */
  private evict(bytes: number): void {
    while (this.count > 0 && this.tableBytes > bytes) {
      const place = (this.newest - this.count + 1) & this.mask;
      this.tableBytes -= (this.ring[place] as HpackField).size; // taken
      this.ring[place] = null;
      this.count--;
    }
  }

  private grow(): void {
    const length = Math.max(16, 2 * this.ring.length);
    const grown = new Array<HpackField | null>(length).fill(null);
    for (let i = 0; i < this.count; i++) grown[i] = this.ring[(this.newest - this.count + 1 + i) & this.mask] as HpackField; // taken
    this.ring = grown;
    this.mask = length - 1;
    this.newest = this.count - 1; // -1 for an empty one: the next goes to 0
  }
}
