// Owns reading the hash key of an exchange, as `hashOn` says. Must never change the exchange.
import type { HashOn } from "../../../plan/plan.ts";
import type { Exchange } from "../../exchange.ts";
import { headerSentOnce } from "../../request/sent-once.ts";

/** @returns the key, undecoded; '' when the exchange has none (an empty value counts as none). */
export function hashKey(x: Exchange, on: HashOn): string {
  switch (on.kind) {
    case "ip":
      return x.clientInfo().ip;
    case "path":
      return x.path;
    case "header":
      return headerSentOnce(x, on.name) ?? "";
    case "cookie":
      return cookieValue(x, on.name);
    case "query":
      return pairValue(x.query, on.name, "&");
  }
}

/** First cookie of that name (RFC 6265 section 4.2.1). HTTP/2 clients may send several Cookie lines (RFC 9113 section 8.2.3). */
function cookieValue(x: Exchange, name: string): string {
  for (let i = 0; i < x.headers.length; i += 2) {
    if (x.headers[i] !== "cookie") continue;
    const value = pairValue(x.headers[i + 1] ?? "", name, ";");
    if (value !== "") return value;
  }
  return "";
}

/** Value of the first `name=value` in a list; leading blanks of a pair are skipped. */
function pairValue(list: string, name: string, separator: string): string {
  let start = 0;
  while (start < list.length) {
    let end = list.indexOf(separator, start);
    if (end === -1) end = list.length;
    while (start < end && (list.charCodeAt(start) === 0x20 || list.charCodeAt(start) === 0x09)) start += 1;
    if (list.startsWith(name, start) && list[start + name.length] === "=" && start + name.length < end) {
      return list.slice(start + name.length + 1, end).trimEnd();
    }
    start = end + 1;
  }
  return "";
}
