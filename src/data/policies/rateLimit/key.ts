// Owns which bucket of a limit a request belongs to: the tag of what the limit counts by. Must never be the same for two callers by design of theirs.
import { maskIp } from "../../../base/ip.ts";
import type { SipHash } from "../../../base/sip-hash.ts";
import type { LimitConfig } from "../../../plan/rate-limit.ts";
import type { Exchange } from "../../exchange/exchange.ts";
import type { PolicyRoute } from "../../exchange/route-context.ts";
import { compiled } from "../../exchange/templates.ts";
import { singleHeaderValue } from "../../routing/request/single-value.ts";
import { claimText, claimValue } from "./claim.ts";

/** Sets the tag of an exchange's bucket: left in the hash's `high` and `low`. */
export type KeyOf = (x: Exchange, hash: SipHash) => void;

/** Adds one part of the key to the hash. @param first it stands alone so far */
type PartOf = (x: Exchange, hash: SipHash, first: boolean) => void;

/** Puts callers who are nobody apart from consumers, who might be called like an address. */
const NOBODY = 1;

/** Parts that are constant (`route`, `gateway`) belong to the limit's identity, not to the key. */
export function compileKey(config: LimitConfig, route: PolicyRoute): KeyOf {
  const parts = config.per.flatMap((part): PartOf[] => {
    switch (part.kind) {
      case "consumer":
        return [consumerPart(config)];
      case "ip":
        return [ipPart(config)];
      case "header":
        return [textPart((x) => singleHeaderValue(x, part.name) ?? "")];
      case "claim":
        return [textPart((x) => claimText(claimValue(x.identity, part.name)))];
      case "key": {
        const template = compiled(part.template, route.paramNames);
        return [textPart((x) => template.render(x))];
      }
      default:
        return [];
    }
  });
  const [only, ...more] = parts;
  if (only === undefined) return (_, hash) => hash.hash("");
  if (more.length === 0) return (x, hash) => only(x, hash, true);
  return (x, hash) => {
    only(x, hash, true);
    for (const part of more) part(x, hash, false);
  };
}

function textPart(text: (x: Exchange) => string): PartOf {
  return (x, hash, first) => (first ? hash.hash(text(x)) : hash.hashAfter(hash.high, hash.low, text(x)));
}

function ipPart({ ipv4Prefix, ipv6Prefix }: LimitConfig): PartOf {
  const address = (ip: string): string => (ipv4Prefix === 32 && ip.indexOf(":") < 0 ? ip : maskIp(ip, ipv4Prefix, ipv6Prefix));
  return textPart((x) => address(x.clientInfo().ip));
}

function consumerPart(config: LimitConfig): PartOf {
  const nobody = ipPart(config);
  return (x, hash, first) => {
    const { identity } = x;
    if (identity !== null) return first ? hash.hash(identity.consumer) : hash.hashAfter(hash.high, hash.low, identity.consumer);
    nobody(x, hash, first);
    hash.hashAfter(hash.high, hash.low ^ NOBODY, "");
  };
}
