// Owns the schema of `auth.NAME.forwardAuth`: a service that says who is calling. Loaded by the primary only.
import * as z from "zod";
import { withRules } from "../../../../base/rules.ts";
import { headerName, once } from "../../../../base/schema.ts";
import { oneService } from "../../config-service.ts";
import { requestHeaders, type SubrequestConfig, subrequestConfigOf, subrequestKeys, subrequestMethod } from "../../config-subrequest.ts";
import type { PlaceConfig } from "../config-places.ts";
import { consumerFields } from "../jwt/config-claims.ts";

const CLAIMS_MAX = 64;

export interface ForwardAuthenticatorConfig extends SubrequestConfig {
  readonly in: "header" | "cookie" | "query";
  /** Of the header (lowercase), cookie or query parameter. */
  readonly name: string;
  /** The same, as the other kinds have it. */
  readonly from: readonly PlaceConfig[];
  /** Headers of the answer, lowercase. */
  readonly identity: {
    readonly consumer: string;
    readonly scopes: string | null;
    readonly roles: string | null;
    readonly groups: string | null;
    readonly tier: string | null;
  };
  /** Further headers of the answer, lowercase. */
  readonly claimHeaders: readonly string[];
  readonly consumerPrefix: string;
  readonly onlyKnownConsumers: boolean;
  /** As the kinds with claims have it, for what can be known of callers from a configuration: names of claims are those of the headers. */
  readonly claims: {
    readonly consumer: readonly (readonly string[])[];
    readonly scopes: readonly string[] | null;
    readonly roles: readonly string[] | null;
    readonly groups: readonly string[] | null;
    readonly tier: readonly string[] | null;
  };
}

const part = (description: string) => headerName().optional().meta({ description });

const identitySchema = once(() =>
  z
    .strictObject({
      consumer: headerName().meta({
        description: "Who calls: the consumer's id. An answer without it lets nobody pass.",
        examples: ["x-user"],
      }),
      scopes: part("Scopes, with blanks between them."),
      roles: part("Roles, with commas between them."),
      groups: part("Groups, with commas between them."),
      tier: part("Name of a tier; a tier given under `consumers` wins."),
    })
    .meta({ description: "The headers of the answer that say who is calling.", examples: [{ consumer: "x-user", roles: "x-roles" }] }),
);

export const forwardAuthConfig = once(() =>
  withRules(
    z.strictObject({
      ...subrequestKeys(),
      method: subrequestMethod("GET"),
      in: z
        .enum(["header", "cookie", "query"])
        .prefault("header")
        .meta({ description: "Where the credential stands. A request without it causes no subrequest." }),
      name: z
        .string()
        .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/, "expected the name of a header, cookie or query parameter")
        .optional()
        .meta({
          description:
            "Of the header, cookie or parameter; `authorization`, whatever its scheme, unless written. The service gets it, and it is taken out before forwarding.",
          examples: ["session"],
        }),
      requestHeaders: requestHeaders(
        "Further headers of the request that the service receives, besides the credential, by exact name.",
      ).prefault([]),
      identity: identitySchema(),
      claims: z
        .array(headerName())
        .max(CLAIMS_MAX)
        .prefault([])
        .meta({
          description: "Further headers of the answer, as claims of these names: for `authorize`, `identity.claims` and templates.",
          examples: [["x-tenant"]],
        }),
      ...consumerFields(),
    }),
    oneService("url"),
    ({ in: place, name }, object) => {
      if (place !== "header" && name === undefined)
        object(`is required for a ${place === "cookie" ? "cookie" : "query parameter"}`, ["name"], "add its name");
    },
  )
    .transform((value): ForwardAuthenticatorConfig => {
      const name = value.name ?? "authorization";
      const { consumer, scopes, roles, groups, tier } = value.identity;
      const path = (header: string | undefined): readonly string[] | null => (header === undefined ? null : [header]);
      const place = { in: value.in, name: value.in === "header" ? name.toLowerCase() : name };
      return {
        ...subrequestConfigOf(value, value.method ?? "GET", value.requestHeaders),
        ...place,
        from: [{ ...place, scheme: null }],
        identity: { consumer, scopes: scopes ?? null, roles: roles ?? null, groups: groups ?? null, tier: tier ?? null },
        claimHeaders: [...new Set(value.claims)],
        consumerPrefix: value.consumerPrefix,
        onlyKnownConsumers: value.onlyKnownConsumers,
        claims: { consumer: [[consumer]], scopes: path(scopes), roles: path(roles), groups: path(groups), tier: path(tier) },
      };
    })
    .meta({
      description: "A service that identifies the caller: 2xx with the caller's name proves it, anything else refuses the credential.",
    }),
);
