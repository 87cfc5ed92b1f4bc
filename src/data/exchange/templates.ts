// Owns how policies compile templates that the primary has accepted. Must never see a template for the first time.

import { compileTemplate, type Template } from "../routing/template.ts";
import { queryStart } from "../routing/template-text.ts";
import type { Exchange } from "./exchange.ts";

/** @throws Error when the primary accepted what can't be compiled: a defect, and the plan is refused */
export function compiled(text: string, paramNames: readonly string[]): Template {
  const template = compileTemplate(text, paramNames);
  if ("error" in template) throw new Error(`template ${JSON.stringify(text)}: ${template.error}`);
  return template;
}

/**
 * A path with an optional query and fragment, each part rendered so that no value can leave it.
 * @returns a function of the exchange; it gives null when the request must be refused with `bad_path` (see Template.renderPath)
 */
export function compiledAddress(text: string, paramNames: readonly string[]): (x: Exchange) => string | null {
  const end = queryStart(text);
  const path = compiled(text.slice(0, end), paramNames);
  if (end === text.length) return (x) => path.renderPath(x);
  const query = compiled(text.slice(end), paramNames);
  return (x) => {
    const rendered = path.renderPath(x);
    return rendered === null ? null : rendered + query.renderQuery(x);
  };
}
