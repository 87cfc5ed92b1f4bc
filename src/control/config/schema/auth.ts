// Owns the schema of the `auth` section: named authenticators, each of one kind from the data plane's list. Must never read files.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { lazyOptional, name, once } from "../../../base/schema.ts";
import { WAY_OUT_NAMES, type WayOut } from "../../../base/ways-out.ts";
import { AUTHENTICATOR_SCHEMAS } from "../../../data/policies/auth/schemas.ts";

const AUTHENTICATORS_MAX = 100;

const kinds = once(() => Object.fromEntries(Object.entries(AUTHENTICATOR_SCHEMAS).map(([kind, schema]) => [kind, lazyOptional(schema)])));

/** Keys of the kinds, at most one of them written. */
type Written = { readonly forwardCredentials: boolean } & Readonly<Record<string, unknown>>;

const forwardCredentials = once(() =>
  z.boolean().prefault(false).meta({
    description:
      "Services get the credentials that this authenticator has proven: in each place where it looks for them. By default they are removed. A route's own `auth.forwardCredentials` goes before it, for all authenticators that the route names.",
  }),
);

const authenticator = once(() =>
  withRules(z.strictObject({ ...kinds(), forwardCredentials: forwardCredentials() }), (value: Written, object) => {
    const kinds = Object.keys(AUTHENTICATOR_SCHEMAS);
    if (kinds.filter((kind) => value[kind] !== undefined).length !== 1) object(`expected exactly one of ${kinds.join(", ")}`);
  }).transform((value: Written) => {
    const { forwardCredentials, ...rest } = value;
    const [kind, config] = Object.entries(rest).find(([, config]) => config !== undefined) ?? ["", undefined];
    return { kind, config, forwardCredentials, insecure: waysOutOf(config) };
  }),
);

/** As the kinds that have ways out spell them. */
interface Opened {
  readonly insecure?: readonly WayOut[];
  readonly providers?: readonly Opened[];
}

/** @param config output of a kind's schema. @returns each once, in the order of the table */
function waysOutOf(config: unknown): readonly WayOut[] {
  const { insecure = [], providers = [] } = (config ?? {}) as Opened; // every kind's configuration is an object
  const written = new Set([...insecure, ...providers.flatMap((each) => each.insecure ?? [])]);
  return WAY_OUT_NAMES.filter((name) => written.has(name));
}

export const auth = once(() =>
  z
    .record(name(), authenticator())
    .refine((record) => Object.keys(record).length <= AUTHENTICATORS_MAX, `expected at most ${AUTHENTICATORS_MAX} authenticators`)
    .transform((record) => Object.entries(record).map(([key, value]) => ({ name: key, ...value })))
    .prefault({})
    .meta({ description: "Named authenticators: how callers prove who they are. Routes name them under `auth`." }),
);
