// Owns the keys by which a configuration names the service to call: a URL or an upstream. Loaded by the primary only.
import * as z from "zod";
import type { Objection } from "../../base/rules.ts";
import { duration, name, once } from "../../base/schema.ts";
import type { StatusRange } from "../../base/status-list.ts";
import type { ServiceRef } from "../../plan/service-ref.ts";

const URL_CHARS_MAX = 2048;
const TIMEOUT_MS_MAX = 60_000;
const OPEN_MS_MAX = 600_000;

/** A URL, taken apart. */
export interface ServiceUrl {
  /** As a target of an upstream has it. */
  readonly target: string;
  readonly path: string;
}

/** Whoever can read what is said there has what it says. */
const LOOPBACK = /^https?:\/\/(127(\.\d{1,3}){3}|\[::1\]|localhost)(:\d+)?$/;

/** Whether nobody else can read what is sent to a target. @param url of a target, normalised */
export const isPrivateTarget = (url: string): boolean => url.startsWith("https") || LOOPBACK.test(url);

/** @param expected an example of a right one */
export const serviceUrl = (expected: string, { credentials }: { readonly credentials: string }) =>
  z
    .string()
    .max(URL_CHARS_MAX)
    .transform((text, ctx): ServiceUrl => {
      const url = URL.parse(text);
      const complain = (message: string): never => {
        ctx.addIssue({ code: "custom", message });
        return z.NEVER;
      };
      if (url === null || (url.protocol !== "https:" && url.protocol !== "http:")) return complain(`expected a URL such as ${expected}`);
      if (url.port === "0") return complain("expected a port from 1 to 65535");
      const target = `${url.protocol}//${url.hostname}:${url.port === "" ? (url.protocol === "https:" ? 443 : 80) : url.port}`;
      if (url.username !== "" || url.password !== "" || url.hash !== "")
        return complain(`a URL without user, password and fragment is needed${credentials}`);
      return { target, path: url.pathname + url.search };
    });

export const servicePath = once(() =>
  z
    .string()
    .max(URL_CHARS_MAX)
    .regex(/^\/[\x21-\x22\x24-\x7e]*$/, "expected a path that starts with /"),
);

/** Longer is no use: whoever called has gone. */
export const serviceTimeout = (preset: string) =>
  duration()
    .refine((ms) => ms >= 1, "expected more than 0")
    .refine((ms) => ms <= TIMEOUT_MS_MAX, `expected at most ${TIMEOUT_MS_MAX / 60_000}m`)
    .prefault(preset);

export const serviceBreaker = once(() =>
  z.strictObject({
    failures: z.int().min(1).max(1000).prefault(5).meta({ description: "Failures in a row after which no request is sent." }),
    openFor: duration()
      .refine((ms) => ms >= 1, "expected more than 0")
      .refine((ms) => ms <= OPEN_MS_MAX, "expected at most 10m")
      .prefault("5s")
      .meta({ description: "For how long; then one subrequest is tried." }),
  }),
);

export const serviceUpstream = once(() =>
  name().meta({
    description: "Instead of a URL: the upstream to call, with the targets, breaker, pool and TLS that it has.",
    examples: ["auth-service"],
  }),
);

/** What was written of a service. */
interface Written {
  readonly to?: string | undefined;
  readonly path?: string | undefined;
  readonly ca?: string | undefined;
  readonly breaker?: { readonly failures: number; readonly openFor: number } | undefined;
}

/** @param key of the URL. The rule for {@link withRules}. */
export const oneService =
  <K extends string>(key: K) =>
  (value: Written & { readonly [P in K]?: ServiceUrl | undefined }, object: Objection): void => {
    const { to, path, ca, breaker } = value;
    if ((value[key] === undefined) === (to === undefined)) return object(`expected exactly one of ${key} and to`);
    if (to === undefined) {
      if (path !== undefined) object(`\`path\` belongs to \`to\`: the ${key} has one`, ["path"], `write it into the ${key}`);
      return;
    }
    if (ca !== undefined) object("the upstream that `to` names has its own `tls`", ["ca"], "write it there");
    if (breaker !== undefined) object("the upstream that `to` names has its own `breaker`", ["breaker"], "write it there");
  };

const PRESET_BREAKER = { failures: 5, openFor: 5000 } as const;

/** @param more what the upstream of a URL is made of besides what was written */
export function serviceRef(
  written: Written,
  url: ServiceUrl | undefined,
  more: { readonly timeoutMs: number; readonly connections: number | null; readonly failureStatuses: readonly StatusRange[] },
): ServiceRef {
  if (url === undefined) return { upstream: written.to ?? "", path: written.path ?? "/", own: null };
  const { failures, openFor } = written.breaker ?? PRESET_BREAKER;
  return { upstream: "", path: url.path, own: { target: url.target, ca: written.ca ?? null, ...more, failures, openForMs: openFor } };
}
