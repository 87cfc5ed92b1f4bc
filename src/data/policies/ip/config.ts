// Owns the `ip` key of a route: who may call it, by network address. Schema, type and docs only.
import * as z from "zod";
import { parseCidr } from "../../../base/ip.ts";
import { withRules } from "../../../base/rules.ts";
import { once } from "../../../base/schema.ts";

/** CIDR blocks in one list. */
const BLOCKS_MAX = 10_000;

const cidr = () =>
  z
    .string()
    .refine((text) => parseCidr(text) !== null, { error: "expected an address or a CIDR block such as 10.0.0.0/8 or 2001:db8::/32" });

export const ipSchema = once(() =>
  withRules(
    z.strictObject({
      allow: z
        .array(cidr())
        .min(1, "an empty list would deny everyone: leave `allow` out to allow all")
        .max(BLOCKS_MAX)
        .optional()
        .meta({
          description:
            "Addresses and CIDR blocks that may use the route. When present, every other caller is denied, also one whose address is unknown (a Unix socket).",
          examples: [["10.0.0.0/8", "2001:db8::/32"]],
        }),
      deny: z
        .array(cidr())
        .max(BLOCKS_MAX)
        .default([])
        .meta({ description: "Addresses and CIDR blocks that are refused. Wins over `allow`.", examples: [["192.0.2.0/24"]] }),
    }),
    ({ allow, deny }, object) => {
      if (allow === undefined && deny.length === 0) object("give `allow` or `deny`");
    },
  ).meta({
    description: "Allow and deny by the caller's address (the real one behind `trustedProxies`). Refused callers get 403 `ip_denied`.",
  }),
);

export type IpConfig = z.output<ReturnType<typeof ipSchema>>;
