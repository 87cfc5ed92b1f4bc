// Owns what goes into dist/ beside the bundles, so that nothing but Node is needed to run it: the native module, of this platform only, and the licences of
// what is bundled.
import fs from "node:fs";
import path from "node:path";
import type { Metafile } from "esbuild";

export const NATIVE = "uWebSockets.js";
const LICENSE_NAME = /^(licen[cs]e|copying|notice)/i;

/** The native module for this system and this Node; each is 7 MB. @param packages node_modules */
export function writeNative(out: string, packages: string): void {
  const from = path.join(packages, NATIVE);
  const to = path.join(out, NATIVE);
  const binary = `uws_${process.platform}_${process.arch}_${process.versions.modules}.node`;
  if (!fs.existsSync(path.join(from, binary))) return; // it is said when the gateway is run
  fs.mkdirSync(to);
  for (const name of ["package.json", "uws.js", binary, ...licences(from)]) fs.copyFileSync(path.join(from, name), path.join(to, name));
}

/** @param inputs of all bundles, relative to `root` */
export function writeLicences(out: string, root: string, inputs: readonly Metafile["inputs"][]): void {
  const directories = inputs.flatMap((each) => Object.keys(each).flatMap((file) => packageOf(file) ?? []));
  const texts = [...new Set(directories)].sort().map((directory) => {
    const at = path.resolve(root, directory);
    const { name, version, license } = JSON.parse(fs.readFileSync(path.join(at, "package.json"), "utf8"));
    const text = licences(at).map((file) => fs.readFileSync(path.join(at, file), "utf8").trim());
    return `${name} ${version} (${license})\n\n${text.join("\n\n")}\n`;
  });
  fs.writeFileSync(path.join(out, "LICENSES.txt"), texts.join(`\n${"-".repeat(80)}\n\n`));
}

const licences = (directory: string): string[] => fs.readdirSync(directory).filter((name) => LICENSE_NAME.test(name));

/** The directory of the package that a file is of. */
const packageOf = (file: string): string | null => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? null;
