// Owns which fields of an upstream's response the key `rewrite.response` changes. A response that has none of them costs one look at its names.
import type { Policy } from "../../exchange/policy.ts";
import type { RequestRewrite } from "./config.ts";
import type { ResponseRewrite } from "./config-response.ts";
import { cookieRules, mapCookie } from "./cookies.ts";
import { mapLocation, mapRefresh } from "./location.ts";
import { WayBack } from "./way-back.ts";

export function rewriteResponse(
  { location, cookies }: ResponseRewrite,
  rewrite: RequestRewrite,
): NonNullable<Policy["onUpstreamResponse"]> {
  const find = cookies.length === 0 ? null : cookieRules(cookies);
  return (x, { headers }, sent) => {
    let way: WayBack | null = null;
    for (let i = 0; i < headers.length; i += 2) {
      const value = headers[i + 1] as string; // i is inside a list of pairs
      switch (headers[i]) {
        case "location":
        case "content-location":
          if (location !== null) headers[i + 1] = mapLocation(value, location, (way ??= new WayBack(x, sent, rewrite)));
          break;
        case "refresh":
          if (location !== null) headers[i + 1] = mapRefresh(value, location, (way ??= new WayBack(x, sent, rewrite)));
          break;
        case "set-cookie":
          if (find !== null) headers[i + 1] = mapCookie(value, find, (way ??= new WayBack(x, sent, rewrite)));
          break;
      }
    }
  };
}
