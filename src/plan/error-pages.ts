// The part of the plan that says what clients get instead of problem documents. Types only.
import type { StatusRange } from "../base/status-list.ts";

/** Pages for errors, the more specific first: those of a code, then of few statuses, then of many. */
export interface ErrorPagesPlan {
  readonly pages: readonly ErrorPagePlan[];
  /** Responses of services with these statuses are replaced. */
  readonly intercept: readonly StatusRange[];
}

/** What one kind of error is answered with. */
export interface ErrorPagePlan {
  /** A code of the table of errors, or statuses. */
  readonly on: string | StatusRange;
  /** At least one, in the order of preference, each with a media type of its own. */
  readonly variants: readonly ErrorVariantPlan[];
}

export type ErrorVariantPlan =
  | {
      readonly kind: "body";
      /** Content-Type. */
      readonly type: string;
      /** With placeholders. */
      readonly text: string;
    }
  /** For who would get HTML: elsewhere. @property to with placeholders */
  | { readonly kind: "redirect"; readonly to: string };
