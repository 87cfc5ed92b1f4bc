// Owns reading the hash key of an exchange, as `hashOn` says. Must never change the exchange.
import type { HashOn } from "../../../plan/plan.ts";
import { CookieWalk } from "../../routing/request/cookie-walk.ts";
import { QueryWalk } from "../../routing/request/query-walk.ts";
import { singleHeaderValue } from "../../routing/request/single-value.ts";
import type { RequestView } from "../../routing/request-view.ts";

/** @returns the key, undecoded; '' when the exchange has none (an empty value counts as none). */
export function hashKey(x: RequestView, on: HashOn): string {
  switch (on.kind) {
    case "ip":
      return x.clientInfo().ip;
    case "path":
      return x.path;
    case "header":
      return singleHeaderValue(x, on.name) ?? "";
    case "cookie":
      return cookieValue(x, on.name);
    case "query":
      return queryKey(x.query, on.name);
  }
}

const cookies = new CookieWalk();
const parameters = new QueryWalk();

/** First cookie of that name that has a value, else '' (RFC 6265 section 4.2.1). HTTP/2 clients may send several Cookie lines (RFC 9113 section 8.2.3). */
export function cookieValue(x: RequestView, name: string): string {
  for (let i = 0; i < x.headers.length; i += 2) {
    if (x.headers[i] !== "cookie") continue;
    cookies.begin(x.headers[i + 1] ?? "", name);
    while (cookies.next()) {
      const value = cookies.value();
      if (value !== "") return value;
    }
  }
  return "";
}

/** The one parameter of that name. */
function queryKey(query: string, name: string): string {
  parameters.begin(query, name);
  if (!parameters.next() || parameters.divided) return "";
  const value = parameters.value();
  return parameters.next() ? "" : value;
}
