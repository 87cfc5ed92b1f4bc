// Owns the schema of the `auth` section: named authenticators, each of one kind from the data plane's list. Must never read files.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { name, once, whenWritten } from "../../../base/schema.ts";
import { AUTHENTICATOR_SCHEMAS } from "../../../data/policies/auth/schemas.ts";

const AUTHENTICATORS_MAX = 100;

const kinds = once(() => Object.fromEntries(Object.entries(AUTHENTICATOR_SCHEMAS).map(([kind, schema]) => [kind, whenWritten(schema)])));

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
    return { kind, config, forwardCredentials };
  }),
);

export const auth = once(() =>
  z
    .record(name(), authenticator())
    .refine((record) => Object.keys(record).length <= AUTHENTICATORS_MAX, `expected at most ${AUTHENTICATORS_MAX} authenticators`)
    .transform((record) => Object.entries(record).map(([key, value]) => ({ name: key, ...value })))
    .prefault({})
    .meta({ description: "Named authenticators: how callers prove who they are. Routes name them under `auth`." }),
);
