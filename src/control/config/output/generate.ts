// Owns writing config/sluice.schema.json and config/REFERENCE.md (`npm run generate`). Runs by hand; a test holds the files current.
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { editorSchema } from "./json-schema.ts";
import { referenceText } from "./reference.ts";

/** What the repository's config folder must hold: file name -> text. */
export function generatedFiles(): Readonly<Record<string, string>> {
  return { "sluice.schema.json": `${JSON.stringify(editorSchema(), null, 2)}\n`, "REFERENCE.md": referenceText() };
}

const FOLDER = resolve(import.meta.dirname, "../../../../config");

/** @returns the files that are not current. */
export function staleFiles(folder = FOLDER): readonly string[] {
  return Object.entries(generatedFiles()).flatMap(([name, text]) => (readText(resolve(folder, name)) === text ? [] : [name]));
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

if (import.meta.main) {
  for (const [name, text] of Object.entries(generatedFiles())) writeFileSync(resolve(FOLDER, name), text);
}
