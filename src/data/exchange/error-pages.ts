// Owns what a worker makes of configured error pages: which one an error has, which of its forms a client wants, and what is written in it.
// Must never say more of an error than its status, code, title and request id; must cost a response that is none nothing.
import type { HeaderList } from "../../base/header-list.ts";
import { MediaRanges } from "../../base/media-ranges.ts";
import { escapingOf, PageText, type PageValues } from "../../base/page-text.ts";
import { StatusSet } from "../../base/status-list.ts";
import type { ErrorPagesPlan, ErrorVariantPlan } from "../../plan/error-pages.ts";

/** What the gateway itself makes, when no page is wanted more. */
const PROBLEM_TYPE = "application/problem+json";
/** Who asks for JSON can read it. */
const JSON_TYPE = "application/json";
/** With GET, whatever the request's method was (RFC 9110 section 15.4.4). */
const REDIRECT_STATUS = 303;

/** A page in one form. */
interface Variant {
  /** `type/subtype`, lowercase. */
  readonly type: string;
  answer(values: PageValues): PageAnswer;
}

/** What goes out. */
export interface PageAnswer {
  readonly status: number;
  /** Flat, lowercase; what the page itself needs. */
  readonly headers: HeaderList;
  readonly body: Buffer | null;
}

/** The forms of one page. */
class Page {
  readonly #on: ErrorPagesPlan["pages"][number]["on"];
  /** In the order in which one wins over another that is wanted as much; null stands for the problem document. */
  readonly #candidates: readonly (Variant | null)[];

  constructor({ on, variants }: ErrorPagesPlan["pages"][number]) {
    const made = variants.map(variantOf);
    const isJson = ({ type }: Variant): boolean => escapingOf(type) === "json";
    this.#on = on;
    this.#candidates = [...made.filter(isJson), null, ...made.filter((each) => !isJson(each))];
  }

  isFor(code: string, status: number): boolean {
    const on = this.#on;
    return typeof on === "string" ? on === code : status >= on.min && status <= on.max;
  }

  /** @returns null for the problem document; also when nothing is wanted, unless a page in JSON takes its place */
  chosen(wanted: MediaRanges): Variant | null {
    let [best = null] = this.#candidates;
    let bestWeight = 0;
    for (const candidate of this.#candidates) {
      const weight = candidate === null ? problemWeight(wanted) : wanted.weightOf(candidate.type);
      if (weight <= bestWeight) continue;
      best = candidate;
      bestWeight = weight;
    }
    return best;
  }
}

const problemWeight = (wanted: MediaRanges): number => Math.max(wanted.weightOf(PROBLEM_TYPE), wanted.weightOf(JSON_TYPE));

function variantOf(plan: ErrorVariantPlan): Variant {
  if (plan.kind === "redirect") {
    const to = new PageText(plan.to, "url");
    return { type: "text/html", answer: (values) => ({ status: REDIRECT_STATUS, headers: ["location", to.fill(values)], body: null }) };
  }
  const type = (plan.type.split(";", 1)[0] ?? "").trim().toLowerCase();
  const text = new PageText(plan.text, escapingOf(type));
  const constant = text.isConstant ? Buffer.from(plan.text, "utf8") : null;
  return {
    type,
    answer: (values) => ({
      status: values.status,
      headers: ["content-type", plan.type],
      body: constant ?? Buffer.from(text.fill(values), "utf8"),
    }),
  };
}

/** The pages of a route, or of requests without one. Immutable. */
export class ErrorPages {
  readonly #pages: readonly Page[];
  readonly #intercept: StatusSet;

  constructor({ pages, intercept }: ErrorPagesPlan) {
    this.#pages = pages.map((page) => new Page(page));
    this.#intercept = new StatusSet(intercept);
  }

  /** Whether a service's response with this status is replaced. */
  intercepts(status: number): boolean {
    return this.#intercept.has(status);
  }

  /**
   * @param accept as sent, lines joined; undefined for none
   * @returns undefined when there is no page for it; null when there is, and the client prefers the problem document
   */
  answer(values: PageValues, accept: string | undefined): PageAnswer | null | undefined {
    const page = this.#pages.find((each) => each.isFor(values.code, values.status));
    return page === undefined ? undefined : (page.chosen(new MediaRanges(accept))?.answer(values) ?? null);
  }
}
