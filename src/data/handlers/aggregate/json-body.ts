// Owns a leg's JSON body with templates in its texts: values become JSON by being written as JSON, so that none can leave its place.
import type { LegContext, LegTemplate } from "../../routing/leg-template.ts";

export interface JsonBody {
  readonly templates: readonly LegTemplate[];
  /** @returns the text, or the template that a value was missing for */
  render(context: LegContext): string | { readonly missing: LegTemplate };
}

/** Writes one part. @returns undefined after a value was missing, which stands in `state` then */
type Writer = (context: LegContext, state: { missing: LegTemplate | null }) => unknown;

/** @param value plain JSON @param compiled compiles a text of it */
export function jsonBody(value: unknown, compiled: (text: string) => LegTemplate): JsonBody {
  const templates: LegTemplate[] = [];
  const write = writerOf(value, (text) => {
    const template = compiled(text);
    templates.push(template);
    return template;
  });
  return {
    templates,
    render(context) {
      const state: { missing: LegTemplate | null } = { missing: null };
      const made = write(context, state);
      return state.missing === null ? JSON.stringify(made) : { missing: state.missing };
    },
  };
}

function writerOf(value: unknown, compiled: (text: string) => LegTemplate): Writer {
  if (typeof value === "string") {
    const template = compiled(value);
    const { constant } = template;
    if (constant !== null) return () => constant;
    return (context, state) => {
      const made = template.renderJson(context);
      if (made === undefined) state.missing ??= template;
      return made;
    };
  }
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => writerOf(item, compiled));
    return (context, state) => items.map((write) => write(context, state));
  }
  if (typeof value !== "object" || value === null) return () => value;
  const members = Object.entries(value).map(([name, inner]) => [name, writerOf(inner, compiled)] as const);
  return (context, state) => Object.fromEntries(members.map(([name, write]) => [name, write(context, state)]));
}
