// Owns what a condition may look at, and what it is once it is compiled. Types only: what compiles conditions is loaded when there is one.
import type { HeaderList } from "../../../base/header-list.ts";
import type { CallerView, RequestView } from "../request-view.ts";

/** A proven caller, as conditions see one. */
export interface ExpressionCaller extends CallerView {
  readonly authenticator: string;
  readonly scopes: readonly string[];
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  /** Some of these names are missing: that one is not there says nothing. */
  readonly partial: boolean;
}

/** The request. An exchange is one. */
export interface ExpressionView extends RequestView {
  /** null on public routes and until the caller is proven. */
  readonly identity: ExpressionCaller | null;
  /** Percent-encoded as received; undefined if the route has none of that name. */
  param(name: string): string | undefined;
}

/** The response's head, where there is one. */
export interface ResponseView {
  readonly status: number;
  /** Flat, lowercase names. */
  readonly headers: HeaderList;
}

/** What is there when a condition is looked at. */
export type Sees = "request" | "response";

/** A condition, checked and ready. */
export interface Expression {
  /** It says something about the caller. */
  readonly needsIdentity: boolean;
  /** Path parameters that it names. */
  readonly pathNames: readonly string[];
  /** Never throws. @param nowMs Date.now() @param response for one that was compiled to see it. @returns null when it cannot be evaluated */
  holds(x: ExpressionView, nowMs: number, response?: ResponseView): boolean | null;
}

/** Why a text is no condition. */
export interface ExpressionProblem {
  readonly error: string;
  /** What to do about it; '' when the error says it all. */
  readonly remedy: string;
  /** Character it stands at, from 1; 0 when it is about the whole. */
  readonly at: number;
}
