// Owns the schema of the `auth` section: named authenticators, each of one kind from the data plane's list. Must never read files.
import * as z from "zod";
import { name, once, whenWritten } from "../../base/schema.ts";
import { AUTHENTICATOR_SCHEMAS } from "../../data/policies/auth/schemas.ts";

const AUTHENTICATORS_MAX = 100;

const kinds = once(() => Object.fromEntries(Object.entries(AUTHENTICATOR_SCHEMAS).map(([kind, schema]) => [kind, whenWritten(schema)])));

const authenticator = once(() =>
  z.strictObject(kinds()).transform((value: Readonly<Record<string, unknown>>, ctx) => {
    const given = Object.entries(value).filter(([, config]) => config !== undefined);
    const [only] = given;
    if (only !== undefined && given.length === 1) return { kind: only[0], config: only[1] };
    ctx.addIssue({ code: "custom", message: `expected exactly one of ${Object.keys(AUTHENTICATOR_SCHEMAS).join(", ")}` });
    return z.NEVER;
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
