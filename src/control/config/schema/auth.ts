// Owns the schema of the `auth` section: named authenticators, each of one kind from the data plane's list. Must never read files.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { name, once, whenWritten } from "../../../base/schema.ts";
import { AUTHENTICATOR_SCHEMAS } from "../../../data/policies/auth/schemas.ts";

const AUTHENTICATORS_MAX = 100;

const kinds = once(() => Object.fromEntries(Object.entries(AUTHENTICATOR_SCHEMAS).map(([kind, schema]) => [kind, whenWritten(schema)])));

const authenticator = once(() =>
  withRules(z.strictObject(kinds()), (value: Readonly<Record<string, unknown>>, object) => {
    const kinds = Object.keys(AUTHENTICATOR_SCHEMAS);
    if (kinds.filter((kind) => value[kind] !== undefined).length !== 1) object(`expected exactly one of ${kinds.join(", ")}`);
  }).transform((value: Readonly<Record<string, unknown>>) => {
    const [kind, config] = Object.entries(value).find(([, config]) => config !== undefined) ?? ["", undefined];
    return { kind, config };
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
