// Owns following what a policy module imports, from file to file, within bounds, and giving each file an address that is of its content. Must never run any of it.
import { createHash } from "node:crypto";
import path from "node:path";
import { decodeUtf8 } from "../../../base/utf8.ts";
import { isModuleBuiltin, MODULE_BUILTINS, POLICY_SPECIFIER } from "../../../modules/importable.ts";
import { MODULE_SCHEME, type ModuleFilePlan } from "../../../plan/module-plan.ts";
import type { ConfigFiles } from "../source/files.ts";
import type { ConfigProblem, Position } from "../source/problem.ts";
import { MODULE_MS_MAX, type ModuleThread } from "./module-thread.ts";
import { placeOf } from "./place-of.ts";

/** Files of one module, it itself among them. */
export const MODULE_FILES_MAX = 64;
/** All of them together, bytes. */
export const MODULE_BYTES_MAX = 1024 ** 2;

const ENDING = /\.(ts|mts|js|mjs|json)$/;

interface SourceFile {
  /** Absolute. */
  readonly path: string;
  readonly source: string;
  readonly bytes: number;
  readonly isJson: boolean;
  /** As written -> absolute path; null for what is no file. */
  readonly imports: ReadonlyMap<string, string>;
}

/** @property url of the first file */
export type ModuleSources =
  | { readonly ok: true; readonly url: string; readonly files: readonly ModuleFilePlan[] }
  | { readonly ok: false; readonly problem: ConfigProblem };

class Refused extends Error {
  readonly problem: ConfigProblem;

  constructor(at: Position, message: string, remedy: string) {
    super(message);
    this.problem = { at, path: "", message, remedy };
  }
}

export class ModuleGraph {
  readonly #thread: ModuleThread;
  readonly #files: ConfigFiles;
  readonly #known = new Map<string, SourceFile>();
  /** Absolute path -> as messages name it. */
  readonly #shown = new Map<string, string>();

  constructor(thread: ModuleThread, files: ConfigFiles) {
    this.#thread = thread;
    this.#files = files;
  }

  /** @param file as the configuration's own file names it would be said. @param at where it is named */
  load(file: string, at: Position): ModuleSources {
    const start = path.resolve(file);
    this.#shown.set(start, file);
    try {
      const reached = this.#reach(start, at);
      const files = [...reached].map((each) => this.#plan(each));
      return { ok: true, url: this.#url(start), files };
    } catch (error) {
      if (error instanceof Refused) return { ok: false, problem: error.problem };
      throw error;
    }
  }

  /** As messages name a file of a module. */
  shown(file: string): string {
    return this.#shown.get(file) ?? file;
  }

  /** Every file from one on. */
  #reach(start: string, at: Position): ReadonlySet<string> {
    const reached = new Set([start]);
    const from = new Map<string, Position>([[start, at]]);
    let bytes = 0;
    for (const each of reached) {
      const place = from.get(each) ?? at;
      const file = this.#read(each, place);
      bytes += file.bytes;
      if (bytes > MODULE_BYTES_MAX)
        throw new Refused(place, `the module and what it imports are larger than ${MODULE_BYTES_MAX / 1024 ** 2} MiB`, "");
      for (const [specifier, target] of file.imports) {
        if (reached.has(target)) continue;
        if (reached.size >= MODULE_FILES_MAX)
          throw new Refused(
            this.#placeIn(file, specifier),
            `the module is made of more than ${MODULE_FILES_MAX} files`,
            "bundle it into one",
          );
        reached.add(target);
        from.set(target, this.#placeIn(file, specifier));
      }
    }
    return reached;
  }

  #read(file: string, at: Position): SourceFile {
    const known = this.#known.get(file);
    if (known !== undefined) return known;
    const shown = this.shown(file);
    const content = this.#files.read(file);
    if (content instanceof Error)
      throw new Refused(at, `can't read ${shown}: ${content.message}`, "paths are relative to the file that names them");
    if (content.length > MODULE_BYTES_MAX) throw new Refused(at, `${shown} is larger than ${MODULE_BYTES_MAX / 1024 ** 2} MiB`, "");
    const text = decodeUtf8(content);
    if (typeof text !== "string") throw new Refused({ file: shown, line: text.line, column: text.column }, text.what, "save it as UTF-8");
    const read = file.endsWith(".json") ? this.#json(file, text) : this.#module(file, text);
    this.#known.set(file, read);
    return read;
  }

  #json(file: string, text: string): SourceFile {
    try {
      JSON.parse(text);
    } catch (error) {
      throw new Refused(
        { file: this.shown(file), line: 1, column: 1 },
        `it is no JSON: ${error instanceof Error ? error.message : error}`,
        "",
      );
    }
    return { path: file, source: text, bytes: text.length, isJson: true, imports: new Map() };
  }

  #module(file: string, text: string): SourceFile {
    const shown = this.shown(file);
    const answer = this.#thread.ask({ kind: "read", path: file, text, hasTypes: /\.m?ts$/.test(file) });
    const top = { file: shown, line: 1, column: 1 };
    if (answer === null) throw new Refused(top, `it takes longer than ${MODULE_MS_MAX / 1000} s to read`, "make it smaller");
    if (answer.kind === "fault") {
      const { message, place } = answer.fault;
      throw new Refused(place === null ? top : { file: shown, line: place.line, column: place.column }, message, "");
    }
    if (answer.kind !== "read") throw new Error(`the thread for policies answered ${answer.kind}`);
    const imports = new Map<string, string>();
    for (const { specifier, json } of answer.imports) {
      const target = this.#target(specifier, json, { file, at: { file: shown, ...placeOfImport(text, specifier) } });
      if (target === null) continue;
      imports.set(specifier, target);
      if (!this.#shown.has(target)) this.#shown.set(target, path.join(path.dirname(shown), specifier));
    }
    return { path: file, source: answer.source, bytes: Buffer.byteLength(text), isJson: false, imports };
  }

  /** @returns the file; null for what Node or the gateway has. @throws Refused for anything else */
  #target(specifier: string, json: boolean, { file, at }: { readonly file: string; readonly at: Position }): string | null {
    if (specifier === POLICY_SPECIFIER || isModuleBuiltin(specifier)) return null;
    if (specifier.startsWith("node:") || MODULE_BUILTINS.includes(specifier)) {
      const meant = isModuleBuiltin(`node:${specifier}`);
      throw new Refused(
        at,
        `a policy may not import ${specifier}`,
        meant ? `write node:${specifier}` : `of Node's own: ${MODULE_BUILTINS.map((each) => `node:${each}`).join(", ")}`,
      );
    }
    if (!/^\.\.?\//.test(specifier))
      throw new Refused(
        at,
        `a policy imports files only, and ${specifier} is a package`,
        "bundle the two into one file (esbuild --bundle --format=esm --platform=node), and name that one",
      );
    if (!ENDING.test(specifier))
      throw new Refused(at, `${specifier} names no file`, "write it with its ending: .ts, .mts, .js, .mjs or .json");
    if (specifier.endsWith(".json") !== json)
      throw new Refused(
        at,
        json ? `${specifier} is imported as JSON` : `JSON is imported as such`,
        `write: import data from "${specifier}" with { type: "json" }`,
      );
    return path.resolve(path.dirname(file), specifier);
  }

  #placeIn({ path: file, source }: SourceFile, specifier: string): Position {
    return { file: this.shown(file), ...placeOfImport(source, specifier) };
  }

  #plan(file: string): ModuleFilePlan {
    const { source, isJson, imports } = this.#mustKnow(file);
    return {
      url: this.#url(file),
      source,
      format: isJson ? "json" : "module",
      imports: Object.fromEntries([...imports].map(([specifier, target]) => [specifier, this.#url(target)])),
    };
  }

  /** Of its content and that of all it imports: another content is another module, and nothing else is. */
  #url(file: string): string {
    const reached = new Set([file]);
    for (const each of reached) for (const target of this.#mustKnow(each).imports.values()) reached.add(target);
    const hash = createHash("sha256");
    for (const each of [...reached].sort()) hash.update(JSON.stringify([each, this.#mustKnow(each).source]));
    return `${MODULE_SCHEME}${hash.digest("base64url").slice(0, 22)}${encodeURI(file).replaceAll("?", "%3F").replaceAll("#", "%23").replaceAll(":", "%3A").replaceAll(")", "%29")}`;
  }

  #mustKnow(file: string): SourceFile {
    const known = this.#known.get(file);
    if (known === undefined) throw new Error(`${file} was not read`);
    return known;
  }
}

/** Where a specifier stands, in either kind of quotes. */
function placeOfImport(text: string, specifier: string): { readonly line: number; readonly column: number } {
  const quoted = [`"${specifier}"`, `'${specifier}'`].find((each) => text.includes(each));
  return quoted === undefined ? { line: 1, column: 1 } : placeOf(text, quoted);
}
