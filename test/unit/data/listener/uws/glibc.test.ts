// Holds the glibc repair to: recognises the real builds, is idempotent, changes nothing it does not understand.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { ElfError, GLIBC_WANTED, patchGlibc } from "../../../../../src/data/listener/uws/glibc.ts";

const packageDirectory = path.dirname(createRequire(import.meta.url).resolve("uWebSockets.js"));
const build = (arch: string): Buffer => fs.readFileSync(path.join(packageDirectory, `uws_linux_${arch}_137.node`));

/** Byte ranges in which two equally long buffers differ, nearby changes joined. */
function changedRanges(a: Buffer, b: Buffer): number {
  let ranges = 0;
  let last = -100;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue;
    if (i - last > 4) ranges++;
    last = i;
  }
  return ranges;
}

describe.each([
  { arch: "x64", symbols: 3 },
  { arch: "arm64", symbols: 2 }, // does not use sscanf
])("the $arch build", ({ arch, symbols }) => {
  const original = build(arch);
  const patched = patchGlibc(original, arch);

  it("changes a name and a version for each symbol, one flag, and nothing else", () => {
    expect(patched.length).toBe(original.length);
    expect(changedRanges(original, patched)).toBe(2 * symbols + 1);
  });

  it("leaves its input alone", () => {
    expect(original.equals(build(arch))).toBe(true);
  });

  it("is idempotent", () => {
    expect(patchGlibc(patched, arch).equals(patched)).toBe(true);
  });

  it("refuses a symbol of that version that it does not know", () => {
    const name = original.indexOf("__isoc23_strtoul\0");
    const other = Buffer.from(original);
    other.write("__isoc42", name, "latin1");
    expect(() => patchGlibc(other, arch)).toThrow(new RegExp(`__isoc42_strtoul of ${GLIBC_WANTED}`));
  });

  it("refuses the build of another architecture", () => {
    expect(() => patchGlibc(original, arch === "x64" ? "arm64" : "x64")).toThrow(ElfError);
  });

  it("refuses every cut of the file", () => {
    for (const length of [0, 3, 63, 64, 4096, 200_000, original.length - 64]) {
      expect(() => patchGlibc(original.subarray(0, length), arch), `${length} bytes`).toThrow(ElfError);
    }
  });
});

describe("garbage", () => {
  const changed = (at: number, ...bytes: number[]): Buffer => {
    const copy = build("x64");
    copy.set(bytes, at);
    return copy;
  };
  it.each<[string, () => Buffer, RegExp]>([
    ["text", () => Buffer.from("module.exports = 1;".repeat(10)), /not an ELF/],
    ["zeros", () => Buffer.alloc(10_000), /not an ELF/],
    ["a 32-bit ELF", () => changed(4, 1), /64-bit/],
    ["a big-endian ELF", () => changed(5, 2), /little-endian/],
    ["a section table beyond the end", () => changed(40, 0xff, 0xff, 0xff, 0x7f), /outside/],
    ["a section table beyond 4 GiB", () => changed(44, 1), /outside/],
    ["no sections", () => changed(60, 0, 0), /section/],
    ["headers of another size", () => changed(58, 40, 0), /section/],
  ])("%s", (_, make, message) => {
    expect(() => patchGlibc(make(), "x64")).toThrow(message);
    expect(() => patchGlibc(make(), "x64")).toThrow(ElfError);
  });
});
