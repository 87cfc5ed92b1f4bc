// Owns the placeholders of error pages: what stands for what, and how a value is written where it stands. Pure. Braces that are no placeholder stay as they
// are, since pages are full of them (CSS, scripts).

/** What a page may say of an error. */
export interface PageValues {
  readonly status: number;
  /** Stable code of the table of errors. */
  readonly code: string;
  readonly title: string;
  readonly requestId: string;
  /** What was asked for, without credentials. Its author is the client: only URLs have it, percent-encoded, as no escaping is right for every place in a page. */
  url(): string;
}

const PLACEHOLDER = /\{(status|code|title|requestId)\}/;
const PLACEHOLDER_IN_URL = /\{(status|code|title|requestId|url)\}/;

/** How values are written: as text between tags or within an attribute, inside a JSON string, within a URL, or as they are. */
export type Escaping = "html" | "json" | "url" | "none";

/** @param type `type/subtype`, lowercase */
export function escapingOf(type: string): Escaping {
  if (type === "application/json" || type.endsWith("+json") || type === "text/javascript") return "json";
  return type === "text/html" || type.endsWith("/xml") || type.endsWith("+xml") ? "html" : "none";
}

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escaped(text: string, how: Escaping): string {
  switch (how) {
    case "html":
      return text.replace(/[&<>"']/g, (c) => HTML[c] ?? "");
    case "json":
      return JSON.stringify(text).slice(1, -1);
    case "url":
      return encodeURIComponent(text);
    case "none":
      return text;
  }
}

/** A page, ready to be filled in. Immutable. */
export class PageText {
  /** Literal text and names of values, in turn. */
  readonly #parts: readonly string[];
  readonly #how: Escaping;

  constructor(text: string, how: Escaping) {
    this.#parts = text.split(new RegExp(how === "url" ? PLACEHOLDER_IN_URL : PLACEHOLDER, "g"));
    this.#how = how;
  }

  /** Nothing is to be filled in. */
  get isConstant(): boolean {
    return this.#parts.length === 1;
  }

  fill(values: PageValues): string {
    let text = this.#parts[0] ?? "";
    for (let i = 1; i < this.#parts.length; i += 2) {
      const name = this.#parts[i] as keyof PageValues; // a placeholder's name stands at each odd place
      text += escaped(name === "url" ? values.url() : String(values[name]), this.#how) + this.#parts[i + 1];
    }
    return text;
  }
}
