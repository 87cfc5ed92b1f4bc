// Owns whether an answer may be stored, for the request that it answers as the client sent it and as the origin got it (rules/assess.ts).
// In doubt nothing is stored.
import { getList, type HeaderList } from "../../base/header-list.ts";
import type { Exchange } from "../exchange/exchange.ts";
import type { FillContext } from "./fill-context.ts";
import { assess, type Storable, type Unstorable } from "./rules/assess.ts";
import { OWN_CONDITIONS } from "./rules/conditions.ts";

/** The gateway's word, and the same for all requests of one key. */
const IN_THE_URL: ReadonlySet<string> = new Set(["host", "x-forwarded-host", "x-forwarded-proto"]);

/** A request, as it was asked. */
export interface Asked {
  readonly x: Exchange;
  /** As the origin got them. */
  readonly sentHeaders: HeaderList;
  /** Date.now() ms. */
  readonly sentMs: number;
}

/** @returns a reason when it is not to be stored */
export function judge(
  asked: Asked,
  { status, headers }: { readonly status: number; readonly headers: HeaderList },
  context: FillContext,
): Storable | Unstorable {
  const { x, sentHeaders, sentMs } = asked;
  const hasUnproven = context.hasUnproven(x, sentHeaders);
  const times = { sentMs, receivedMs: Date.now() };
  const judged = assess({ method: "GET", requestHeaders: x.headers, sentHeaders, hasUnproven, status, headers, times }, context.rules);
  if (typeof judged === "string") return judged;
  return judged.vary.every((name) => tellsApart(asked, name, context)) ? judged : "vary-unkeyed";
}

/** Whether clients' own fields of this name tell variants apart as the origin does: not when the gateway has sent another value than the client did. */
function tellsApart({ x, sentHeaders }: Asked, name: string, context: FillContext): boolean {
  const sent = getList(sentHeaders, name);
  if (OWN_CONDITIONS.has(name) || sent === undefined || sent === getList(x.headers, name)) return true;
  return IN_THE_URL.has(name) || context.isKeyed(x, name);
}
