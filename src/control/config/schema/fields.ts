// Owns the field types that only the primary's schema uses, on top of base/schema.ts. Schema only: no reading of files here.
import * as z from "zod";
import { TRUST_UNIX } from "../../../base/client-trust.ts";
import { parseAuthority } from "../../../base/http.ts";
import { ipFamily, parseCidr } from "../../../base/ip.ts";
import { duration, once, size } from "../../../base/schema.ts";
import { formatDurationMs } from "../../../base/units.ts";
import { meantPattern, parsePattern } from "../../../data/routing/pattern.ts";
import { parseListenAddress, parseTargetUrl, UNIX_PATH_BYTES_MAX } from "../source/address.ts";

/** A whole number in a range. */
export const count = (min: number, max: number) => z.int().min(min).max(max);

const BYTES_MAX = 2 ** 40;

/** A size within bounds. Output bytes. */
export const bytes = (min: number) =>
  size().refine((n) => n >= min && n <= BYTES_MAX, `expected at least ${min} bytes and at most 1024GiB`);

/** The largest body of a request. Output bytes, null for `none`. */
export const bodyBytes = once(() =>
  z
    .union([z.string(), z.number()])
    .transform((value, ctx): number | null => {
      if (value === "none") return null;
      const parsed = size().safeParse(value);
      // Zod would tell what each branch of a union with `none` expects, and no remedy.
      if (!parsed.success)
        for (const { message, ...rest } of parsed.error.issues) ctx.issues.push({ ...rest, code: "custom", message, input: value });
      else if (parsed.data === 0)
        ctx.addIssue({
          code: "custom",
          message: "0 would refuse every request with a body",
          params: { remedy: "for a route without bodies write `match: { methods: [GET] }`; for bodies of any size write `none`" },
        });
      else if (parsed.data > BYTES_MAX)
        ctx.addIssue({ code: "custom", message: "expected at most 1024GiB", params: { remedy: "write `none` for bodies of any size" } });
      else return parsed.data;
      return z.NEVER;
    })
    .meta({
      ...size().meta(),
      unit: "size or `none`",
      unitPattern: /^(none|\d+(\.\d+)?(B|KiB|MiB|GiB|KB|MB|GB)?)$/.source,
      examples: ["10MiB", "none"],
    }),
);

/** Node's timers fire at once beyond this, ms: some 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** A duration of more than 0. */
const NOT_ZERO = /^(?=.*[1-9])\d+(\.\d+)?(ms|s|m|h|d)$/;

/** A duration that a timer can keep; more than 0 unless said otherwise. Output milliseconds. */
export const period = (bounds: { readonly min?: number; readonly max?: number } = {}) => {
  const { min = 1, max = TIMER_MS_MAX } = bounds;
  const bounded = duration()
    .refine((ms) => ms >= min, min <= 1 ? "expected more than 0" : `expected at least ${formatDurationMs(min)}`)
    .refine((ms) => ms <= max, `expected at most ${max === TIMER_MS_MAX ? "24d" : formatDurationMs(max)}`);
  return min === 0 ? bounded : bounded.meta({ unitPattern: NOT_ZERO.source, unitNumbers: null });
};

/** Output {@link ListenAddress}. */
export const listenAddress = once(() =>
  z
    .string()
    .transform((text, ctx) => {
      const address = parseListenAddress(text);
      if (address !== null) return address;
      const message = `expected host:port, [IPv6]:port or unix:/absolute/path${text.startsWith("unix:/") ? ` of at most ${UNIX_PATH_BYTES_MAX} bytes` : ""}`;
      ctx.addIssue({ code: "custom", message, params: { remedy: listenRemedy(text) } });
      return z.NEVER;
    })
    .meta({ pattern: /^(unix:\/.+|[^\s/]+:\d{1,5})$/.source, examples: ["0.0.0.0:8080", "[::1]:8080", "unix:/run/sluice/http.sock"] }),
);

/** A port alone, as other programs take it, and an IPv6 address without brackets. */
function listenRemedy(text: string): string {
  const port = /^(?:\*|):?(\d{1,5})$/.exec(text)?.[1];
  if (port !== undefined && Number(port) <= 65_535)
    return `write \`127.0.0.1:${port}\` for this machine only, or \`0.0.0.0:${port}\` for all of its addresses`;
  if (ipFamily(text) === 6) return `write \`"[${text}]:8080"\``;
  return /^(\d{1,3}(\.\d{1,3}){3}|[A-Za-z][A-Za-z0-9.-]*)$/.test(text) ? `add the port: \`${text}:8080\`` : "";
}

/** Output: the normalised URL of a target. */
export const targetUrl = once(() =>
  z
    .string()
    .transform((text, ctx) => {
      const parsed = parseTargetUrl(text);
      if ("url" in parsed) return parsed.url;
      ctx.addIssue({ code: "custom", message: parsed.error });
      return z.NEVER;
    })
    .meta({
      pattern: /^[Hh][Tt][Tt][Pp][Ss]?(\+[Ss][Rr][Vv])?:\/\/[^/?#@]+\/?$/.source,
      examples: ["http://10.0.0.1:9001", "https://users.internal", "http+srv://_http._tcp.users.internal"],
    }),
);

/** `api.example.com` or `*.example.com`; output in the form that a request's host has when it is matched. */
export const hostPattern = once(() =>
  z
    .string()
    .transform((text, ctx) => {
      const wildcard = text.startsWith("*.") ? "*." : "";
      const authority = parseAuthority(text.slice(wildcard.length));
      if (authority !== null && authority.port === -1) return wildcard + authority.host;
      const message = "expected a host name without port, such as api.example.com or *.example.com";
      ctx.addIssue({ code: "custom", message, params: { remedy: meantHost(text) } });
      return z.NEVER;
    })
    .meta({ pattern: /^[^\s/:]+$/.source, examples: ["api.example.com", "*.example.com"] }),
);

/** What somebody probably means who writes no name. @returns '' when nothing can be guessed */
function meantHost(text: string): string {
  if (text === "*" || text === "") return "for any host leave `hosts` out";
  const [, host = ""] = /^(?:https?:\/\/)?([^/:]+)(?::\d+)?\/?$/.exec(text.replace(/^\.(?=[\w-])/, "*.")) ?? [];
  const isName = parseAuthority(host.replace(/^\*\./, ""))?.port === -1;
  return isName ? `did you mean \`${host}\`?` : "names are exact, or have `*.` in front; there are no expressions: write each";
}

/** RFC 9110 section 9.1 method token; output uppercase. */
export const method = once(() =>
  z
    .string()
    .transform((text, ctx) => {
      const upper = text.toUpperCase();
      if (upper === "CONNECT" || upper === "TRACE") ctx.addIssue({ code: "custom", message: `${upper} is never proxied` });
      else if (/^[A-Z][A-Z0-9_-]{0,31}$/.test(upper)) return upper;
      else ctx.addIssue({ code: "custom", message: "expected an HTTP method such as GET" });
      return z.NEVER;
    })
    .meta({ pattern: /^[A-Za-z][A-Za-z0-9_-]{0,31}$/.source, examples: ["GET"] }),
);

/** A file's path, relative to the configuration file that names it. */
export const filePath = once(() => z.string().min(1).max(4096));

/** A PEM file; its text by the time the schema sees it (see secrets.ts). */
export const pemFile = once(() => z.string().min(1));

/** The answer to a key or value that a later version will know. */
export const unsupportedMessage = (what: string): string => `${what} is not in this version yet`;

/** An address, a CIDR block, or the word for peers on Unix sockets; as text. */
export const trustedProxy = once(() =>
  z
    .string()
    .refine(
      (text) => text === TRUST_UNIX || parseCidr(text) !== null,
      "expected an address, a CIDR block such as 10.0.0.0/8 or 2001:db8::/32, or unix",
    )
    .meta({ examples: ["10.0.0.0/8", "2001:db8::/32", TRUST_UNIX] }),
);

/** The path pattern of a route, as text that parsePattern accepts. */
export const pathPattern = once(() =>
  z
    .string()
    .superRefine((text, ctx) => {
      const pattern = parsePattern(text);
      if (!("error" in pattern)) return;
      ctx.addIssue({ code: "custom", message: pattern.error, params: { remedy: meantPath(text) } });
    })
    .meta({ pattern: /^\//.source }),
);

/** What somebody probably means who writes no pattern: nginx's modifiers, an expression, a prefix, a path without its slash, parameters of other programs. */
function meantPath(text: string): string {
  const path = text.replace(/^(?:=|\^~)\s*(?=\/)/, "");
  if (/^[~^]|[$()|\\]/.test(path) && !path.includes("{"))
    return "an expression stands for one segment, or a part of one: `/users/{id:[0-9]+}`";
  const rooted = path.startsWith("/") ? path : `/${path}`;
  const meant = meantPattern(rooted) ?? rooted.replace(/(?<=[^*/])\*$/, "/**");
  return meant !== text && !("error" in parsePattern(meant)) ? `did you mean \`${meant}\`?` : "";
}
