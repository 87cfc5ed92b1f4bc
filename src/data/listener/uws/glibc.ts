// Owns one repair: making a uWebSockets.js Linux build that asks for GLIBC_2.38 loadable on an older glibc.
// Pure bytes to bytes; must never guess: anything it does not fully recognise is an error and nothing is changed.

/** The version the builds ask for, and that older systems lack. */
export const GLIBC_WANTED = "GLIBC_2.38";

/** The base version of the C library's first symbols, by `process.arch`: what `strtol` and the others have always been bound to. */
const GLIBC_BASE: Readonly<Record<string, string>> = { x64: "GLIBC_2.2.5", arm64: "GLIBC_2.17" };

/** ELF `e_machine` by `process.arch`. */
const ELF_MACHINE: Readonly<Record<string, number>> = { x64: 62, arm64: 183 };

/**
 * The C23 variants that a newer compiler picks. They differ from the plain functions only in accepting `0b` literals, and the plain
 * name is the tail of the same string: `__isoc23_strtol` + 9 is `strtol`.
 */
const ISOC23_SYMBOLS: ReadonlySet<string> = new Set(["__isoc23_strtol", "__isoc23_strtoul", "__isoc23_sscanf"]);
const ISOC23_PREFIX_LENGTH = "__isoc23_".length;

// ELF-64 numbers (System V gABI and the GNU symbol versioning extension of the Linux Standard Base).
const SHT_DYNSYM = 11;
const SHT_GNU_VERNEED = 0x6ffffffe;
const SHT_GNU_VERSYM = 0x6fffffff;
const SECTION_HEADER_BYTES = 64;
const SYMBOL_BYTES = 24;
const VER_FLG_WEAK = 2;
const VERSYM_INDEX_MASK = 0x7fff;
/** More than any real file has; stops a corrupt chain from looping. */
const VERNEED_ENTRIES_MAX = 1024;

/** The file is not what we know how to repair. The message says what was unexpected. */
export class ElfError extends Error {
  override readonly name = "ElfError";
}

interface Section {
  readonly offset: number;
  readonly size: number;
  readonly link: number;
}

interface VersionNeed {
  /** Index that `.gnu.version` uses for this version. */
  readonly index: number;
  readonly version: string;
  readonly library: string;
  /** Where `vna_flags` stands in the file. */
  readonly flagsAt: number;
}

/**
 * @param file a whole `.node` file (ELF-64, little endian).
 * @param arch `process.arch` it was built for.
 * @returns a repaired copy; equal bytes when there is nothing (left) to repair, so applying it twice changes nothing more.
 * @throws ElfError when the file is not such an ELF, or asks for something else of GLIBC_2.38 than the three known symbols.
 */
export function patchGlibc(file: Buffer, arch: string): Buffer {
  try {
    return patch(Buffer.from(file), arch);
  } catch (error) {
    // A read beyond the end is how a cut or corrupt file shows itself.
    if (error instanceof RangeError) throw new ElfError("the file is cut short or its tables point outside it");
    throw error;
  }
}

function patch(elf: Buffer, arch: string): Buffer {
  const sections = readSections(elf, arch);
  const symbols = only(sections, SHT_DYNSYM, ".dynsym");
  const versym = only(sections, SHT_GNU_VERSYM, ".gnu.version");
  const verneed = only(sections, SHT_GNU_VERNEED, ".gnu.version_r");
  const strings = linked(sections, symbols);
  const needs = readVersionNeeds(elf, verneed, linked(sections, verneed));

  const wanted = needs.filter((n) => n.version === GLIBC_WANTED);
  if (wanted.length === 0) return elf;
  const base = needs.find((n) => n.version === GLIBC_BASE[arch] && n.library === "libc.so.6");
  if (base === undefined) throw new ElfError(`no ${GLIBC_BASE[arch]} of libc.so.6 to bind to`);
  const wantedIndexes = new Set(wanted.map((n) => n.index));

  const count = symbols.size / SYMBOL_BYTES;
  if (versym.size !== count * 2) throw new ElfError(".gnu.version and .dynsym differ in length");
  for (let i = 0; i < count; i++) {
    const versionAt = versym.offset + 2 * i;
    if (!wantedIndexes.has(elf.readUInt16LE(versionAt) & VERSYM_INDEX_MASK)) continue;
    const nameAt = symbols.offset + SYMBOL_BYTES * i;
    const nameOffset = elf.readUInt32LE(nameAt);
    const name = readString(elf, strings, nameOffset);
    if (!ISOC23_SYMBOLS.has(name)) throw new ElfError(`it needs ${name} of ${GLIBC_WANTED}, which has no older equivalent known here`);
    elf.writeUInt32LE(nameOffset + ISOC23_PREFIX_LENGTH, nameAt);
    elf.writeUInt16LE(base.index, versionAt);
  }
  for (const need of wanted) elf.writeUInt16LE(elf.readUInt16LE(need.flagsAt) | VER_FLG_WEAK, need.flagsAt);
  return elf;
}

function readSections(elf: Buffer, arch: string): ReadonlyArray<Section & { readonly type: number }> {
  if (elf.length < 64 || elf.toString("latin1", 0, 4) !== "\x7fELF") throw new ElfError("not an ELF file");
  if (elf[4] !== 2 || elf[5] !== 1) throw new ElfError("not a 64-bit little-endian ELF file");
  if (ELF_MACHINE[arch] === undefined || elf.readUInt16LE(18) !== ELF_MACHINE[arch]) throw new ElfError(`not built for ${arch}`);
  const table = offset(elf, 40);
  const count = elf.readUInt16LE(60);
  if (elf.readUInt16LE(58) !== SECTION_HEADER_BYTES || count === 0) throw new ElfError("no section headers");
  return Array.from({ length: count }, (_, i) => {
    const at = table + i * SECTION_HEADER_BYTES;
    return { type: elf.readUInt32LE(at + 4), offset: offset(elf, at + 24), size: offset(elf, at + 32), link: elf.readUInt32LE(at + 40) };
  });
}

function readVersionNeeds(elf: Buffer, verneed: Section, strings: Section): VersionNeed[] {
  const needs: VersionNeed[] = [];
  for (let at = verneed.offset; ; ) {
    const library = readString(elf, strings, elf.readUInt32LE(at + 4));
    for (let entry = at + elf.readUInt32LE(at + 8), left = elf.readUInt16LE(at + 2); left > 0; left--) {
      if (needs.length >= VERNEED_ENTRIES_MAX) throw new ElfError(".gnu.version_r has no end");
      const version = readString(elf, strings, elf.readUInt32LE(entry + 8));
      needs.push({ index: elf.readUInt16LE(entry + 6) & VERSYM_INDEX_MASK, version, library, flagsAt: entry + 4 });
      entry += elf.readUInt32LE(entry + 12);
    }
    const next = elf.readUInt32LE(at + 12);
    if (next === 0) return needs;
    at += next;
    if (needs.length >= VERNEED_ENTRIES_MAX) throw new ElfError(".gnu.version_r has no end");
  }
}

function only(sections: ReadonlyArray<Section & { readonly type: number }>, type: number, name: string): Section {
  const [found, second] = sections.filter((s) => s.type === type);
  if (found === undefined || second !== undefined) throw new ElfError(`expected exactly one ${name} section`);
  return found;
}

function linked(sections: readonly Section[], section: Section): Section {
  const found = sections[section.link];
  if (found === undefined) throw new ElfError("a section links to one that does not exist");
  return found;
}

function readString(elf: Buffer, strings: Section, at: number): string {
  const start = strings.offset + at;
  const end = elf.indexOf(0, start);
  if (at >= strings.size || end === -1 || end >= strings.offset + strings.size) throw new ElfError("a name lies outside the string table");
  return elf.toString("latin1", start, end);
}

/** A 64-bit offset or size; beyond 2^32 it cannot be inside a file we hold in memory. */
function offset(elf: Buffer, at: number): number {
  if (elf.readUInt32LE(at + 4) !== 0) throw new ElfError("an offset lies outside the file");
  return elf.readUInt32LE(at);
}
