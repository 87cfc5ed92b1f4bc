// Owns the comparison of a claim with what a route demands of it. Exact: no coercion but that a text from a request equals the same whole number.
import type { Exchange } from "../../exchange/exchange.ts";
import { compiled } from "../../exchange/templates.ts";
import { singleHeaderValue, singleQueryValue } from "../../routing/request/single-value.ts";
import type { AuthorizeConfig } from "./config.ts";

type Scalar = string | number | boolean;
type Written = NonNullable<AuthorizeConfig["claims"]>[string];

/** @returns whether a claim's value does. */
export type ClaimTest = (claim: unknown, x: Exchange) => boolean;

const SENT = /\{(header|query)\.([^}?]+)\}/g;
/** `{header.a ?? header.b}`: one of them must have been sent. */
const CHOICE = /\{[^{}]*\?\?[^{}]*\}/g;

export function compileClaimTest(written: Written, paramNames: readonly string[]): ClaimTest {
  const tests = (Array.isArray(written) ? written : [written]).map((each) => compileScalar(each, paramNames));
  const holds = (value: unknown, x: Exchange): boolean => {
    for (const test of tests) if (test(value, x)) return true;
    return false;
  };
  return (claim, x) => (Array.isArray(claim) ? claim.some((each) => holds(each, x)) : holds(claim, x));
}

function compileScalar(written: Scalar, paramNames: readonly string[]): ClaimTest {
  if (typeof written !== "string") return (claim) => claim === written;
  const template = compiled(written, paramNames);
  const { constant } = template;
  if (constant !== null) return (claim) => claim === constant;
  const sent = [...written.matchAll(SENT)].map(([, place = "", name = ""]) => ({
    place,
    name: place === "header" ? name.toLowerCase() : name,
  }));
  const choices = (written.match(CHOICE) ?? []).map((each) => compiled(each, paramNames));
  return (claim, x) => {
    for (const choice of choices) if (choice.render(x) === "") return false;
    for (const { place, name } of sent)
      if ((place === "header" ? singleHeaderValue(x, name) : singleQueryValue(x, name)) === undefined) return false;
    const text = template.render(x);
    // Nothing is demanded where nothing was sent; U+FFFD stands for bytes that are no text.
    if (text === "" || text.includes("\ufffd")) return false;
    return typeof claim === "number" ? Number.isSafeInteger(claim) && String(claim) === text : claim === text;
  };
}
