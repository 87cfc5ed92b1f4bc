// Owns reading the text of a module without running it: types out, syntax, imports, and where a mistake in it stands. For the thread of module-task.ts.
import { stripTypeScriptTypes } from "node:module";
import vm from "node:vm";
import type { FromModuleThread, ModulePlace, ToModuleThread } from "./module-messages.ts";
import { placeOf } from "./place-of.ts";

/** What vm.SourceTextModule is used for here; Node's types lack it. */
interface ParsedModule {
  readonly moduleRequests: readonly { readonly specifier: string; readonly attributes: Readonly<Record<string, string>> }[];
  hasTopLevelAwait?(): boolean;
}
type ModuleParser = new (text: string, options: { readonly identifier: string }) => ParsedModule;

export function readModule({ path, text, hasTypes }: Extract<ToModuleThread, { kind: "read" }>): FromModuleThread {
  let source = text;
  try {
    if (hasTypes) source = stripTypeScriptTypes(text); // leaves blanks: every place stays where it was
  } catch (error) {
    return fault(error, placeInStack(path, stackOf(error)));
  }
  try {
    const { SourceTextModule } = vm as unknown as { SourceTextModule: ModuleParser }; // by --experimental-vm-modules
    const parsed = new SourceTextModule(source, { identifier: path });
    if (parsed.hasTopLevelAwait?.() === true) {
      const message = "it waits (await) at its top level, which a worker that serves cannot: wait in onRequest";
      return { kind: "fault", fault: { message, place: { path, ...placeOf(source, /\bawait\b/) } } };
    }
    const imports = parsed.moduleRequests.map(({ specifier, attributes }) => ({ specifier, json: attributes["type"] === "json" }));
    return { kind: "read", source, imports };
  } catch (error) {
    return fault(error, placeOfSyntax(path, source, messageOf(error)));
  }
}

function fault(error: unknown, place: ModulePlace | null): FromModuleThread {
  return { kind: "fault", fault: { message: `it cannot be read: ${messageOf(error).slice(0, MESSAGE_CHARS_MAX)}`, place } };
}

const MESSAGE_CHARS_MAX = 300;
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? "") : "");

/** What Node writes above a syntax error: `FILE:LINE`, the line, perhaps with some before it, and a mark below the column. */
function placeInStack(path: string, stack: string): ModulePlace | null {
  const head = /^[^\n]*:(\d+)\n(?:[^\n]*\n){1,4}?([ \t]*)\^/.exec(stack);
  if (head !== null) return { path, line: Number(head[1]), column: (head[2] ?? "").length + 1 };
  // With more lines around it: the number alone.
  const line = /^[^\n]*:(\d+)\n/.exec(stack)?.[1];
  return line === undefined ? null : { path, line: Number(line), column: 1 };
}

/**
 * V8 says where only of scripts: the module as a script, its imports and exports blanked. What comes of it counts when it is the same mistake.
 * @param message of the mistake
 */
function placeOfSyntax(path: string, source: string, message: string): ModulePlace | null {
  const blank = (text: string): string => text.replace(/[^\n]/g, " ");
  const script = source.replace(/^[ \t]*(import\b(?!\s*[(.])[^;"']*["'][^"'\n]*["'].*|export\s+(?:default\b)?(?=\s*[\w$({[]))/gm, blank);
  try {
    new vm.Script(`"use strict";async()=>{${script}\n}`, { filename: "module", columnOffset: -'"use strict";async()=>{'.length });
  } catch (error) {
    if (messageOf(error) === message) return placeInStack(path, stackOf(error));
  }
  return null;
}
