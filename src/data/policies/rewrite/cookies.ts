// Owns what becomes of Set-Cookie, read as browsers read it (RFC 6265bis section 5.6), so that no spelling slips past a rule. Lines without a rule, and what
// a rule does not name, stay byte for byte. Must never take Secure or HttpOnly away, nor break what a name promises (`__Host-`).
import { matchNames } from "../../../base/name-patterns.ts";
import type { CookieRule, DomainRule, NamedCookieRule, PathRule } from "./config-cookies.ts";
import type { Mapping } from "./config-mapping.ts";
import { isUnder } from "./prefix.ts";
import type { WayBack } from "./way-back.ts";

/** What browsers refuse as a whole. */
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;
/** RFC 6265bis section 4.1.3: the path is `/`, and there is no Domain; compared without case. */
const HOST_PREFIX = /^__host-/i;
const SAME_SITE = /^(?:strict|lax|none)$/i;

/** @returns the rule for a name; null: cookies of that name are left alone */
export type FindRule = (name: string) => CookieRule | null;

export function cookieRules(named: readonly NamedCookieRule[]): FindRule {
  const specific = named
    .flatMap(({ names, rule }) => names.map((name) => ({ name, rule, matches: matchNames([name]) })))
    // A name before a prefix, a longer prefix before a shorter one.
    .sort((a, b) => Number(a.name.endsWith("*")) - Number(b.name.endsWith("*")) || b.name.length - a.name.length);
  const rest = named.find(({ names }) => names.length === 0)?.rule ?? null;
  if (specific.length === 0) return () => rest;
  return (name) => {
    for (const each of specific) if (each.matches(name)) return each.rule;
    return rest;
  };
}

/** @param line the value of one Set-Cookie. @returns the same text where nothing is to be changed */
export function mapCookie(line: string, find: FindRule, way: WayBack): string {
  if (CONTROL.test(line)) return line;
  const [pair = "", ...attributes] = line.split(";");
  const equals = pair.indexOf("=");
  const name = equals < 0 ? "" : pair.slice(0, equals).trim();
  if (equals < 0 && pair.trim() === "") return line;
  const rule = find(name);
  return rule === null ? line : new CookieLine(pair, attributes, way).apply(rule, HOST_PREFIX.test(name));
}

/** One cookie while rules are applied. */
class CookieLine {
  readonly #parts: string[];
  readonly #way: WayBack;
  #secure = false;
  #httpOnly = false;
  #sameSite = false;

  constructor(pair: string, attributes: readonly string[], way: WayBack) {
    this.#parts = [pair, ...attributes];
    this.#way = way;
  }

  /** @param isHost its name promises Path=/ and no Domain */
  apply(rule: CookieRule, isHost: boolean): string {
    const parts = this.#parts;
    let kept = 1;
    for (let i = 1; i < parts.length; i++) {
      const part = this.#attribute(parts[i] as string, rule, isHost); // i is an index
      if (part !== null) parts[kept++] = part;
    }
    parts.length = kept;
    this.#protect(rule);
    return parts.join(";");
  }

  /** @returns null: it goes */
  #attribute(part: string, rule: CookieRule, isHost: boolean): string | null {
    const equals = part.indexOf("=");
    const value = equals < 0 ? "" : part.slice(equals + 1).trim();
    switch ((equals < 0 ? part : part.slice(0, equals)).trim().toLowerCase()) {
      case "path": {
        const path = rule.path === null || isHost ? value : mapPath(value, rule.path, this.#way);
        return path === value ? part : ` Path=${path}`;
      }
      case "domain": {
        const domain = rule.domain === null || isHost ? value : mapDomain(value, rule.domain, this.#way);
        return domain === value ? part : domain === "" ? null : ` Domain=${domain}`;
      }
      case "secure":
        this.#secure = true;
        return part;
      case "httponly":
        this.#httpOnly = true;
        return part;
      case "samesite":
        if (rule.sameSite !== null && !(rule.sameSite.onlyIfAbsent && SAME_SITE.test(value))) return null; // protect() says it
        this.#sameSite = true;
        return part;
      default:
        return part;
    }
  }

  #protect({ secure, httpOnly, sameSite }: CookieRule): void {
    const wantsSecure = secure === "always" || (secure === "auto" && this.#way.clientScheme === "https");
    if (wantsSecure && !this.#secure) {
      this.#parts.push(" Secure");
      this.#secure = true;
    }
    if (httpOnly && !this.#httpOnly) this.#parts.push(" HttpOnly");
    // Browsers refuse a cookie that has None without Secure.
    if (sameSite !== null && !this.#sameSite && (sameSite.value !== "None" || this.#secure))
      this.#parts.push(` SameSite=${sameSite.value}`);
  }
}

function mapPath(path: string, { rules, auto }: Mapping<PathRule>, way: WayBack): string {
  if (!path.startsWith("/")) return path; // browsers take the path of the request instead
  for (const { from, to } of rules) if (isUnder(path, from)) return to + (path === "/" ? "" : path.slice(from.length)) || "/";
  if (!auto || way.keepsPaths) return path;
  const mapped = way.cookiePath(path);
  return mapped.includes(";") ? path : mapped;
}

/** @returns '' where the attribute goes */
function mapDomain(written: string, mapping: Mapping<DomainRule> | "remove", way: WayBack): string {
  if (mapping === "remove") return "";
  const domain = written.replace(/^\./, "").toLowerCase();
  if (domain === "") return written;
  for (const { from, to } of mapping.rules) if (from === domain) return to;
  if (!mapping.auto || isWithin(way.clientHost, domain)) return written;
  return way.serviceHosts.some((host) => isWithin(host, domain)) ? "" : written;
}

/** RFC 6265 section 5.1.3. */
const isWithin = (host: string, domain: string): boolean => host === domain || host.endsWith(`.${domain}`);
